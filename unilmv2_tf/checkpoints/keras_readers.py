"""Readers of BERT in Keras: KerasHub, Model Garden, Google's checkpoints."""

import os
import pathlib
import re

import keras_hub
import numpy as np

from unilmv2_tf.checkpoints.configuration import sizes_of_backbone
from unilmv2_tf.checkpoints.layouts import WORD_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import Checkpoint
from unilmv2_tf.checkpoints.layouts import from_keras_name
from unilmv2_tf.checkpoints.layouts import from_keras_shape
from unilmv2_tf.checkpoints.readers import WEIGHT_NAMES
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.checkpoints.readers import registered_name

# Google's BERT means the tanh approximation by "gelu", and so does the lambda
# that is the default of Model Garden's constructors.
_GOOGLE_GELU = "gelu_new"
_ENCODER_ACTIVATIONS = {"<lambda>": _GOOGLE_GELU, "gelu": "gelu"}
_GOOGLE_CONFIG_NAME = "bert_config.json"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# What training stores beside the weights.
_TRAINING = re.compile(
    r"(^|/)(global_step|save_counter|adam\w*|optimizer|iter\w*|learning_rate|"
    r"momentum|beta_\d|decay)(/|$)|\.OPTIMIZER_SLOT|[/_][mv]$",
    re.IGNORECASE,
)


def _common_arrays(variables, origin):
    arrays = {}
    for path, values in variables:
        name = from_keras_name(path) or path
        if name in arrays:
            raise ValueError(
                f"{origin}: two variables are named {path!r}. Save the "
                "encoder alone: tf.train.Checkpoint(encoder=encoder)."
            )
        arrays[name] = from_keras_shape(name, values)
    return arrays


def read_keras_hub_preset(source, config=None):
    """Reads a BERT preset of KerasHub's: a folder or a handle."""
    preset = os.fspath(source)
    name = registered_name(preset)
    if name not in ("", "keras_hub>BertBackbone"):
        raise ValueError(
            "A KerasHub preset must be a BERT to be converted. Received: "
            f"{preset!r} of the class {name}. A preset of this package needs "
            "no conversion: load it with `from_preset`."
        )
    if os.path.exists(os.path.join(preset, "task.weights.h5")):
        cls, kwargs = keras_hub.models.BertMaskedLM, {"preprocessor": None}
    else:
        cls, kwargs = keras_hub.models.BertBackbone, {}
    model = cls.from_preset(preset, **kwargs)
    checkpoint = read_keras_hub_model(model, config)
    checkpoint.path = source
    return checkpoint


def read_keras_hub_model(model, config=None):
    """Reads a `BertBackbone` or a `BertMaskedLM` of KerasHub's."""
    backbone = getattr(model, "backbone", model)
    found = {
        **sizes_of_backbone(backbone),
        # KerasHub uses the tanh approximation, as Google's BERT does.
        "hidden_act": _GOOGLE_GELU,
        "hidden_dropout_prob": backbone.dropout,
        "layer_norm_eps": 1e-12,
        **read_config(config or {}),
    }
    variables = [
        (variable.path, np.array(variable))
        for variable in model.variables
        if "seed_generator" not in variable.path
    ]
    arrays = _common_arrays(variables, model.name)
    return Checkpoint(model, "KerasHub BERT", arrays, found)


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
        **read_config(config or {}),
    }
    variables = [(each.name, each.numpy()) for each in encoder.variables]
    arrays = _common_arrays(variables, encoder.name)
    return Checkpoint(encoder, "Model Garden BERT", arrays, found)


# === TensorFlow checkpoints ===


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
    return prefix if prefix.with_name(f"{stem}.index").exists() else None


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
    arrays = _common_arrays(variables, prefix)
    if WORD_EMBEDDINGS not in arrays:
        raise ValueError(
            f"{prefix}: a TensorFlow checkpoint must hold the variables of "
            "Google's BERT or of Model Garden's BertEncoder. Received: "
            f"{sorted(arrays)[:4]}, ..."
        )
    found = {"hidden_act": _GOOGLE_GELU}
    for path, values in variables:
        # Model Garden's kernels of attention have an axis of heads.
        if path.endswith("query/kernel") and values.ndim == 3:
            found["num_attention_heads"] = values.shape[1]
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
    return Checkpoint(prefix, "TensorFlow BERT", arrays, found)


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
            attribute.checkpoint_key: attribute.full_name
            for node in graph.nodes
            for attribute in node.attributes
        }
    return [
        (name.split(":")[0] or key, reader.get_tensor(key))
        for key, name in names.items()
        if shapes.get(key)
        and not _TRAINING.search(key)
        and not _TRAINING.search(name)
    ]
