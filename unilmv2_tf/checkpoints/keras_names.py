"""BERT variables under the names that Keras gives them, to official names."""

import math
import re

import numpy as np

from unilmv2_tf.checkpoints.lazy_array import LazyArray

_LAYER = r"(?:encoder/layer_|transformer_layer_|transformer/layer_)(\d+)/"
_ATTENTION = r"(?:attention/self|self_attention|self_attention_layer)/"
# Google's BERT, Model Garden's and KerasHub's, in this order, where they
# differ. What follows is the kind of variable.
_LAYERS = tuple(
    (re.compile(pattern), official)
    for pattern, official in (
        (
            "(?:embeddings/)?(?:word_embeddings|token_embedding)",
            "bert.embeddings.word_embeddings",
        ),
        (
            "(?:embeddings/)?position_embeddings?",
            "bert.embeddings.position_embeddings",
        ),
        (
            "(?:embeddings/)?"
            "(?:token_type_embeddings|type_embeddings|segment_embedding)",
            "bert.embeddings.token_type_embeddings",
        ),
        (
            "embeddings/LayerNorm|embeddings/layer_norm|embeddings_layer_norm",
            "bert.embeddings.LayerNorm",
        ),
        (
            f"{_LAYER}{_ATTENTION}(query|key|value)",
            r"bert.encoder.layer.\1.attention.self.\2",
        ),
        (
            f"{_LAYER}(?:attention/output/dense|{_ATTENTION}attention_output)",
            r"bert.encoder.layer.\1.attention.output.dense",
        ),
        (
            f"{_LAYER}(?:attention/output/LayerNorm|self_attention_layer_norm)",
            r"bert.encoder.layer.\1.attention.output.LayerNorm",
        ),
        (
            f"{_LAYER}(?:intermediate/dense|intermediate|"
            "feedforward_intermediate_dense)",
            r"bert.encoder.layer.\1.intermediate.dense",
        ),
        (
            f"{_LAYER}(?:output/dense|output|feedforward_output_dense)",
            r"bert.encoder.layer.\1.output.dense",
        ),
        (
            f"{_LAYER}(?:output/LayerNorm|output_layer_norm|"
            "feedforward_layer_norm)",
            r"bert.encoder.layer.\1.output.LayerNorm",
        ),
        (
            "pooler/dense|pooler_transform|pooled_dense",
            "bert.pooler.dense",
        ),
        (
            "cls/predictions/transform/dense|mlm_head/intermediate_dense",
            "cls.predictions.transform.dense",
        ),
        (
            "cls/predictions/transform/LayerNorm|"
            "mlm_head/intermediate_layer_norm",
            "cls.predictions.transform.LayerNorm",
        ),
        ("cls/predictions|mlm_head", "cls.predictions"),
        ("cls/seq_relationship", "cls.seq_relationship"),
    )
)
_KINDS = {
    "embeddings": "weight",
    "kernel": "weight",
    "output_weights": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "output_bias": "bias",
}


def official_name(path):
    """Translates the path of a variable.

    Args:
        path: string, as Google's BERT, Model Garden's encoders or KerasHub's
            BERT name it, without the name of the model.

    Returns:
        The official name, or `None` if it is not a weight of BERT's.

    Example:

    >>> official_name("transformer_layer_3/feedforward_output_dense/kernel")
    'bert.encoder.layer.3.output.dense.weight'
    >>> official_name("transformer/layer_3/self_attention/query/bias")
    'bert.encoder.layer.3.attention.self.query.bias'
    >>> official_name("seed_generator/seed_generator_state")
    """
    layer, _, kind = path.rpartition("/")
    if kind not in _KINDS:
        # Google's tables are variables without a layer.
        layer, kind = path, "embeddings"
    for pattern, official in _LAYERS:
        match = pattern.fullmatch(layer)
        if match:
            return f"{match.expand(official)}.{_KINDS[kind]}"
    return None


def official_orientation(name, values):
    """Brings a Keras variable into the shape that PyTorch gives it.

    Kernels of attention have an axis of heads in Keras, and PyTorch's dense
    weights are the transpose of kernels.

    Args:
        name: string. An official name.
        values: array or `LazyArray` of a Keras variable.

    Returns:
        A `LazyArray`.

    Example:

    >>> name = "bert.encoder.layer.0.attention.self.query.weight"
    >>> official_orientation(name, np.zeros((8, 2, 4))).shape
    (8, 8)
    """
    shape = tuple(values.shape)
    layer, _, kind = name.rpartition(".")
    is_dense = layer.endswith(("dense", "query", "key", "value"))
    if kind == "bias":
        kernel_shape = (math.prod(shape),)
    elif not is_dense or len(shape) == 2:
        kernel_shape = shape
    elif layer.endswith("dense"):
        kernel_shape = (shape[0] * shape[1], shape[2])
    else:
        kernel_shape = (shape[0], shape[1] * shape[2])
    transposed = is_dense and kind == "weight"

    def read():
        kernel = np.asarray(values).reshape(kernel_shape)
        return kernel.T if transposed else kernel

    return LazyArray(
        kernel_shape[::-1] if transposed else kernel_shape, values.dtype, read
    )


def number_of_heads(variables):
    """Reads the number of heads off the kernel of the first query.

    Args:
        variables: dict from paths to arrays or `LazyArray`s.

    Returns:
        int, or `None` if kernels have no axis of heads.

    Example:

    >>> number_of_heads({
    ...     "transformer_layer_0/self_attention_layer/query/kernel":
    ...         np.zeros((8, 2, 4))})
    2
    """
    for path, values in variables.items():
        name = official_name(path) or ""
        if name.endswith("query.weight") and len(values.shape) == 3:
            return values.shape[1]
    return None


def translate(variables):
    """Translates variables to official tensors.

    Args:
        variables: dict from paths to arrays or `LazyArray`s.

    Returns:
        A dict from official names to `LazyArray`s. A variable that is no
        weight of BERT's keeps its path.

    Example:

    >>> list(translate({"pooled_dense/kernel": np.zeros((8, 8))}))
    ['bert.pooler.dense.weight']
    """
    tensors = {}
    for path, values in variables.items():
        name = official_name(path)
        if name is None:
            tensors[path] = values
        else:
            tensors[name] = official_orientation(name, values)
    return tensors
