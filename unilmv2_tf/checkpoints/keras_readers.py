"""Readers of BERT in Keras: KerasHub, Model Garden, Google's checkpoints."""

import os
import pathlib
import re

import keras_hub
import numpy as np

from unilmv2_tf.checkpoints.layouts import WORD_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import from_keras_name
from unilmv2_tf.checkpoints.layouts import from_keras_shape
from unilmv2_tf.checkpoints.readers import WEIGHT_NAMES
from unilmv2_tf.checkpoints.readers import Tensors
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.checkpoints.readers import registered_name

# === KerasHub ===


def _from_keras(variables):
    arrays = {}
    for path, values in variables.items():
        name = from_keras_name(path)
        if name is not None:
            values = from_keras_shape(name, values)
        arrays[name or path] = values
    return arrays


def read_keras_hub_preset(source, config=None):
    """Reads a BERT preset of KerasHub's: a folder or a handle."""
    preset = os.fspath(source)
    name = registered_name(preset)
    if name not in (None, "keras_hub>BertBackbone"):
        raise ValueError(
            "A KerasHub preset must be a BERT to be converted. Received: "
            f"{preset!r} of the class {name}. A preset of this package needs "
            "no conversion: load it with `from_preset`."
        )
    if os.path.exists(os.path.join(preset, "task.weights.h5")):
        model = keras_hub.models.BertMaskedLM.from_preset(
            preset, preprocessor=None
        )
    else:
        model = keras_hub.models.BertBackbone.from_preset(preset)
    return read_keras_hub_model(model, config)._replace(path=source)


def read_keras_hub_model(model, config=None):
    """Reads a `BertBackbone` or a `BertMaskedLM` of KerasHub's."""
    backbone = getattr(model, "backbone", model)
    found = {
        "vocab_size": backbone.vocabulary_size,
        "hidden_size": backbone.hidden_dim,
        "num_hidden_layers": backbone.num_layers,
        "num_attention_heads": backbone.num_heads,
        "intermediate_size": backbone.intermediate_dim,
        "max_position_embeddings": backbone.max_sequence_length,
        "type_vocab_size": backbone.num_segments,
        # KerasHub uses the tanh approximation, as Google's BERT does.
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": backbone.dropout,
        "layer_norm_eps": 1e-12,
    }
    if config is not None:
        found |= read_config(config, None)
    variables = {
        variable.path: np.array(variable)
        for variable in model.variables
        if "seed_generator" not in variable.path
    }
    return Tensors(model, "KerasHub BERT", _from_keras(variables), found)


# === TensorFlow checkpoints and Model Garden ===

_GOOGLE_CONFIG_NAME = "bert_config.json"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# What training stores beside the weights.
_TRAINING = re.compile(
    r"(^|/)(global_step|save_counter|adam\w*|optimizer|iter\w*|learning_rate|"
    r"momentum|beta_\d|decay)(/|$)|\.OPTIMIZER_SLOT|[/_][mv]$",
    re.IGNORECASE,
)
# Google's BERT means the tanh approximation by "gelu", and so does the lambda
# that is the default of Model Garden's constructors.
_GOOGLE_GELU = "gelu_new"
_ENCODER_ACTIVATIONS = {"<lambda>": _GOOGLE_GELU, "gelu": "gelu"}


def find_prefix(source):
    """The prefix of the TensorFlow checkpoint at a path, or `None`."""
    path = pathlib.Path(source).expanduser()
    if path.is_dir():
        if any((path / name).exists() for name in WEIGHT_NAMES):
            return None
        indices = sorted(path.glob("*.index"))
        if len(indices) > 1:
            raise ValueError(
                f"{str(path)!r} holds {len(indices)} checkpoints. Pass one of "
                f"them: {[str(index)[:-6] for index in indices][:8]}"
            )
        return indices[0].with_suffix("") if indices else None
    stem = re.sub(r"\.(index|data-\d+-of-\d+)$", "", path.name)
    prefix = path.with_name(stem) if stem else path
    index = prefix.with_name(f"{prefix.name}.index")
    return prefix if index.exists() else None


def _read_variables(prefix):
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(str(prefix))
    shapes = reader.get_variable_to_shape_map()
    names = {key: key for key in shapes}
    if _GRAPH in shapes:
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor(_GRAPH))
        names = {
            attribute.checkpoint_key: attribute.full_name or key
            for node in graph.nodes
            for attribute in node.attributes
            if (key := attribute.checkpoint_key) in shapes
        }
    return [
        (name, reader.get_tensor(key))
        for key, name in names.items()
        if shapes[key]
        and not _TRAINING.search(key)
        and not _TRAINING.search(name)
    ]


def read_tensorflow_checkpoint(source, config=None):
    """Reads Google's BERT, or an encoder of Model Garden's."""
    prefix = find_prefix(source)
    try:
        variables = _read_variables(prefix)
    # IndexError, RuntimeError, DataLossError, DecodeError: it depends.
    except Exception as error:
        raise ValueError(
            f"{prefix}: not a readable TensorFlow checkpoint ({error}). Its "
            "files are damaged or incomplete."
        ) from error
    found = {"hidden_act": _GOOGLE_GELU}
    arrays = {}
    for path, values in variables:
        name = from_keras_name(path)
        if name is None:
            name = path
        elif name.endswith("query.weight") and values.ndim == 3:
            found["num_attention_heads"] = values.shape[1]
        if name in arrays:
            raise ValueError(
                f"{prefix}: two variables are named {path!r}. Save the "
                "encoder alone: tf.train.Checkpoint(encoder=encoder)."
            )
        arrays[name] = from_keras_shape(name, values)
    if WORD_EMBEDDINGS not in arrays:
        raise ValueError(
            f"{prefix}: a TensorFlow checkpoint must hold the variables of "
            "Google's BERT or of Model Garden's BertEncoder. Received: "
            f"{sorted(arrays)[:4]}, ..."
        )
    beside = prefix.with_name(_GOOGLE_CONFIG_NAME)
    if config is not None or beside.exists():
        found |= read_config(config, beside)
        if found["hidden_act"] == "gelu":
            found["hidden_act"] = _GOOGLE_GELU
    elif "num_attention_heads" not in found:
        raise ValueError(
            f"{prefix}: the number of attention heads follows from no "
            f"variable of Google's BERT. Put its {_GOOGLE_CONFIG_NAME} beside "
            "it, or pass config=."
        )
    return Tensors(prefix, "TensorFlow BERT", arrays, found)


def read_model_garden_encoder(encoder, config=None):
    """Reads a `BertEncoder` or a `BertEncoderV2` of Model Garden's."""
    if type(encoder).__name__ not in ("BertEncoder", "BertEncoderV2"):
        raise ValueError(
            "`path` must be a path, a BERT of KerasHub's, or a BertEncoder of "
            f"Model Garden's. Received: {encoder!r:.80}"
        )
    settings = encoder.get_config()
    for key, accepted in (
        ("norm_first", (False,)),
        ("embedding_width", (settings["hidden_size"], None)),
        ("inner_activation", tuple(_ENCODER_ACTIVATIONS)),
    ):
        if settings[key] not in accepted:
            raise ValueError(
                f"A Model Garden encoder must have {key} "
                f"{' or '.join(map(repr, accepted))} to be BERT. Received: "
                f"{key}={settings[key]!r}"
            )
    found = {
        "hidden_act": _ENCODER_ACTIVATIONS[settings["inner_activation"]],
        "num_attention_heads": settings["num_attention_heads"],
        "hidden_dropout_prob": settings["output_dropout"],
    }
    if config is not None:
        found |= read_config(config, None)
    variables = {
        variable.name: variable.numpy() for variable in encoder.variables
    }
    return Tensors(encoder, "Model Garden BERT", _from_keras(variables), found)
