"""Our models as folders that the authors' code and Hugging Face's load."""

import json
import os

import keras
import ml_dtypes
import numpy as np

from unilmv2_tf.checkpoints.configuration import official_config
from unilmv2_tf.checkpoints.layouts import RELATIVE_TABLE
from unilmv2_tf.checkpoints.layouts import WORD_EMBEDDINGS
from unilmv2_tf.checkpoints.pytorch_writer import write_pytorch_file
from unilmv2_tf.checkpoints.readers import CONFIG_NAME
from unilmv2_tf.checkpoints.readers import WEIGHT_NAMES
from unilmv2_tf.checkpoints.readers import is_float
from unilmv2_tf.checkpoints.safetensors_file import write_safetensors
from unilmv2_tf.checkpoints.tokenizers import TOKENIZER_NAME
from unilmv2_tf.checkpoints.variables import CONVERTIBLE_TASKS
from unilmv2_tf.checkpoints.variables import canonical_variables
from unilmv2_tf.checkpoints.variables import is_transposed
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.models import LanguageModelTask
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2TextClassifier

LAYOUTS = ("bert", "fused", "s2s_ft")
VOCABULARY_NAME = "vocab.txt"
_HEADS = ("cls.", "classifier.", "qa_outputs.")
_SELF = "attention.self."
# The class of Hugging Face's that has the head of the task.
_ARCHITECTURES = (
    (UniLMv2Backbone, "BertModel"),
    (LanguageModelTask, "BertForMaskedLM"),
    (UniLMv2TextClassifier, "BertForSequenceClassification"),
    (UniLMv2QuestionAnswerer, "BertForQuestionAnswering"),
)


def _canonical_arrays(model):
    arrays = {}
    for name, variable in canonical_variables(model).items():
        values = keras.ops.convert_to_numpy(variable)
        if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
            values = values.astype(ml_dtypes.bfloat16)
        if not is_float(values.dtype):
            raise ValueError(
                f"Quantized weights are not written: {name!r} has dtype "
                f"{values.dtype}. Save the model before `quantize`."
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name!r} holds NaN or infinity: the training diverged. "
                "Nothing was written."
            )
        values = values.T if is_transposed(name) else values
        arrays[name] = np.asarray(values, order="C")
    return arrays


def _fuse(arrays):
    fused = {}
    for name, values in arrays.items():
        start, found, part = name.partition(_SELF)
        if not found:
            fused[name] = values
        elif part == "query.weight":
            fused[f"{start}{_SELF}qkv_linear.weight"] = np.concatenate(
                [
                    arrays[f"{start}{_SELF}{projection}.weight"]
                    for projection in ("query", "key", "value")
                ]
            )
        elif part in ("query.bias", "value.bias"):
            fused[f"{start}{_SELF}{part[0]}_bias"] = values.reshape(1, 1, -1)
        elif part == "key.bias" and values.any():
            raise ValueError(
                "The fused layout has no key bias, and this model has one: "
                f"{name!r} is not zero. It changes no output, so it may be "
                'set to zero; or save with layout="bert".'
            )
    return fused


def official_tensors(model, layout="bert"):
    """Lists the weights of a model under official names.

    Args:
        model: a `UniLMv2Backbone` or a UniLMv2 task.
        layout: string, see `save_official`. Defaults to `"bert"`.

    Returns:
        A dict from names to NumPy arrays.

    Raises:
        ValueError: see `save_official`.

    Example:

    >>> backbone = UniLMv2Backbone(
    ...     vocabulary_size=11, num_layers=1, num_heads=2, hidden_dim=4,
    ...     intermediate_dim=8, max_sequence_length=6)
    >>> official_tensors(backbone)["rel_pos_bias.weight"].shape
    (2, 32)
    """
    _check_arguments(model, layout)
    arrays = _canonical_arrays(model)
    if layout == "fused":
        arrays = _fuse(arrays)
    if isinstance(model, UniLMv2Backbone) and layout == "bert":
        # As Hugging Face's BertModel without a head.
        return arrays
    tensors = {
        name if name.startswith(_HEADS) else f"bert.{name}": values
        for name, values in arrays.items()
    }
    if layout == "fused" and RELATIVE_TABLE in arrays:
        table = tensors.pop(f"bert.{RELATIVE_TABLE}")
        tensors[f"bert.encoder.{RELATIVE_TABLE}"] = table
    if hasattr(model, "language_model_head") and layout != "bert":
        kind = "decoder.weight" if layout == "fused" else "decoder_weight"
        tensors[f"cls.predictions.{kind}"] = arrays[WORD_EMBEDDINGS]
    return tensors


def _check_arguments(model, layout):
    accepted = (UniLMv2Backbone, *CONVERTIBLE_TASKS)
    if not isinstance(model, accepted):
        raise ValueError(
            "`model` must be one of "
            f"{', '.join(kind.__name__ for kind in accepted)}. Received: "
            f"{type(model).__name__}"
        )
    if layout not in LAYOUTS:
        raise ValueError(
            f"`layout` must be one of {', '.join(LAYOUTS)}. Received: "
            f"layout={layout!r}"
        )


def model_config(model):
    """Describes a model, task included, by official keys.

    Args:
        model: a `UniLMv2Backbone` or a UniLMv2 task.

    Returns:
        A dict, the content of `config.json`.

    Example:

    >>> model_config(UniLMv2Backbone.from_preset(
    ...     "unilmv2_tiny", load_weights=False,
    ...     num_relative_buckets=0))["model_type"]
    'bert'
    """
    is_task = not isinstance(model, UniLMv2Backbone)
    backbone = model.backbone if is_task else model
    config = official_config(backbone)
    # To others a model with a relative bias is no BERT, and must not be taken
    # for one.
    config["model_type"] = "unilm" if backbone.num_relative_buckets else "bert"
    config["architectures"] = [
        name for kind, name in _ARCHITECTURES if isinstance(model, kind)
    ]
    for key, argument in (
        ("source_type_id", "source_segment_id"),
        ("target_type_id", "target_segment_id"),
    ):
        if hasattr(model, argument):
            config[key] = getattr(model, argument)
    if isinstance(model, UniLMv2TextClassifier):
        config.update(_labels(model))
    return config


def _labels(model):
    made_up = [f"LABEL_{number}" for number in range(model.num_classes)]
    names = model.label_names or made_up
    return {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
    }


def _write_tokenizer(folder, tokenizer):
    write_text(
        os.path.join(folder, VOCABULARY_NAME),
        "".join(f"{token}\n" for token in tokenizer.get_vocabulary()),
    )
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": tokenizer.lowercase,
        "strip_accents": tokenizer.strip_accents,
        "tokenize_chinese_chars": tokenizer.split_on_cjk,
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    _write_json(os.path.join(folder, TOKENIZER_NAME), settings)


def _write_json(path, content):
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def _check_folder(folder):
    ours = {CONFIG_NAME, VOCABULARY_NAME, TOKENIZER_NAME, *WEIGHT_NAMES}
    if os.path.isdir(folder):
        others = sorted(set(os.listdir(folder)) - ours)
        if others:
            raise ValueError(
                "`folder` is replaced as a whole, so it must hold nothing "
                f"but an earlier export. Received: {str(folder)!r} with "
                f"{others[:5]}. Choose another folder, or empty this one."
            )


def save_official(
    model,
    folder,
    layout="bert",
    torch_file=False,
    tokenizer=None,
    more_tensors=None,
):
    """Writes a model as the authors' code and Hugging Face's BERT read it.

    The folder holds `config.json`, `model.safetensors` and, if there is a
    tokenizer, `vocab.txt` and `tokenizer_config.json`. `load_official` gives
    the same weights back, bit for bit. Without a relative bias `BertModel` and
    the class with the head of the task (`BertForMaskedLM`, ...) of
    `transformers` load it; with one, `model_type` is "unilm", as no class
    there has it, and the authors' s2s-ft code loads it.

    Args:
        model: a `UniLMv2Backbone` or a UniLMv2 task.
        folder: str or path. It appears whole or not at all.
        layout: string. `"bert"` for BERT's names; `"fused"` for those of the
            authors' published files; `"s2s_ft"` for what their fine-tuning
            code saves. Defaults to `"bert"`.
        torch_file: bool. Whether to write `pytorch_model.bin` as well, which
            is all that the authors' code reads. Defaults to `False`.
        tokenizer: a `UniLMv2Tokenizer`. Defaults to the one of the model's
            preprocessor.
        more_tensors: dict from names to NumPy arrays that are written along,
            such as those a conversion left out. Defaults to `None`.

    Raises:
        ValueError: if the weights are quantized or not finite, the layout is
            `"fused"` and a key bias is not zero, or the folder holds other
            things than an earlier export.

    Example:

    >>> import tempfile
    >>> from unilmv2_tf.checkpoints import load_official
    >>> backbone = UniLMv2Backbone(
    ...     vocabulary_size=11, num_layers=1, num_heads=2, hidden_dim=4,
    ...     intermediate_dim=8, max_sequence_length=6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_official(backbone, folder)
    ...     load_official(folder, UniLMv2Backbone).count_params()
    320
    """
    tensors = official_tensors(model, layout)
    for name, values in (more_tensors or {}).items():
        tensors.setdefault(name, np.asarray(values, order="C"))
    if tokenizer is None:
        tokenizer = getattr(
            getattr(model, "preprocessor", None), "tokenizer", None
        )
    _check_folder(folder)
    with replacing(folder) as temporary:
        os.mkdir(temporary)
        write_safetensors(os.path.join(temporary, WEIGHT_NAMES[0]), tensors)
        if torch_file:
            write_pytorch_file(
                os.path.join(temporary, WEIGHT_NAMES[1]), tensors
            )
        _write_json(os.path.join(temporary, CONFIG_NAME), model_config(model))
        if tokenizer is not None:
            _write_tokenizer(temporary, tokenizer)
