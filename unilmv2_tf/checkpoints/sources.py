"""Checkpoints of any kind, opened as tensors with official names."""

import json
import pathlib
from typing import NamedTuple

from unilmv2_tf.checkpoints import keras_hub_bert
from unilmv2_tf.checkpoints import tensorflow_bert
from unilmv2_tf.checkpoints.layouts import canonicalize
from unilmv2_tf.checkpoints.readers import CONFIG_NAME
from unilmv2_tf.checkpoints.readers import find_config
from unilmv2_tf.checkpoints.readers import find_weights
from unilmv2_tf.checkpoints.readers import open_tensors
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.checkpoints.sizes import complete_config

_ROBERTA = ("roberta", "xlm-roberta", "camembert")
# The first two rows of its table stand for no position.
_ROBERTA_POSITIONS = 514


class Checkpoint(NamedTuple):
    """A checkpoint, opened but not read.

    Args:
        path: path of the file of weights, or the object that holds them.
        kind: string, what it is.
        tensors: dict from the names in the file to NumPy arrays or
            `LazyArray`s.
        weights: `CanonicalWeights`, the same under canonical names.
        config: dict of official keys, complete.

    Example:

    >>> Checkpoint("model.safetensors", "BERT", {}, None, {}).kind
    'BERT'
    """

    path: object
    kind: str
    tensors: dict
    weights: object
    config: dict


def _check_no_roberta(path, tensors, config):
    """Refuses RoBERTa, which would load and then be fed wrong ids."""
    named = [name for name in tensors if name.startswith("roberta.")]
    if named:
        sign = f"the tensor {named[0]!r}"
    elif config.get("model_type") in _ROBERTA:
        sign = f"the model type {config['model_type']!r}"
    elif (
        config.get("max_position_embeddings") == _ROBERTA_POSITIONS
        and config.get("type_vocab_size") == 1
    ):
        sign = f"{_ROBERTA_POSITIONS} positions and one segment"
    else:
        return
    raise ValueError(
        f"{path} has {sign}: RoBERTa is not converted. Its weights would fit, "
        "its text would not: it has a byte-level BPE vocabulary, no segments "
        "and the padding id 1, where UniLMv2Tokenizer reads WordPiece with the "
        "padding id 0. Take a BERT, UniLM or MiniLM checkpoint."
    )


def _kind(tensors):
    names = " ".join(tensors)
    if "qkv_linear" in names:
        return "UniLM v2, fused projections"
    if "cls.predictions.decoder_weight" in names:
        return "s2s-ft, saved"
    return "UniLM v2" if "rel_pos_bias" in names else "BERT"


def _open_file(path, config):
    path = find_weights(path)
    if config is not None or find_config(path) is not None:
        config = read_config(config, path)
    tensors = open_tensors(path)
    _check_no_roberta(path, tensors, config or {})
    weights = canonicalize(tensors)
    completed = complete_config(config, weights, path)
    _check_no_roberta(path, {}, completed)
    return Checkpoint(path, _kind(tensors), tensors, weights, completed)


def _open_named(path, kind, tensors, config, changes):
    if changes is not None:
        config = {**config, **read_config(changes, path)}
    return Checkpoint(path, kind, tensors, canonicalize(tensors), config)


def _registered_name(path):
    config = pathlib.Path(path) / CONFIG_NAME
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    return content.get("registered_name")


def is_own_preset(source):
    """Tells whether a path is a preset folder of this package.

    Args:
        source: str or path.

    Returns:
        bool.

    Example:

    >>> is_own_preset("no/such/folder")
    False
    """
    return (_registered_name(source) or "").startswith("unilmv2_tf>")


def open_checkpoint(source, config=None):
    """Opens a checkpoint of any kind that can be converted.

    Args:
        source: what `load_official` takes as `path`.
        config: see `load_official`.

    Returns:
        A `Checkpoint`.

    Raises:
        ValueError: if the file or the configuration cannot be read, or they
            do not fit together.
        FileNotFoundError: if there is nothing at `source` or `config`.

    Example:

    >>> open_checkpoint("missing.bin")
    Traceback (most recent call last):
    ...
    FileNotFoundError: `path` must be a file of weights or a folder...
    """
    if not isinstance(source, (str, pathlib.Path)):
        if keras_hub_bert.is_bert(source):
            tensors, found = keras_hub_bert.read_model(source)
            kind = "KerasHub BERT"
        else:
            tensors, found = tensorflow_bert.read_model(source)
            kind = "Model Garden BERT"
        return _open_named(source, kind, tensors, found, config)
    registered_name = _registered_name(source)
    if "://" in str(source):
        registered_name = "keras_hub>BertBackbone"
    if registered_name is not None:
        tensors, found = keras_hub_bert.read_preset(source, registered_name)
        return _open_named(source, "KerasHub BERT", tensors, found, config)
    prefix = tensorflow_bert.find_prefix(source)
    if prefix is not None:
        tensors, found = tensorflow_bert.read_checkpoint(prefix, config)
        return _open_named(prefix, "TensorFlow BERT", tensors, found, None)
    return _open_file(source, config)
