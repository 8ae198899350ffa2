"""Models of ours as folders that Hugging Face's and the authors' code load."""

import json
import os

import keras
import ml_dtypes
import numpy as np

from unilmv2_tf.checkpoints.configuration import model_config
from unilmv2_tf.checkpoints.layouts import MODEL_CLASSES
from unilmv2_tf.checkpoints.layouts import from_common_names
from unilmv2_tf.checkpoints.layouts import rows_of_model
from unilmv2_tf.checkpoints.pytorch_files import write_pytorch_file
from unilmv2_tf.checkpoints.readers import CONFIG_NAME
from unilmv2_tf.checkpoints.readers import WEIGHT_NAMES
from unilmv2_tf.checkpoints.readers import is_float
from unilmv2_tf.checkpoints.readers import write_safetensors
from unilmv2_tf.checkpoints.tokenizers import TOKENIZER_NAME
from unilmv2_tf.checkpoints.tokenizers import VOCABULARY_NAME
from unilmv2_tf.checkpoints.tokenizers import tokenizer_settings
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.preprocessing import UniLMv2Tokenizer

_LAYOUTS = ("bert", "fused", "s2s_ft")


def save_checkpoint(
    model: keras.Model,
    folder: str,
    layout: str = "bert",
    torch_file: bool = False,
    tokenizer: UniLMv2Tokenizer | None = None,
    more_tensors: dict | None = None,
) -> None:
    """Writes a model as Hugging Face's BERT and the authors' code read it.

    The folder holds `config.json`, `model.safetensors` and, if there is a
    tokenizer, `vocab.txt` and `tokenizer_config.json`. `load_checkpoint`
    returns the same weights, bit for bit. Without a relative bias `BertModel`
    and the class with the head of the task (`BertForMaskedLM`, ...) of
    `transformers` load it; with one, `model_type` is "unilm", as no class
    there has a relative bias, and the authors' s2s-ft code loads it.

    Args:
        model: a `UniLMv2Backbone` or a UniLMv2 task.
        folder: string or path. It is written completely or not at all; an
            earlier checkpoint there is replaced.
        layout: string. Names of the tensors: `"bert"` for Hugging Face's;
            `"fused"` for those of the authors' published files; `"s2s_ft"` for
            what their fine-tuning code saves. Defaults to `"bert"`.
        torch_file: bool. Whether to write `pytorch_model.bin` as well, the
            only format that the authors' code reads. Defaults to `False`.
        tokenizer: a `UniLMv2Tokenizer`. Defaults to the one of the model's
            preprocessor.
        more_tensors: dict from names to NumPy arrays to write in addition,
            such as those that a conversion left out. Defaults to `None`.

    Raises:
        ValueError: If the weights are quantized or not finite, the layout is
            `"fused"` and a key bias is not zero, or the folder holds anything
            but an earlier checkpoint.

    Example:

    >>> import tempfile
    >>> from unilmv2_tf.checkpoints import load_checkpoint, save_checkpoint
    >>> backbone = UniLMv2Backbone(
    ...     vocabulary_size=11, num_layers=1, num_heads=2, hidden_dim=4,
    ...     intermediate_dim=8, max_sequence_length=6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(backbone, folder)
    ...     load_checkpoint(folder, UniLMv2Backbone).count_params()
    320
    """
    _check_arguments(model, folder, layout)
    tensors = from_common_names(
        _common_arrays(model), layout, isinstance(model, UniLMv2Backbone)
    )
    for name, values in (more_tensors or {}).items():
        tensors.setdefault(name, np.asarray(values, order="C"))
    if tokenizer is None:
        preprocessor = getattr(model, "preprocessor", None)
        tokenizer = getattr(preprocessor, "tokenizer", None)
    with replacing(folder) as temporary:
        os.mkdir(temporary)
        write_safetensors(os.path.join(temporary, WEIGHT_NAMES[0]), tensors)
        if torch_file:
            write_pytorch_file(
                os.path.join(temporary, WEIGHT_NAMES[1]), tensors
            )
        _write_json(os.path.join(temporary, CONFIG_NAME), model_config(model))
        if tokenizer is not None:
            write_text(
                os.path.join(temporary, VOCABULARY_NAME),
                "".join(f"{token}\n" for token in tokenizer.get_vocabulary()),
            )
            _write_json(
                os.path.join(temporary, TOKENIZER_NAME),
                tokenizer_settings(tokenizer),
            )


def _check_arguments(model, folder, layout):
    if not isinstance(model, MODEL_CLASSES):
        raise ValueError(
            "`model` must be one of "
            f"{', '.join(kind.__name__ for kind in MODEL_CLASSES)}. Received: "
            f"{type(model).__name__}"
        )
    if layout not in _LAYOUTS:
        raise ValueError(
            f"`layout` must be one of {', '.join(_LAYOUTS)}. Received: "
            f"layout={layout!r}"
        )
    ours = {CONFIG_NAME, VOCABULARY_NAME, TOKENIZER_NAME, *WEIGHT_NAMES}
    if os.path.isdir(folder):
        others = sorted(set(os.listdir(folder)) - ours)
        if others:
            raise ValueError(
                "`folder` is replaced as a whole, so it must hold nothing "
                f"but an earlier checkpoint. Received: {str(folder)!r} with "
                f"{others[:5]}. Choose another folder, or empty this one."
            )


def _common_arrays(model):
    arrays = {}
    for row in rows_of_model(model):
        variable = row.variable(model)
        values = keras.ops.convert_to_numpy(variable)
        if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
            values = values.astype(ml_dtypes.bfloat16)
        if not is_float(values.dtype):
            raise ValueError(
                f"Quantized weights are not written: {row.name!r} has dtype "
                f"{values.dtype}. Save the model before `quantize`."
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f"{row.name!r} holds NaN or infinity: the training diverged. "
                "Nothing was written."
            )
        arrays[row.name] = np.asarray(row.transform(values), order="C")
    return arrays


def _write_json(path, content):
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
