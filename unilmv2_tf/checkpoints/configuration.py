"""Configurations with Hugging Face's keys, and the arguments of our models."""

import math
import pathlib
import re
import warnings

from unilmv2_tf import models
from unilmv2_tf.checkpoints import layouts

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
# UniLM 1 distinguishes its three kinds of training by six segments; the last
# two are those of a source and a target.
_UNILM_1 = {"source_type_id": 4, "target_type_id": 5}
_MULTI_LABEL = "multi_label_classification"
# The class of Hugging Face's with the head of the task.
_ARCHITECTURES = {
    models.UniLMv2Backbone: "BertModel",
    models.UniLMv2PseudoMaskedLM: "BertForMaskedLM",
    models.UniLMv2Seq2SeqLM: "BertForMaskedLM",
    models.UniLMv2TextClassifier: "BertForSequenceClassification",
    models.UniLMv2QuestionAnswerer: "BertForQuestionAnswering",
}

# What it means where a configuration does not say it.
_DEFAULTS = {
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "rel_pos_bins": 0,
}

# === Configuration -> arguments ===


def _value(config, key, is_valid, rule):
    if not is_valid(config.get(key)):
        received = repr(config[key]) if key in config else "no such key"
        raise ValueError(
            f"The configuration must hold {rule} under {key!r}. Received: "
            f"{received}"
        )
    return config[key]


def _integer(config, key, minimum=1):
    return _value(
        config,
        key,
        lambda value: type(value) is int and value >= minimum,
        f"an integer of at least {minimum}",
    )


def _number(config, key, below=math.inf):
    return _value(
        config,
        key,
        lambda value: type(value) in (int, float) and 0 <= value < below,
        f"a number of at least 0 and below {below}",
    )


def _one_of(config, key, accepted):
    rule = f"one of {', '.join(accepted)}"
    return _value(config, key, lambda value: value in accepted, rule)


def backbone_arguments(config):
    """Translates a complete configuration to arguments of `UniLMv2Backbone`."""
    config = {**_DEFAULTS, **config}
    _one_of(config, "position_embedding_type", ["absolute"])
    activation = _one_of(config, "hidden_act", [*_ACTIVATIONS])
    dropout = _number(config, "hidden_dropout_prob", below=1)
    key = "attention_probs_dropout_prob"
    if config.get(key, dropout) != dropout:
        raise ValueError(
            "The model has one dropout rate, so hidden_dropout_prob and "
            f"{key} must agree. Received: {dropout} and {config[key]!r}. Pass "
            "config= as a dict with the rate you want under both keys; "
            "without training they make no difference."
        )
    buckets = _integer(config, "rel_pos_bins", minimum=0)
    arguments = {
        **{name: _integer(config, key) for key, name in _SIZES.items()},
        "dropout": float(dropout),
        "layer_norm_epsilon": float(_number(config, "layer_norm_eps")),
        "approximate_gelu": _ACTIVATIONS[activation],
        "num_relative_buckets": buckets,
    }
    if buckets:
        arguments["max_relative_distance"] = _integer(config, "max_rel_pos")
    return arguments


def head_arguments(cls, config, arrays):
    """What configuration and tensors tell about the arguments of a task."""
    arguments = {}
    if issubclass(cls, models.UniLMv2Seq2SeqLM):
        if (
            config["type_vocab_size"] == 6
            and not config.keys() >= _UNILM_1.keys()
        ):
            config = {**_UNILM_1, **config}
            warnings.warn(
                "The segment table has six rows, as UniLM 1's: the source is "
                f"segment {config['source_type_id']}, the target "
                f"{config['target_type_id']}.",
                stacklevel=5,
            )
        for key in _SEGMENTS.keys() & config.keys():
            segment = _integer(config, key, 0)
            if segment >= config["type_vocab_size"]:
                raise ValueError(
                    f"{key!r} must be below type_vocab_size="
                    f"{config['type_vocab_size']}. Received: {segment}"
                )
            arguments[_SEGMENTS[key]] = segment
    kernel = arrays.get("classifier.weight")
    if issubclass(cls, models.UniLMv2TextClassifier) and kernel is not None:
        arguments["num_classes"] = len(kernel)
        names = label_names(config)
        is_multi_label = config.get("problem_type") == _MULTI_LABEL
        if is_multi_label:
            arguments["multi_label"] = True
        if len(names) == len(kernel) and (len(kernel) > 1 or is_multi_label):
            arguments["label_names"] = names
    return arguments


def foreign_head(config, arrays):
    """Whose head `classifier.weight` is, if not that of a text classifier."""
    kernel = arrays.get("classifier.weight")
    architectures = str(config.get("architectures") or "").strip("[]'")
    if kernel is None:
        return ""
    if architectures and "ForSequenceClassification" not in architectures:
        return f"the head of {architectures}"
    if "pooler.dense.weight" not in arrays:
        return "the head of a tagger, as there is no pooler"
    if config.get("problem_type") == "regression" and len(kernel) > 1:
        return f"the head of a regression of {len(kernel)} values"
    return ""


def label_names(config):
    """The names of classes; empty where Hugging Face's defaults stand."""
    labels = config.get("id2label") or {}
    numbers = [str(number) for number in range(len(labels))]
    if not isinstance(labels, dict) or {*map(str, labels)} != {*numbers}:
        raise ValueError(
            "'id2label' must give a name to each number from 0. Received: "
            f"{labels!r:.80}"
        )
    by_number = {str(number): str(name) for number, name in labels.items()}
    names = [by_number[number] for number in numbers]
    return [] if names == [f"LABEL_{number}" for number in numbers] else names


# === Model -> configuration ===


def sizes_of_backbone(backbone):
    """The sizes of a backbone of ours, or of KerasHub's `BertBackbone`."""
    return {key: getattr(backbone, name) for key, name in _SIZES.items()}


def model_config(model, tokenizer=None):
    """Describes a model of ours, head included."""
    backbone = getattr(model, "backbone", model)
    is_relative = backbone.num_relative_buckets > 0
    config = {
        **sizes_of_backbone(backbone),
        "hidden_act": "gelu_new" if backbone.approximate_gelu else "gelu",
        "hidden_dropout_prob": backbone.dropout,
        "attention_probs_dropout_prob": backbone.dropout,
        "layer_norm_eps": backbone.layer_norm_epsilon,
        "initializer_range": 0.02,
        "pad_token_id": getattr(tokenizer, "pad_token_id", 0),
        # No other library has the relative bias, so a model with one must not
        # be taken for BERT.
        "model_type": "unilm" if is_relative else "bert",
        "architectures": [
            name
            for cls, name in _ARCHITECTURES.items()
            if isinstance(model, cls)
        ],
    }
    if is_relative:
        config["rel_pos_bins"] = backbone.num_relative_buckets
        config["max_rel_pos"] = backbone.max_relative_distance
    if isinstance(model, models.UniLMv2Seq2SeqLM):
        config |= {key: getattr(model, name) for key, name in _SEGMENTS.items()}
    if isinstance(model, models.UniLMv2TextClassifier):
        names = model.label_names or [
            f"LABEL_{number}" for number in range(model.num_classes)
        ]
        config["id2label"] = {str(n): name for n, name in enumerate(names)}
        config["label2id"] = {name: n for n, name in enumerate(names)}
        if model.multi_label:
            config["problem_type"] = _MULTI_LABEL
    return config


# === What a configuration leaves open ===

_PUBLISHED = re.compile(
    r"(unilm1?|unilm1\.2|unilm2|minilm|bert)-(base|large|l12-h384)-(un)?cased"
)
# BERT has no tensor from which the number of heads follows. Each of these
# hidden sizes has one published family, Google's miniatures and MiniLM.
_USUAL_HEADS = {128: 2, 256: 4, 384: 12, 512: 8, 768: 12, 1024: 16}
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")


def published_name(path):
    """The name of a published checkpoint that a file or its folder has."""
    for name in (pathlib.Path(path).name, pathlib.Path(path).parent.name):
        name = re.sub(r"\.(bin|pt|pth|safetensors)$", "", name.lower())
        if _PUBLISHED.fullmatch(name):
            return name
    return ""


def complete_config(config, arrays, path):
    """Fills what a configuration, `None` if there is none, leaves open."""
    sizes = _sizes_of_tensors(arrays)
    _check_is_bert(path, arrays, {**sizes, **(config or {})})
    if config is not None:
        _check_sizes(config, sizes, "The configuration")
        return {**sizes, **config}
    assumed = {"layer_norm_eps": 1e-12}
    if "rel_pos_bins" in sizes:
        assumed["max_rel_pos"] = 128
    else:
        hidden = sizes.get("hidden_size")
        if hidden not in _USUAL_HEADS:
            raise ValueError(
                "The number of attention heads follows from no tensor of "
                f"BERT, and hidden_size {hidden} is not that of a well-known "
                'model. Pass a configuration with "num_attention_heads", '
                "config=."
            )
        assumed["num_attention_heads"] = _USUAL_HEADS[hidden]
    name = published_name(path)
    if name.startswith("unilm2"):
        _check_sizes({"rel_pos_bins": 32}, sizes, f"By its name, {path}")
    if not name:
        warnings.warn(
            f"There is no configuration, and no tensor tells {assumed}: these "
            "values are assumed, as well-known models of these sizes have "
            "them. If they are wrong, the model is wrong: pass one.",
            stacklevel=3,
        )
    return {**sizes, **assumed}


def _sizes_of_tensors(arrays):
    sizes = {}
    for name, keys in (
        (layouts.WORD_EMBEDDINGS, ("vocab_size", "hidden_size")),
        (layouts.POSITION_EMBEDDINGS, ("max_position_embeddings",)),
        (layouts.SEGMENT_EMBEDDINGS, ("type_vocab_size",)),
        (layouts.INTERMEDIATE, ("intermediate_size",)),
        (layouts.RELATIVE_TABLE, ("num_attention_heads", "rel_pos_bins")),
    ):
        if name in arrays and arrays[name].ndim == 2:
            sizes.update(zip(keys, arrays[name].shape))
    layers = [int(found[1]) for found in map(_LAYER.match, arrays) if found]
    if layers:
        sizes["num_hidden_layers"] = max(layers) + 1
    return sizes


def _check_sizes(config, sizes, origin):
    # Before a model is built: a wrong size may be an enormous one.
    for key, value in config.items():
        if key in sizes and sizes[key] != value:
            raise ValueError(
                f"{origin} has {key} {value!r}, but the tensors have "
                f"{sizes[key]}. Pass the configuration of the file, config=."
            )
    if config.get("rel_pos_bins") and "rel_pos_bins" not in sizes:
        raise ValueError(
            f"{origin} has rel_pos_bins {config['rel_pos_bins']!r}, but the "
            "file holds no relative table (bert.rel_pos_bias.weight or "
            "bert.encoder.rel_pos_bias.weight). Pass the configuration of the "
            "file, config=."
        )


def _check_is_bert(path, names, config):
    """Refuses RoBERTa: its weights would load, and its ids be wrong."""
    # 514 positions, because its padding id 1 shifts them by two.
    sizes = ("max_position_embeddings", "type_vocab_size")
    if any(name.startswith("roberta.") for name in names):
        sign = "the prefix roberta."
    elif config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):
        sign = f"the model type {config['model_type']!r}"
    elif [config.get(key) for key in sizes] == [514, 1]:
        sign = "514 positions and one segment"
    else:
        return
    raise ValueError(
        f"{path} has {sign}: RoBERTa is not converted. It has a byte-level BPE "
        "vocabulary, no segments and the padding id 1, where UniLMv2Tokenizer "
        "reads WordPiece with the padding id 0. Use a BERT, UniLM or MiniLM "
        "checkpoint."
    )
