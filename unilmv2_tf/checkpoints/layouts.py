"""The names of weights: one table of our variables, and the other layouts.

The names of Hugging Face's BERT without the prefix `bert.` are the common
ones, in PyTorch's orientation (dense weights `(out, in)`): every reader and
writer translates to or from them. To add a layout, map its names to these.
"""

import re
from typing import NamedTuple

import numpy as np

from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import UniLMv2TextClassifier

# === The table ===
# For each kind of layer: suffix of the tensor, our attribute, and whether our
# variable is the transpose of the tensor.

_DENSE = (("weight", "kernel", True), ("bias", "bias", False))
_NORM = (("weight", "gamma", False), ("bias", "beta", False))
_EMBEDDING = (("weight", "embeddings", False),)
_TABLE = (("weight", "table", True),)
_OUTPUT_BIAS = (("bias", "output_bias", False),)

# Name of the layer, our layer, kind.
_EMBEDDINGS = (
    ("embeddings.word_embeddings", "embeddings.token_embedding", _EMBEDDING),
    (
        "embeddings.position_embeddings",
        "embeddings.position_embedding",
        _EMBEDDING,
    ),
    (
        "embeddings.token_type_embeddings",
        "embeddings.segment_embedding",
        _EMBEDDING,
    ),
    ("embeddings.LayerNorm", "embeddings.layer_norm", _NORM),
)
_RELATIVE_BIAS = (("rel_pos_bias", "relative_position_bias", _TABLE),)
_TRANSFORMER_LAYER = (
    ("attention.self.query", "self_attention.query", _DENSE),
    ("attention.self.key", "self_attention.key", _DENSE),
    ("attention.self.value", "self_attention.value", _DENSE),
    ("attention.output.dense", "self_attention.output_dense", _DENSE),
    ("attention.output.LayerNorm", "self_attention_layer_norm", _NORM),
    ("intermediate.dense", "intermediate_dense", _DENSE),
    ("output.dense", "output_dense", _DENSE),
    ("output.LayerNorm", "output_layer_norm", _NORM),
)
_LANGUAGE_MODEL_HEAD = (
    ("cls.predictions.transform.dense", "language_model_head.dense", _DENSE),
    (
        "cls.predictions.transform.LayerNorm",
        "language_model_head.layer_norm",
        _NORM,
    ),
    ("cls.predictions", "language_model_head", _OUTPUT_BIAS),
)
_HEADS = {
    UniLMv2Backbone: (),
    UniLMv2PseudoMaskedLM: _LANGUAGE_MODEL_HEAD,
    UniLMv2Seq2SeqLM: _LANGUAGE_MODEL_HEAD,
    UniLMv2TextClassifier: (
        ("pooler.dense", "pooled_dense", _DENSE),
        ("classifier", "logits_dense", _DENSE),
    ),
    UniLMv2QuestionAnswerer: (("qa_outputs", "span_dense", _DENSE),),
}
MODEL_CLASSES = tuple(_HEADS)

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
POSITION_EMBEDDINGS = "embeddings.position_embeddings.weight"
SEGMENT_EMBEDDINGS = "embeddings.token_type_embeddings.weight"
INTERMEDIATE = "encoder.layer.0.intermediate.dense.weight"
RELATIVE_TABLE = "rel_pos_bias.weight"
OUTPUT_BIAS = "cls.predictions.bias"
HEAD_PREFIXES = ("cls.", "classifier.", "qa_outputs.")


class Row(NamedTuple):
    """One weight: name of its tensor, our variable, transform."""

    name: str
    path: str
    is_transposed: bool

    def variable(self, model):
        """Our variable, or the merged tensor of a kernel with LoRA."""
        value = model
        for part in self.path.split("."):
            is_index = part.isdigit()
            value = value[int(part)] if is_index else getattr(value, part)
        return value

    def transform(self, values):
        """Converts between the two orientations; its own inverse."""
        return values.T if self.is_transposed else values


def table_rows(cls, num_layers, has_relative_bias):
    """Lists the rows of a class of models.

    >>> table_rows(UniLMv2Backbone, 2, True)[-4]
    Row(name='encoder.layer.1.output.dense.weight',
        path='transformer_layers.1.output_dense.kernel', is_transposed=True)
    """
    layers = [*_EMBEDDINGS, *(_RELATIVE_BIAS if has_relative_bias else ())]
    for index in range(num_layers):
        layers += [
            (
                f"encoder.layer.{index}.{name}",
                f"transformer_layers.{index}.{path}",
                kind,
            )
            for name, path, kind in _TRANSFORMER_LAYER
        ]
    if not issubclass(cls, UniLMv2Backbone):
        layers = [
            (name, f"backbone.{path}", kind) for name, path, kind in layers
        ]
    layers += next(
        head for kind, head in _HEADS.items() if issubclass(cls, kind)
    )
    return [
        Row(f"{name}.{suffix}", f"{path}.{attribute}", is_transposed)
        for name, path, kind in layers
        for suffix, attribute, is_transposed in kind
    ]


def rows_of_model(model):
    """The rows of a `UniLMv2Backbone` or of a task on one."""
    backbone = getattr(model, "backbone", model)
    return table_rows(
        type(model), backbone.num_layers, backbone.num_relative_buckets > 0
    )


# === Names in PyTorch's files ===

_PREFIXES = ("bert.",)
_LANGUAGE_MODEL_NAMES = [
    f"{name}.{suffix}"
    for name, _, kind in _LANGUAGE_MODEL_HEAD
    for suffix, _, _ in kind
]
# Tensors that a model may have no variable for.
OPTIONAL_TENSORS = {
    **dict.fromkeys(_LANGUAGE_MODEL_NAMES, "language model head"),
    "pooler.dense.weight": "pooler of classifiers",
    "pooler.dense.bias": "pooler of classifiers",
    "cls.seq_relationship.weight": "next-sentence head",
    "cls.seq_relationship.bias": "next-sentence head",
    "embeddings.position_ids": "buffer 0, 1, 2, ...",
    "embeddings.token_type_ids": "buffer of zeros",
    "crit_mask_lm_smoothed.one_hot": "buffer of the label smoothing",
}
_TIED = {
    "cls.predictions.decoder.weight": WORD_EMBEDDINGS,
    "cls.predictions.decoder_weight": WORD_EMBEDDINGS,
    "cls.predictions.decoder.bias": OUTPUT_BIAS,
}
_OLD_NORM = re.compile(r"(.*\bLayerNorm)\.(gamma|beta)")
# The published UniLM v2: one matrix for three projections, no key bias.
_FUSED = re.compile(
    r"(encoder\.layer\.\d+\.attention\.self\.)"
    r"(qkv_linear\.weight|q_bias|v_bias)"
)
_SELF = "attention.self."
_PROJECTIONS = ("query", "key", "value")


class CommonWeights(NamedTuple):
    """Arrays by common name, and the names that they have in the file."""

    arrays: dict
    sources: dict
    # Name in the file -> common name of the weight whose values it repeats.
    tied: dict


def to_common_names(tensors):
    """Translates PyTorch's layouts: BERT, fused UniLM v2, saved by s2s-ft.

    Names that no layout has are kept, for the caller to refuse.

    >>> to_common_names({
    ...     "bert.embeddings.LayerNorm.gamma": np.ones(2),
    ...     "bert.encoder.rel_pos_bias.weight": np.zeros((2, 32))}).sources
    {'embeddings.LayerNorm.weight': 'bert.embeddings.LayerNorm.gamma',
     'rel_pos_bias.weight': 'bert.encoder.rel_pos_bias.weight'}
    """
    weights = CommonWeights(arrays={}, sources={}, tied={})
    for source, values in tensors.items():
        for name, part in _common_parts(source, values):
            if name in weights.arrays:
                raise ValueError(
                    f"The file must hold each weight once. Received: "
                    f"{weights.sources[name]!r} and {source!r}, both "
                    f"{name!r}. Remove one of them."
                )
            weights.arrays[name] = part
            weights.sources[name] = source
    _drop_tied(weights)
    return weights


def _common_parts(source, values):
    name = source
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    if name == f"encoder.{RELATIVE_TABLE}":
        name = RELATIVE_TABLE
    if old := _OLD_NORM.fullmatch(name):
        name = f"{old[1]}.{'weight' if old[2] == 'gamma' else 'bias'}"
    if fused := _FUSED.fullmatch(name):
        return _split(*fused.groups(), source, values)
    return [(name, values)]


def _split(prefix, kind, source, values):
    if kind == "qkv_linear.weight":
        if values.ndim != 2 or values.shape[0] != 3 * values.shape[1]:
            raise ValueError(
                "A fused projection must have the shape (3 * hidden, hidden). "
                f"Received: {source!r} of shape {values.shape}"
            )
        names = [f"{prefix}{projection}.weight" for projection in _PROJECTIONS]
        zeros = np.zeros(values.shape[1], values.dtype)
        return [
            *zip(names, np.split(values, 3)),
            (f"{prefix}key.bias", zeros),
        ]
    if values.shape not in ((1, 1, values.size), (values.size,)):
        raise ValueError(
            "A fused bias must have the shape (1, 1, hidden). Received: "
            f"{source!r} of shape {values.shape}"
        )
    projection = "query" if kind == "q_bias" else "value"
    return [(f"{prefix}{projection}.bias", values.reshape(-1))]


def _drop_tied(weights):
    for tied, original in _TIED.items():
        if tied not in weights.arrays:
            continue
        source = weights.sources.pop(tied)
        values = weights.arrays.pop(tied)
        if original == OUTPUT_BIAS and original not in weights.arrays:
            weights.arrays[original] = values
            weights.sources[original] = source
            continue
        if not np.array_equal(values, weights.arrays.get(original)):
            is_absent = original not in weights.arrays
            raise ValueError(
                f"{source!r} must equal {original!r}, with which it is tied "
                f"in this model; the latter "
                f"{'is absent' if is_absent else 'differs from it'}. A model "
                "trained with untied weights cannot be represented."
            )
        weights.tied[source] = original


def from_common_names(arrays, layout, is_backbone):
    """Translates to a layout of PyTorch's: "bert", "fused" or "s2s_ft".

    >>> [*from_common_names({"rel_pos_bias.weight": 0}, "fused", False)]
    ['bert.encoder.rel_pos_bias.weight']
    """
    arrays = _join(arrays) if layout == "fused" else arrays
    if is_backbone and layout == "bert":
        # As Hugging Face's BertModel without a head.
        return arrays
    tensors = {
        name if name.startswith(HEAD_PREFIXES) else f"bert.{name}": values
        for name, values in arrays.items()
    }
    if layout == "fused" and RELATIVE_TABLE in arrays:
        table = tensors.pop(f"bert.{RELATIVE_TABLE}")
        tensors[f"bert.encoder.{RELATIVE_TABLE}"] = table
    if OUTPUT_BIAS in arrays and layout != "bert":
        name = "decoder.weight" if layout == "fused" else "decoder_weight"
        tensors[f"cls.predictions.{name}"] = arrays[WORD_EMBEDDINGS]
    return tensors


def _join(arrays):
    joined = {}
    for name, values in arrays.items():
        start, _, kind = name.partition(_SELF)
        if kind == "query.weight":
            joined[f"{start}{_SELF}qkv_linear.weight"] = np.concatenate(
                [
                    arrays[f"{start}{_SELF}{projection}.weight"]
                    for projection in _PROJECTIONS
                ]
            )
        elif kind in ("query.bias", "value.bias"):
            joined[f"{start}{_SELF}{kind[0]}_bias"] = values.reshape(1, 1, -1)
        elif not kind:
            joined[name] = values
        elif kind == "key.bias" and values.any():
            raise ValueError(
                "The fused layout has no key bias, and this model has one: "
                f"{name!r} is not zero. It changes no output, so it may be "
                'set to zero; or save with layout="bert".'
            )
    return joined


# === Names of Keras variables ===

_LAYER = "encoder.layer.{}"
_KERAS_HUB = {
    "token_embedding": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "segment_embedding": "embeddings.token_type_embeddings",
    "embeddings_layer_norm": "embeddings.LayerNorm",
    "pooled_dense": "pooler.dense",
    "mlm_head/intermediate_dense": "cls.predictions.transform.dense",
    "mlm_head/intermediate_layer_norm": "cls.predictions.transform.LayerNorm",
    "mlm_head": "cls.predictions",
    **{
        f"transformer_layer_{{}}/{name}": f"{_LAYER}.{common}"
        for name, common in {
            "self_attention_layer/query": "attention.self.query",
            "self_attention_layer/key": "attention.self.key",
            "self_attention_layer/value": "attention.self.value",
            "self_attention_layer/attention_output": "attention.output.dense",
            "self_attention_layer_norm": "attention.output.LayerNorm",
            "feedforward_intermediate_dense": "intermediate.dense",
            "feedforward_output_dense": "output.dense",
            "feedforward_layer_norm": "output.LayerNorm",
        }.items()
    },
}
_MODEL_GARDEN = {
    "word_embeddings": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "type_embeddings": "embeddings.token_type_embeddings",
    "embeddings/layer_norm": "embeddings.LayerNorm",
    "pooler_transform": "pooler.dense",
    **{
        f"transformer/layer_{{}}/{name}": f"{_LAYER}.{common}"
        for name, common in {
            "self_attention/query": "attention.self.query",
            "self_attention/key": "attention.self.key",
            "self_attention/value": "attention.self.value",
            "self_attention/attention_output": "attention.output.dense",
            "self_attention_layer_norm": "attention.output.LayerNorm",
            "intermediate": "intermediate.dense",
            "output": "output.dense",
            "output_layer_norm": "output.LayerNorm",
        }.items()
    },
}
# Google's names are Hugging Face's with slashes.
_GOOGLE = {
    name.replace(".", "/").replace("layer/", "layer_"): name
    for name in (
        *(name for name, _, _ in _EMBEDDINGS),
        *(f"{_LAYER}.{name}" for name, _, _ in _TRANSFORMER_LAYER),
        *(name for name, _, _ in _LANGUAGE_MODEL_HEAD),
        "pooler.dense",
        "cls.seq_relationship",
    )
}
_KERAS_LAYERS = {**_KERAS_HUB, **_MODEL_GARDEN, **_GOOGLE}
_KERAS_SUFFIXES = {
    "embeddings": "weight",
    "kernel": "weight",
    "output_weights": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "output_bias": "bias",
}
_NUMBER = re.compile(r"(?<=layer_)\d+")


def from_keras_name(path):
    """Translates a variable of KerasHub's, Model Garden's or Google's BERT.

    The name of the model in front is dropped. Returns `None` for a variable
    that is not a weight of BERT.

    >>> from_keras_name("bert/encoder/layer_3/output/dense/kernel")
    'encoder.layer.3.output.dense.weight'
    >>> from_keras_name("transformer_layer_3/self_attention_layer/query/bias")
    'encoder.layer.3.attention.self.query.bias'
    >>> from_keras_name("seed_generator/seed_generator_state")
    """
    parts = path.split(":")[0].split("/")
    suffix = _KERAS_SUFFIXES.get(parts[-1])
    # Google's embeddings are variables without a layer.
    layer = parts if suffix is None else parts[:-1]
    for start in range(len(layer)):
        candidate = "/".join(layer[start:])
        common = _KERAS_LAYERS.get(_NUMBER.sub("{}", candidate))
        if common is not None:
            common = common.format(*_NUMBER.findall(candidate))
            return f"{common}.{suffix or 'weight'}"
    return None


def from_keras_shape(name, values):
    """Brings a Keras variable into PyTorch's shape and orientation.

    >>> name = "encoder.layer.0.attention.self.query.weight"
    >>> from_keras_shape(name, np.zeros((8, 2, 4))).shape
    (8, 8)
    """
    layer, _, kind = name.rpartition(".")
    if kind == "bias":
        return values.reshape(-1)
    if not layer.endswith(("dense", *_PROJECTIONS)):
        return values
    if layer.endswith("dense"):
        # Heads and head size are the first two axes of (heads, size, out).
        return values.reshape(-1, values.shape[-1]).T
    return values.reshape(values.shape[0], -1).T
