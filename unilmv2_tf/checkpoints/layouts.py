"""The names of weights: one table of our variables, and the other layouts.

The names of Hugging Face's BERT without the prefix `bert.` are the common
ones, in PyTorch's orientation (dense weights `(out, in)`): every reader and
writer translates to or from them. To add a layout, map its names to these.
"""

import dataclasses
import re
import warnings
from typing import NamedTuple

import numpy as np

from unilmv2_tf import models

# === The table ===

# Common name of the layer, our layer, kind of layer.
_BACKBONE = """
embeddings.word_embeddings           embeddings.token_embedding     embedding
embeddings.position_embeddings       embeddings.position_embedding  embedding
embeddings.token_type_embeddings     embeddings.segment_embedding   embedding
embeddings.LayerNorm                 embeddings.layer_norm          norm
rel_pos_bias                         relative_position_bias         table
"""
_TRANSFORMER_LAYER = """
attention.self.query                 self_attention.query           dense
attention.self.key                   self_attention.key             dense
attention.self.value                 self_attention.value           dense
attention.output.dense               self_attention.output_dense    dense
attention.output.LayerNorm           self_attention_layer_norm      norm
intermediate.dense                   intermediate_dense             dense
output.dense                         output_dense                   dense
output.LayerNorm                     output_layer_norm              norm
"""
_LANGUAGE_MODEL_HEAD = """
cls.predictions.transform.dense      language_model_head.dense      dense
cls.predictions.transform.LayerNorm  language_model_head.layer_norm norm
cls.predictions                      language_model_head            output
"""
_CLASSIFIER_HEAD = """
pooler.dense                         pooled_dense                   dense
classifier                           logits_dense                   dense
"""
_QUESTION_ANSWERER_HEAD = """
qa_outputs                           span_dense                     dense
"""
# Suffix of the tensor, our attribute, whether our variable is the transpose.
_KINDS = {
    "dense": (("weight", "kernel", True), ("bias", "bias", False)),
    "norm": (("weight", "gamma", False), ("bias", "beta", False)),
    "embedding": (("weight", "embeddings", False),),
    "table": (("weight", "table", True),),
    "output": (("bias", "output_bias", False),),
}
_HEADS = {
    models.UniLMv2Backbone: "",
    models.UniLMv2PseudoMaskedLM: _LANGUAGE_MODEL_HEAD,
    models.UniLMv2Seq2SeqLM: _LANGUAGE_MODEL_HEAD,
    models.UniLMv2TextClassifier: _CLASSIFIER_HEAD,
    models.UniLMv2QuestionAnswerer: _QUESTION_ANSWERER_HEAD,
}
MODEL_CLASSES = tuple(_HEADS)
MODEL_NAMES = ", ".join(cls.__name__ for cls in MODEL_CLASSES)

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
POSITION_EMBEDDINGS = "embeddings.position_embeddings.weight"
SEGMENT_EMBEDDINGS = "embeddings.token_type_embeddings.weight"
INTERMEDIATE = "encoder.layer.0.intermediate.dense.weight"
RELATIVE_TABLE = "rel_pos_bias.weight"
OUTPUT_BIAS = "cls.predictions.bias"


class Row(NamedTuple):
    """A weight: common name, our variable, whether it is transposed."""

    name: str
    path: str
    is_transposed: bool

    def variable(self, model):
        """Our variable, or the merged kernel of a layer with LoRA."""
        value = model
        for part in self.path.split("."):
            is_index = part.isdigit()
            value = value[int(part)] if is_index else getattr(value, part)
        return value

    def transform(self, values):
        """Changes between the two orientations, in both directions."""
        return values.T if self.is_transposed else values


def table_rows(cls, num_layers, has_relative_bias):
    """The table, for a class of models."""
    start = "" if issubclass(cls, models.UniLMv2Backbone) else "backbone."
    rows = _expand(_BACKBONE, "", start)
    if not has_relative_bias:
        rows = [row for row in rows if row.name != RELATIVE_TABLE]
    for index in range(num_layers):
        rows += _expand(
            _TRANSFORMER_LAYER,
            f"encoder.layer.{index}.",
            f"{start}transformer_layers.{index}.",
        )
    head = next(head for kind, head in _HEADS.items() if issubclass(cls, kind))
    return rows + _expand(head)


def _layers(table):
    return [line.split() for line in table.strip().splitlines()]


def _expand(table, name_start="", path_start=""):
    return [
        Row(
            f"{name_start}{name}.{suffix}",
            f"{path_start}{path}.{attribute}",
            is_transposed,
        )
        for name, path, kind in _layers(table)
        for suffix, attribute, is_transposed in _KINDS[kind]
    ]


# === Names in PyTorch's files ===

# What stands before the names of a model within another one, such as DDP's.
_WRAPPED = re.compile(
    r"((?:.+?\.)??)(?:bert\.|roberta\.)?embeddings\.word_embeddings\.weight"
)
# Tensors that a model may have no variable for.
OPTIONAL_TENSORS = {
    **{
        row.name: "language model head" for row in _expand(_LANGUAGE_MODEL_HEAD)
    },
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
_OLD_NORM_SUFFIXES = {"gamma": "weight", "beta": "bias"}
_SELF = "attention.self."
_PROJECTIONS = ("query", "key", "value")


@dataclasses.dataclass
class Checkpoint:
    """A checkpoint of any format: what its reader finds, then its weights."""

    # The file, or the object.
    path: object
    # The format, for reports.
    kind: str
    # By name in the file, without a prefix, or by common name.
    tensors: dict
    # With Hugging Face's keys; a reader gives `None` if there is none.
    config: dict | None
    prefix: str = ""
    # Both by common name: the weights, and their names in the file.
    arrays: dict = dataclasses.field(default_factory=dict)
    sources: dict = dataclasses.field(default_factory=dict)
    # Name in the file -> why it is not among the sources.
    unused: dict = dataclasses.field(default_factory=dict)


def take_off_prefix(checkpoint):
    """Takes off what all names of the model begin with, such as "module."."""
    tensors = checkpoint.tensors
    found = [match[1] for match in map(_WRAPPED.fullmatch, tensors) if match]
    prefix = found[0] if len(found) == 1 else ""
    unwrapped = {
        name.removeprefix(prefix): values for name, values in tensors.items()
    }
    # A head may stand beside the model.
    is_common = all(
        name.startswith(prefix) for name in tensors if "encoder.layer." in name
    )
    if prefix and is_common and len(unwrapped) == len(tensors):
        count = sum(name.startswith(prefix) for name in tensors)
        warnings.warn(
            f"{prefix!r} was taken off {count} of {len(tensors)} names.",
            stacklevel=3,
        )
        checkpoint.tensors, checkpoint.prefix = unwrapped, prefix


def find_weights(checkpoint):
    """Translates PyTorch's layouts; unknown names are kept, to be refused."""
    arrays, sources = checkpoint.arrays, checkpoint.sources
    for source, values in checkpoint.tensors.items():
        for name, part in _common_parts(source, values):
            if name in arrays:
                raise ValueError(
                    f"The file must hold each weight once. Received: "
                    f"{sources[name]!r} and {source!r}, both {name!r}. Remove "
                    "one of them."
                )
            arrays[name], sources[name] = part, source
    for tied, original in _TIED.items():
        if tied not in arrays:
            continue
        source, values = sources.pop(tied), arrays.pop(tied)
        if original in arrays:
            _check_tied(values, arrays[original], source, original)
            checkpoint.unused[source] = f"the same as {original}, tied with it"
        elif original == OUTPUT_BIAS:
            arrays[original], sources[original] = values, source
    if arrays.keys() >= {OUTPUT_BIAS, WORD_EMBEDDINGS}:
        arrays[OUTPUT_BIAS] = _without_spare(
            arrays[OUTPUT_BIAS], arrays[WORD_EMBEDDINGS], sources[OUTPUT_BIAS]
        )


def _common_parts(source, values):
    name = source.removeprefix("bert.")
    if name == f"encoder.{RELATIVE_TABLE}":
        name = RELATIVE_TABLE
    layer, _, suffix = name.rpartition(".")
    if layer.endswith("LayerNorm"):
        name = f"{layer}.{_OLD_NORM_SUFFIXES.get(suffix, suffix)}"
    start, _, part = name.partition(_SELF)
    start += _SELF
    # The published UniLM v2: one matrix for three projections, no key bias.
    if part == "qkv_linear.weight":
        hidden = values.shape[-1]
        zeros = np.zeros(hidden, values.dtype)
        return [
            (f"{start}query.weight", values[:hidden]),
            (f"{start}key.weight", values[hidden : 2 * hidden]),
            (f"{start}value.weight", values[2 * hidden :]),
            (f"{start}key.bias", zeros),
        ]
    if part in ("q_bias", "v_bias"):
        projection = "query" if part == "q_bias" else "value"
        # Of shape (1, 1, hidden).
        return [(f"{start}{projection}.bias", values.squeeze())]
    return [(name, values)]


def _without_spare(values, original, source):
    """Leaves out rows of zeros beyond those of the original."""
    rows = len(np.atleast_1d(original))
    spare = np.atleast_1d(values)[rows:]
    if not spare.size or spare.any():
        return values
    warnings.warn(
        f"{len(spare)} spare rows of zeros in {source!r} were left out.",
        stacklevel=5,
    )
    return values[:rows]


def _check_tied(values, original, source, name):
    values = _without_spare(values, original, source)
    if np.array_equal(values, original):
        return
    for dtype in (values.dtype, "float16", "bfloat16"):
        with np.errstate(over="ignore"):
            rounded = original.astype(dtype).astype(values.dtype)
        if np.array_equal(values, rounded):
            warnings.warn(
                f"{source!r} is {name!r}, rounded to {np.dtype(dtype)}, and "
                "tied with it: the latter counts.",
                stacklevel=4,
            )
            return
    raise ValueError(
        f"{source!r} must equal {name!r}, with which it is tied in this "
        "model; they differ. A model trained with untied weights cannot be "
        "represented."
    )


def from_common_names(arrays, layout, is_backbone):
    """Translates to a layout of PyTorch's: "bert", "fused" or "s2s_ft"."""
    arrays = _join(arrays) if layout == "fused" else arrays
    if is_backbone and layout == "bert":
        # As Hugging Face's BertModel without a head.
        return arrays
    heads = ("cls.", "classifier.", "qa_outputs.")
    tensors = {
        name if name.startswith(heads) else f"bert.{name}": values
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
        start, _, part = name.partition(_SELF)
        start += _SELF
        if not part:
            joined[name] = values
        elif part == "query.weight":
            weights = [arrays[f"{start}{name}.weight"] for name in _PROJECTIONS]
            joined[f"{start}qkv_linear.weight"] = np.concatenate(weights)
        elif part in ("query.bias", "value.bias"):
            joined[f"{start}{part[0]}_bias"] = values.reshape(1, 1, -1)
        elif part == "key.bias" and values.any():
            raise ValueError(
                "The fused layout has no key bias, and this model has one: "
                f"{name!r} is not zero. It changes no output, so it may be "
                'set to zero; or save with layout="bert".'
            )
    return joined


# === Names of Keras variables: KerasHub, Model Garden, Google ===

# Google's names are the common ones, with slashes.
_KERAS_LAYERS = dict(
    _layers("""
token_embedding                        embeddings.word_embeddings
position_embedding                     embeddings.position_embeddings
segment_embedding                      embeddings.token_type_embeddings
embeddings_layer_norm                  embeddings.LayerNorm
pooled_dense                           pooler.dense
mlm_head/intermediate_dense            cls.predictions.transform.dense
mlm_head/intermediate_layer_norm       cls.predictions.transform.LayerNorm
mlm_head                               cls.predictions
word_embeddings                        embeddings.word_embeddings
type_embeddings                        embeddings.token_type_embeddings
embeddings/layer_norm                  embeddings.LayerNorm
pooler_transform                       pooler.dense
cls/squad                              qa_outputs
self_attention_layer/query             attention.self.query
self_attention_layer/key               attention.self.key
self_attention_layer/value             attention.self.value
self_attention_layer/attention_output  attention.output.dense
self_attention_layer_norm              attention.output.LayerNorm
feedforward_intermediate_dense         intermediate.dense
feedforward_output_dense               output.dense
feedforward_layer_norm                 output.LayerNorm
self_attention/query                   attention.self.query
self_attention/key                     attention.self.key
self_attention/value                   attention.self.value
self_attention/attention_output        attention.output.dense
intermediate                           intermediate.dense
output                                 output.dense
output_layer_norm                      output.LayerNorm
""")
)
_COMMON_LAYERS = {
    "pooler.dense",
    "cls.seq_relationship",
    "qa_outputs",
    *(
        name
        for table in (_BACKBONE, _TRANSFORMER_LAYER, _LANGUAGE_MODEL_HEAD)
        for name, *_ in _layers(table)
    ),
}
# Google's `run_classifier.py` has no layer around them.
_GOOGLE_CLASSIFIER = {
    "output_weights": "classifier.weight",
    "output_bias": "classifier.bias",
}
_KERAS_NUMBERED = re.compile(
    r".*?(?:transformer_|transformer/|encoder/)layer_(\d+)/(.+)"
)
_KERAS_WEIGHTS = ("embeddings", "kernel", "output_weights", "gamma")
_KERAS_BIASES = ("beta", "bias", "output_bias")


def from_keras_name(path):
    """The common name of a variable; `None` if it is not a weight of BERT."""
    path = path.split(":")[0]
    if path in _GOOGLE_CLASSIFIER:
        return _GOOGLE_CLASSIFIER[path]
    layer, _, last = path.rpartition("/")
    if last not in _KERAS_WEIGHTS + _KERAS_BIASES:
        # Google's embeddings are variables without a layer.
        layer = path
    suffix = "bias" if last in _KERAS_BIASES else "weight"
    start = ""
    if match := _KERAS_NUMBERED.fullmatch(layer):
        start, layer = f"encoder.layer.{match[1]}.", match[2]
    while layer:
        name = _KERAS_LAYERS.get(layer, layer.replace("/", "."))
        if name in _COMMON_LAYERS:
            return f"{start}{name}.{suffix}"
        # The name of the model stands in front.
        layer = "" if start else layer.partition("/")[2]
    return None


def from_keras_shape(name, values):
    """Brings a Keras variable into PyTorch's shape and orientation."""
    layer, _, suffix = name.rpartition(".")
    if suffix == "bias":
        return values.reshape(-1)
    if layer.endswith("dense"):
        # The attention's is (heads, size of a head, hidden).
        return values.reshape(-1, values.shape[-1]).T
    if layer.endswith(_PROJECTIONS):
        return values.reshape(values.shape[0], -1).T
    return values
