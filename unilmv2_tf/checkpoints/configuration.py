"""Configurations of Hugging Face's keys, and the arguments of our models."""

import math
import numbers
import pathlib
import re
import warnings

from unilmv2_tf.checkpoints.layouts import INTERMEDIATE
from unilmv2_tf.checkpoints.layouts import POSITION_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import RELATIVE_TABLE
from unilmv2_tf.checkpoints.layouts import SEGMENT_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import WORD_EMBEDDINGS
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import UniLMv2TextClassifier

_SIZES = {
    "vocab_size": "vocabulary_size",
    "hidden_size": "hidden_dim",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "intermediate_dim",
    "max_position_embeddings": "max_sequence_length",
    "type_vocab_size": "num_segments",
}
# Whether each is the tanh approximation.
_ACTIVATIONS = {
    "gelu": False,
    "gelu_python": False,
    "gelu_new": True,
    "gelu_fast": True,
    "gelu_pytorch_tanh": True,
}
_SEGMENTS = {
    "source_type_id": "source_segment_id",
    "target_type_id": "target_segment_id",
}
# The class of Hugging Face's with the head of the task.
_ARCHITECTURES = {
    UniLMv2Backbone: "BertModel",
    UniLMv2PseudoMaskedLM: "BertForMaskedLM",
    UniLMv2Seq2SeqLM: "BertForMaskedLM",
    UniLMv2TextClassifier: "BertForSequenceClassification",
    UniLMv2QuestionAnswerer: "BertForQuestionAnswering",
}

# === Configuration -> arguments ===


def _integer(config, key, minimum):
    value = config.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        if value >= minimum:
            return value
    received = repr(value) if key in config else "no such key"
    raise ValueError(
        f"The configuration must hold an integer of at least {minimum} under "
        f"{key!r}. Received: {received}"
    )


def _number(config, key, default, below=math.inf):
    value = config.get(key, default)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value < below:
        raise ValueError(
            "The configuration must hold a number of at least 0 and below "
            f"{below} under {key!r}. Received: {value!r}"
        )
    return float(value)


def _one_of(config, key, default, accepted):
    value = config.get(key, default)
    if not isinstance(value, str) or value not in accepted:
        raise ValueError(
            "The configuration must have one of these under "
            f"{key!r}: {', '.join(accepted)}. Received: {value!r}"
        )
    return value


def backbone_arguments(config):
    """Translates a complete configuration to arguments of `UniLMv2Backbone`."""
    _one_of(config, "position_embedding_type", "absolute", ("absolute",))
    dropout = _number(config, "hidden_dropout_prob", 0.1, below=1)
    attention_dropout = _number(
        config, "attention_probs_dropout_prob", dropout, below=1
    )
    if attention_dropout != dropout:
        raise ValueError(
            "The model has one dropout rate, so hidden_dropout_prob and "
            "attention_probs_dropout_prob must agree. Received: "
            f"{dropout} and {attention_dropout}. Pass config= as a dict with "
            "the rate you want under both keys; without training they make no "
            "difference."
        )
    activation = _one_of(config, "hidden_act", "gelu", _ACTIVATIONS)
    buckets = _integer({"rel_pos_bins": 0, **config}, "rel_pos_bins", 0)
    arguments = {
        **{name: _integer(config, key, 1) for key, name in _SIZES.items()},
        "dropout": dropout,
        "layer_norm_epsilon": _number(config, "layer_norm_eps", 1e-12),
        "approximate_gelu": _ACTIVATIONS[activation],
        "num_relative_buckets": buckets,
    }
    if buckets:
        arguments["max_relative_distance"] = _integer(config, "max_rel_pos", 1)
    return arguments


def head_arguments(cls, config, arrays):
    """What configuration and tensors tell about the arguments of a task."""
    if issubclass(cls, UniLMv2Seq2SeqLM):
        return _segment_arguments(config)
    if issubclass(cls, UniLMv2TextClassifier) and "classifier.weight" in arrays:
        num_classes = len(arrays["classifier.weight"])
        names = label_names(config)
        if len(names) == num_classes > 1:
            return {"num_classes": num_classes, "label_names": names}
        return {"num_classes": num_classes}
    return {}


def _segment_arguments(config):
    arguments = {}
    for key in _SEGMENTS.keys() & config.keys():
        segment = _integer(config, key, 0)
        if segment >= config["type_vocab_size"]:
            raise ValueError(
                f"{key!r} must be below type_vocab_size="
                f"{config['type_vocab_size']}. Received: {segment}"
            )
        arguments[_SEGMENTS[key]] = segment
    return arguments


def _default_labels(count):
    return [f"LABEL_{number}" for number in range(count)]


def label_names(config):
    """The names of classes; empty where Hugging Face's defaults stand.

    >>> label_names({"id2label": {"1": "yes", "0": "no"}})
    ['no', 'yes']
    """
    labels = config.get("id2label") or {}
    numbers_from_0 = {str(number) for number in range(len(labels))}
    if not isinstance(labels, dict) or set(map(str, labels)) != numbers_from_0:
        raise ValueError(
            "'id2label' must give a name to each number from 0. Received: "
            f"{labels!r:.80}"
        )
    by_number = {int(number): str(name) for number, name in labels.items()}
    names = [by_number[number] for number in range(len(labels))]
    return [] if names == _default_labels(len(names)) else names


# === Model -> configuration ===


def model_config(model):
    """Describes a model, head included, by Hugging Face's keys."""
    backbone = getattr(model, "backbone", model)
    config = {key: getattr(backbone, name) for key, name in _SIZES.items()}
    config |= {
        "hidden_act": "gelu_new" if backbone.approximate_gelu else "gelu",
        "hidden_dropout_prob": backbone.dropout,
        "attention_probs_dropout_prob": backbone.dropout,
        "layer_norm_eps": backbone.layer_norm_epsilon,
        "initializer_range": 0.02,
        "pad_token_id": 0,
        # No other library has the relative bias, so a model with one must not
        # be taken for BERT.
        "model_type": "unilm" if backbone.num_relative_buckets else "bert",
        "architectures": [
            name
            for cls, name in _ARCHITECTURES.items()
            if isinstance(model, cls)
        ],
    }
    if backbone.num_relative_buckets:
        config["rel_pos_bins"] = backbone.num_relative_buckets
        config["max_rel_pos"] = backbone.max_relative_distance
    if isinstance(model, UniLMv2Seq2SeqLM):
        config |= {key: getattr(model, name) for key, name in _SEGMENTS.items()}
    if isinstance(model, UniLMv2TextClassifier):
        names = model.label_names or _default_labels(model.num_classes)
        config["id2label"] = {str(n): name for n, name in enumerate(names)}
        config["label2id"] = {name: n for n, name in enumerate(names)}
    return config


# === What a configuration leaves open ===

_CASED, _UNCASED = 28996, 30522
_KNOWN_SIZES = {
    "base": (12, 768, 12, 3072),
    "large": (24, 1024, 16, 4096),
    "l12-h384": (12, 384, 12, 1536),
}
# Published checkpoints: vocabulary, whether there is a relative bias, and the
# segments of source and target. UniLM 1 distinguishes its three kinds of
# training by segments, of which the last two are those of a source and a
# target.
_KNOWN_MODELS = {
    "unilm-base-cased": (_CASED, False, (4, 5)),
    "unilm-large-cased": (_CASED, False, (4, 5)),
    "unilm1-base-cased": (_CASED, False, (4, 5)),
    "unilm1-large-cased": (_CASED, False, (4, 5)),
    "unilm1.2-base-uncased": (_UNCASED, False, (0, 1)),
    "unilm2-base-uncased": (_UNCASED, True, (0, 1)),
    "unilm2-large-uncased": (_UNCASED, True, (0, 1)),
    "unilm2-large-cased": (_CASED, True, (0, 1)),
    "minilm-l12-h384-uncased": (_UNCASED, False, (0, 1)),
    "bert-base-cased": (_CASED, False, (0, 1)),
    "bert-base-uncased": (_UNCASED, False, (0, 1)),
    "bert-large-cased": (_CASED, False, (0, 1)),
    "bert-large-uncased": (_UNCASED, False, (0, 1)),
}
# BERT has no tensor from which the number of heads follows. Each of these
# hidden sizes has one published family, Google's miniatures and MiniLM.
_USUAL_HEADS = {128: 2, 256: 4, 384: 12, 512: 8, 768: 12, 1024: 16}
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")


def known_config(path):
    """Looks a published checkpoint up by the name of its file or folder.

    >>> known_config("unilm2-large-uncased.bin")["hidden_size"]
    1024
    >>> known_config("weights.bin")
    """
    path = pathlib.Path(path)
    for name in (path.name, path.parent.name):
        name = re.sub(r"\.(bin|pt|pth|safetensors)$", "", name.lower())
        if name in _KNOWN_MODELS:
            break
    else:
        return None
    vocabulary_size, is_relative, segments = _KNOWN_MODELS[name]
    size = next(size for size in _KNOWN_SIZES if f"-{size}-" in name)
    layers, hidden, heads, intermediate = _KNOWN_SIZES[size]
    config = {
        "vocab_size": vocabulary_size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.1,
        "source_type_id": segments[0],
        "target_type_id": segments[1],
    }
    return config | (
        {"rel_pos_bins": 32, "max_rel_pos": 128} if is_relative else {}
    )


def _sizes_of_tensors(arrays):
    sizes = {}
    for name, keys in (
        (WORD_EMBEDDINGS, ("vocab_size", "hidden_size")),
        (POSITION_EMBEDDINGS, ("max_position_embeddings",)),
        (SEGMENT_EMBEDDINGS, ("type_vocab_size",)),
        (INTERMEDIATE, ("intermediate_size",)),
        (RELATIVE_TABLE, ("num_attention_heads", "rel_pos_bins")),
    ):
        if name in arrays and arrays[name].ndim == 2:
            sizes.update(zip(keys, arrays[name].shape))
    layers = [int(found[1]) for found in map(_LAYER.match, arrays) if found]
    if layers:
        sizes["num_hidden_layers"] = max(layers) + 1
    return sizes


def _check_sizes(config, sizes, origin, remedy):
    """Before a model is built: a wrong size may be an enormous one."""
    for key, expected in config.items():
        if key in sizes and sizes[key] != expected:
            raise ValueError(
                f"{origin} has {key} {expected!r}, but the tensors have "
                f"{sizes[key]}. {remedy}"
            )
    if config.get("rel_pos_bins") and "rel_pos_bins" not in sizes:
        raise ValueError(
            f"{origin} has rel_pos_bins {config['rel_pos_bins']!r}, but the "
            "file holds no relative table (bert.rel_pos_bias.weight or "
            f"bert.encoder.rel_pos_bias.weight). {remedy}"
        )


def complete_config(config, arrays, path):
    """Fills what a configuration leaves open.

    It is read off the shapes of the tensors. Where there is no configuration
    at all (`None`), the rest comes from the name of a published checkpoint, or
    is assumed to be as usual, with a warning.

    >>> import numpy as np
    >>> complete_config({"num_attention_heads": 4},
    ...                 {WORD_EMBEDDINGS: np.zeros((99, 8))}, "weights.bin")
    {'vocab_size': 99, 'hidden_size': 8, 'num_attention_heads': 4}
    """
    sizes = _sizes_of_tensors(arrays)
    if config is not None:
        _check_sizes(
            config,
            sizes,
            "The configuration",
            "Pass the configuration that belongs to the file.",
        )
        return {**sizes, **config}
    known = known_config(path)
    if known is None:
        return _with_usual_values(sizes)
    _check_sizes(
        known,
        sizes,
        f"By its name, {str(path)!r}",
        "Rename it, or pass the configuration that belongs to it, config=.",
    )
    completed = {**known, **sizes}
    if completed["target_type_id"] >= completed.get("type_vocab_size", 0):
        completed.update(source_type_id=0, target_type_id=1)
    return completed


def _with_usual_values(sizes):
    assumed = {}
    if "num_attention_heads" not in sizes:
        hidden = sizes.get("hidden_size")
        if hidden not in _USUAL_HEADS:
            raise ValueError(
                "The number of attention heads follows from no tensor of "
                f"BERT, and hidden_size {hidden} is not that of a well-known "
                'model. Pass a configuration with "num_attention_heads", '
                "config=."
            )
        assumed["num_attention_heads"] = _USUAL_HEADS[hidden]
    if "rel_pos_bins" in sizes:
        assumed["max_rel_pos"] = 128
    assumed["layer_norm_eps"] = 1e-12
    warnings.warn(
        f"There is no configuration, and no tensor tells {assumed}: these "
        "values are assumed, as well-known models of these sizes have them. "
        "If they are wrong, the model is wrong: pass a configuration.",
        stacklevel=3,
    )
    return {**sizes, **assumed}


# === What is not BERT ===

_ROBERTA = ("roberta", "xlm-roberta", "camembert")
# RoBERTa's first two positions are reserved for padding.
_ROBERTA_POSITIONS = 514


def check_is_bert(path, arrays, config):
    """Refuses RoBERTa: its weights would load, and its ids be wrong."""
    named = [name for name in arrays if name.startswith("roberta.")]
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
        f"{path} has {sign}: RoBERTa is not converted. It has a byte-level BPE "
        "vocabulary, no segments and the padding id 1, where UniLMv2Tokenizer "
        "reads WordPiece with the padding id 0. Use a BERT, UniLM or MiniLM "
        "checkpoint."
    )
