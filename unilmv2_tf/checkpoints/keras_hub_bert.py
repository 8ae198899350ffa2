"""KerasHub's BERT, as official tensors and configuration."""

import os

import keras_hub
import numpy as np

from unilmv2_tf.checkpoints.keras_names import translate
from unilmv2_tf.checkpoints.lazy_array import LazyArray


def is_bert(model):
    """Tells whether an object is a BERT of KerasHub's.

    Args:
        model: any object.

    Returns:
        bool: True for a `BertBackbone` and a `BertMaskedLM`.

    Example:

    >>> is_bert(None)
    False
    """
    return isinstance(
        model, (keras_hub.models.BertBackbone, keras_hub.models.BertMaskedLM)
    )


def read_model(model):
    """Lists the weights of a BERT of KerasHub's.

    Args:
        model: a `keras_hub.models.BertBackbone` or `BertMaskedLM`.

    Returns:
        A tuple of a dict from official names to `LazyArray`s, and a dict of
        official keys.

    Example:

    >>> model = keras_hub.models.BertBackbone(
    ...     vocabulary_size=30, num_layers=1, num_heads=2, hidden_dim=8,
    ...     intermediate_dim=12, max_sequence_length=10)
    >>> tensors, config = read_model(model)
    >>> tensors["bert.encoder.layer.0.intermediate.dense.weight"].shape
    (12, 8)
    >>> config["hidden_act"]
    'gelu_new'
    """
    backbone = getattr(model, "backbone", None) or model
    variables = {
        variable.path: _lazy(variable)
        for variable in model.variables
        if "seed_generator" not in variable.path
    }
    tensors = translate(variables)
    config = {
        "vocab_size": backbone.vocabulary_size,
        "hidden_size": backbone.hidden_dim,
        "num_hidden_layers": backbone.num_layers,
        "num_attention_heads": backbone.num_heads,
        "intermediate_size": backbone.intermediate_dim,
        "max_position_embeddings": backbone.max_sequence_length,
        "type_vocab_size": backbone.num_segments,
        # It takes the tanh approximation, as Google's BERT does.
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": backbone.dropout,
        "layer_norm_eps": 1e-12,
    }
    return tensors, config


def _lazy(variable):
    return LazyArray(
        tuple(variable.shape), str(variable.dtype), lambda: np.array(variable)
    )


def read_preset(preset, registered_name="keras_hub>BertBackbone"):
    """Loads a preset of KerasHub's BERT.

    Args:
        preset: str or path of a preset folder, or a handle that KerasHub
            takes, `kaggle://...` for example.
        registered_name: string. The class in the preset's `config.json`.

    Returns:
        As `read_model`.

    Raises:
        ValueError: if the preset is of another class.

    Example:

    >>> read_preset("some/preset", "keras_hub>GemmaBackbone")
    Traceback (most recent call last):
    ...
    ValueError: A KerasHub preset must be one of BERT's...
    """
    if registered_name != "keras_hub>BertBackbone":
        raise ValueError(
            "A KerasHub preset must be one of BERT's to be converted. "
            f"Received: {os.fspath(preset)!r} of the class {registered_name}. "
            "A preset of this package needs no conversion: `from_preset` "
            "loads it."
        )
    preset = os.fspath(preset)
    if os.path.exists(os.path.join(preset, "task.weights.h5")):
        return read_model(
            keras_hub.models.BertMaskedLM.from_preset(preset, preprocessor=None)
        )
    return read_model(keras_hub.models.BertBackbone.from_preset(preset))
