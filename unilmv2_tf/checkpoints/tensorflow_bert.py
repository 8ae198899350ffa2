"""BERT in TensorFlow checkpoints: Model Garden's encoders, Google's files."""

import pathlib
import re

from unilmv2_tf.checkpoints.keras_names import number_of_heads
from unilmv2_tf.checkpoints.keras_names import official_name
from unilmv2_tf.checkpoints.keras_names import translate
from unilmv2_tf.checkpoints.layouts import canonicalize
from unilmv2_tf.checkpoints.lazy_array import LazyArray
from unilmv2_tf.checkpoints.readers import WEIGHT_NAMES
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.checkpoints.sizes import complete_config

GOOGLE_CONFIG_NAME = "bert_config.json"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
# What a training keeps beside the weights.
_TRAINING = re.compile(
    r"(^|/)(global_step|save_counter|adam\w*|optimizer|iter\w*|learning_rate|"
    r"momentum|beta_\d|decay)(/|$)|\.OPTIMIZER_SLOT|[/_][mv]$",
    re.IGNORECASE,
)
# Model Garden's default, and what Google's BERT means by "gelu".
_GOOGLE_GELU = "gelu_new"
# The default of its constructors is a lambda, with the tanh approximation.
_ENCODER_ACTIVATIONS = {"<lambda>": _GOOGLE_GELU, "gelu": "gelu"}


def find_prefix(source):
    """Finds the TensorFlow checkpoint that a path stands for.

    Args:
        source: str or path: the prefix of a checkpoint, one of its files, or
            a folder that holds one.

    Returns:
        The prefix, a path, or `None` if there is no such checkpoint.

    Example:

    >>> find_prefix("no/such/folder")
    """
    path = pathlib.Path(source).expanduser()
    if path.is_dir():
        if any((path / name).exists() for name in WEIGHT_NAMES):
            return None
        indices = sorted(path.glob("*.index"))
        if len(indices) > 1:
            raise ValueError(
                f"{str(path)!r} holds {len(indices)} checkpoints. Pass the one "
                f"that is meant: {[str(index)[:-6] for index in indices][:8]}"
            )
        return indices[0].with_suffix("") if indices else None
    stem = re.sub(r"\.(index|data-\d+-of-\d+)$", "", path.name)
    prefix = path.with_name(stem) if stem else path
    index = prefix.with_name(f"{prefix.name}.index")
    return prefix if index.exists() else None


def _open_variables(prefix):
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        dtypes = reader.get_variable_to_dtype_map()
        names = {key: key for key in shapes}
        if _GRAPH in shapes:
            graph = trackable_object_graph_pb2.TrackableObjectGraph()
            graph.ParseFromString(reader.get_tensor(_GRAPH))
            names = {
                attribute.checkpoint_key: attribute.full_name
                for node in graph.nodes
                for attribute in node.attributes
            }
    # IndexError, RuntimeError, DataLossError, DecodeError: it depends.
    except Exception as error:
        raise ValueError(
            f"{prefix}: not a readable TensorFlow checkpoint ({error}). Its "
            "files are damaged or incomplete."
        ) from error
    variables = {}
    for key, name in names.items():
        if key not in shapes or not shapes[key]:
            continue
        if _TRAINING.search(key) or _TRAINING.search(name):
            continue
        path = _without_model(name or key)
        if path in variables:
            raise ValueError(
                f"{prefix}: two variables are named {path!r}. Save the "
                "encoder alone: tf.train.Checkpoint(encoder=encoder)."
            )
        variables[path] = LazyArray(
            shapes[key],
            dtypes[key].as_numpy_dtype,
            _Reading(prefix, reader, key),
        )
    return variables


class _Reading:
    def __init__(self, prefix, reader, key):
        self._prefix, self._reader, self._key = prefix, reader, key

    def __call__(self):
        try:
            return self._reader.get_tensor(self._key)
        # IndexError, RuntimeError, DataLossError: it depends on the damage.
        except Exception as error:
            raise ValueError(
                f"{self._prefix}: {self._key!r} cannot be read ({error}). The "
                "checkpoint is damaged or incomplete."
            ) from error


def _without_model(name):
    """Takes the model's name, of whatever depth, off a variable's."""
    parts = name.split(":")[0].split("/")
    for start in range(len(parts)):
        candidate = "/".join(parts[start:])
        if official_name(candidate) is not None:
            return candidate
    return name


def read_checkpoint(prefix, config=None):
    """Lists the weights of BERT in a TensorFlow checkpoint.

    Args:
        prefix: path, as of `find_prefix`.
        config: dict or path of a JSON file, with official keys. Defaults to
            `None`, the `bert_config.json` beside the checkpoint. Model
            Garden's checkpoints need none.

    Returns:
        A tuple of a dict from official names to `LazyArray`s, and a dict of
        official keys.

    Raises:
        ValueError: if the checkpoint is damaged, or holds no BERT.

    Example:

    >>> read_checkpoint("no/such/checkpoint")
    Traceback (most recent call last):
    ...
    ValueError: no/such/checkpoint: not a readable TensorFlow checkpoint...
    """
    variables = _open_variables(prefix)
    tensors = translate(variables)
    if "bert.embeddings.word_embeddings.weight" not in tensors:
        raise ValueError(
            f"{prefix}: a TensorFlow checkpoint must hold the variables of "
            "Google's BERT or of Model Garden's BertEncoder. Received: "
            f"{sorted(variables)[:4]}, ..."
        )
    found = {"hidden_act": _GOOGLE_GELU}
    heads = number_of_heads(variables)
    if heads is not None:
        found["num_attention_heads"] = heads
    beside = pathlib.Path(prefix).with_name(GOOGLE_CONFIG_NAME)
    if config is not None or beside.exists():
        given = read_config(config if config is not None else beside, prefix)
        found = {**found, **given}
        if found["hidden_act"] == "gelu":
            found["hidden_act"] = _GOOGLE_GELU
    elif heads is None:
        raise ValueError(
            f"{prefix}: the number of attention heads is in no variable of "
            f"Google's BERT. Put its {GOOGLE_CONFIG_NAME} beside it, or pass "
            "config=."
        )
    return tensors, complete_config(found, canonicalize(tensors), prefix)


def read_model(encoder):
    """Lists the weights of one of Model Garden's BERT encoders.

    Args:
        encoder: a `BertEncoder` or `BertEncoderV2` of
            `official.nlp.modeling.networks`.

    Returns:
        As `read_checkpoint`.

    Raises:
        ValueError: if it is something else, or an encoder that differs from
            BERT.

    Example:

    >>> read_model("encoder")
    Traceback (most recent call last):
    ...
    ValueError: `path` must be a path, a BERT of KerasHub's, or a BertEncoder...
    """
    if type(encoder).__name__ not in ("BertEncoder", "BertEncoderV2"):
        raise ValueError(
            "`path` must be a path, a BERT of KerasHub's, or a BertEncoder of "
            f"Model Garden's. Received: {encoder!r:.80}"
        )
    settings = encoder.get_config()
    _check_is_bert(settings)
    variables = {
        _without_model(variable.name): LazyArray(
            tuple(variable.shape),
            variable.dtype.as_numpy_dtype,
            variable.numpy,
        )
        for variable in encoder.variables
    }
    tensors = translate(variables)
    config = {
        "hidden_act": _ENCODER_ACTIVATIONS[settings["inner_activation"]],
        "num_attention_heads": settings["num_attention_heads"],
        "hidden_dropout_prob": settings["output_dropout"],
    }
    return tensors, complete_config(config, canonicalize(tensors), "encoder")


def _check_is_bert(settings):
    for key, expected in (
        ("norm_first", (False,)),
        ("embedding_width", (settings["hidden_size"], None)),
        ("inner_activation", tuple(_ENCODER_ACTIVATIONS)),
    ):
        if settings[key] not in expected:
            raise ValueError(
                f"A Model Garden encoder must have {key} "
                f"{' or '.join(map(repr, expected))} to be BERT. Received: "
                f"{key}={settings[key]!r}"
            )
