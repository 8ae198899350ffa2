"""What is written: checkpoints for other libraries, and model cards."""

import importlib.metadata
import json
import os
import pathlib
import platform
import time

import keras
import keras_hub
import ml_dtypes
import numpy as np

import unilmv2_tf
from unilmv2_tf.checkpoints import layouts
from unilmv2_tf.checkpoints import readers
from unilmv2_tf.checkpoints.configuration import model_config
from unilmv2_tf.checkpoints.pytorch_files import write_pytorch_file
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.vocabulary import SPECIAL_TOKENS

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

    The folder holds `config.json`, `model.safetensors` and, with a tokenizer,
    `vocab.txt`, `tokenizer_config.json` and `added_tokens.json`.
    `load_checkpoint` returns the same weights, bit for bit. Without a relative
    bias `BertModel` and the class with the head of the task of `transformers`
    load it; with one, `model_type` is "unilm", and the authors' code loads it.

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
    tensors = layouts.from_common_names(
        _common_arrays(model), layout, isinstance(model, UniLMv2Backbone)
    )
    for name, values in (more_tensors or {}).items():
        tensors.setdefault(name, np.asarray(values, order="C"))
    if tokenizer is None:
        preprocessor = getattr(model, "preprocessor", None)
        tokenizer = getattr(preprocessor, "tokenizer", None)
    with replacing(folder) as temporary:
        place = pathlib.Path(temporary)
        place.mkdir()
        safetensors_name, pytorch_name = readers.WEIGHT_NAMES
        readers.write_safetensors(place / safetensors_name, tensors)
        if torch_file:
            write_pytorch_file(place / pytorch_name, tensors)
        _write_json(place / readers.CONFIG_NAME, model_config(model, tokenizer))
        if tokenizer is not None:
            tokenizer.save_assets(temporary)
            os.rename(place / "vocabulary.txt", place / readers.VOCABULARY_NAME)
            if added := getattr(tokenizer, "added_tokens", None):
                _write_json(place / readers.ADDED_TOKENS_NAME, added)
            _write_json(
                place / readers.TOKENIZER_NAME, _tokenizer_settings(tokenizer)
            )


def _check_arguments(model, folder, layout):
    if not isinstance(model, layouts.MODEL_CLASSES):
        raise ValueError(
            f"`model` must be one of {layouts.MODEL_NAMES}. Received: "
            f"{type(model).__name__}"
        )
    if layout not in _LAYOUTS:
        raise ValueError(
            f"`layout` must be one of {', '.join(_LAYOUTS)}. Received: "
            f"layout={layout!r}"
        )
    others = set(os.listdir(folder) if os.path.isdir(folder) else ())
    others -= {
        readers.CONFIG_NAME,
        readers.VOCABULARY_NAME,
        readers.TOKENIZER_NAME,
        readers.ADDED_TOKENS_NAME,
        *readers.WEIGHT_NAMES,
    }
    if others:
        raise ValueError(
            "`folder` is replaced as a whole, so it must hold nothing but an "
            f"earlier checkpoint. Received: {str(folder)!r} with "
            f"{sorted(others)[:5]}. Choose another folder, or empty this one."
        )


def _common_arrays(model):
    arrays = {}
    backbone = getattr(model, "backbone", model)
    rows = layouts.table_rows(
        type(model), backbone.num_layers, backbone.num_relative_buckets > 0
    )
    for row in rows:
        variable = row.variable(model)
        values = keras.ops.convert_to_numpy(variable)
        if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
            values = values.astype(ml_dtypes.bfloat16)
        if not readers.is_float(values.dtype):
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


def _tokenizer_settings(tokenizer):
    return {
        "tokenizer_class": "BertTokenizer",
        **{
            key: getattr(tokenizer, name)
            for key, name in readers.TOKENIZER_SETTINGS.items()
        },
        **{f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS},
    }


def _write_json(path, content):
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


# === Model cards ===

_TAGS = {
    "UniLMv2Seq2SeqLM": "text2text-generation",
    "UniLMv2PseudoMaskedLM": "fill-mask",
    "UniLMv2TextClassifier": "text-classification",
    "UniLMv2QuestionAnswerer": "question-answering",
}
_CARD = """\
---
library_name: keras-hub
tags:
- unilmv2
{tag}---
# {name}

A unified language model: bidirectional encoder and sequence-to-sequence \
decoder in one Transformer \
([Bao et al., 2020](https://arxiv.org/abs/2002.12804)).

```python
import unilmv2_tf

model = unilmv2_tf.{name}.from_preset("path/to/this/folder")
```

{sections}"""


def write_model_card(
    folder: str,
    training_data: str | dict | None = None,
    recipe: str | dict | None = None,
    scores: str | dict | None = None,
    source: str | dict | None = None,
) -> None:
    """Writes the model card of a preset, its `README.md`.

    Args:
        folder: string or path of a preset, with its files.
        training_data: string or dict. What the model was trained on. Defaults
            to `None`.
        recipe: string or dict. How it was trained. Defaults to `None`.
        scores: string or dict. Its scores, and the data they were measured on.
            Defaults to `None`.
        source: string or dict. The checkpoint it was converted from. Defaults
            to `None`.

    Raises:
        FileNotFoundError: If the folder is not a preset.

    Example:

    >>> import tempfile
    >>> from unilmv2_tf import UniLMv2Backbone
    >>> from unilmv2_tf.checkpoints import write_model_card
    >>> backbone = UniLMv2Backbone(
    ...     vocabulary_size=11, num_layers=1, num_heads=2, hidden_dim=4,
    ...     intermediate_dim=8, max_sequence_length=6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     backbone.save_to_preset(folder)
    ...     write_model_card(folder, scores={"accuracy": 0.9})
    ...     "| accuracy | 0.9 |" in open(f"{folder}/README.md").read()
    True
    """
    config = _read_json(folder, "config.json").get("config")
    if config is None:
        raise FileNotFoundError(
            "A model card is written into a preset folder. Received: "
            f"{os.fspath(folder)!r}, which has no config.json of a preset."
        )
    name = _read_json(folder, "task.json").get("class_name", "UniLMv2Backbone")
    numbers = {
        key: value
        for key, value in config.items()
        if isinstance(value, (int, float)) and key != "trainable"
    }
    count = _read_json(folder, "metadata.json").get("parameter_count")
    sections = {
        **({"Made from": source} if source else {}),
        "Training data": training_data,
        "Recipe": recipe,
        "Scores": scores,
        "Configuration": {"parameters": count, **numbers},
        "Versions": {
            "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "unilmv2_tf": unilmv2_tf.__version__,
            "keras": keras.__version__,
            "keras-hub": keras_hub.__version__,
            "tensorflow": importlib.metadata.version("tensorflow"),
        },
    }
    card = _CARD.format(
        tag=f"pipeline_tag: {_TAGS[name]}\n" if name in _TAGS else "",
        name=name,
        sections="\n".join(
            f"## {title}\n\n{_content(content)}\n"
            for title, content in sections.items()
        ),
    )
    write_text(os.path.join(folder, "README.md"), card)


def _content(content):
    if isinstance(content, dict) and content:
        rows = [f"| {key} | {value} |" for key, value in content.items()]
        return "\n".join(["|  |  |", "| --- | --- |", *rows])
    return content or "Not noted."


def _read_json(folder, name):
    path = os.path.join(folder, name)
    return readers.read_config(path) if os.path.exists(path) else {}
