"""One set of names and shapes for the layouts in which weights are found.

The canonical layout is plain BERT's, without the prefix `bert.`, in PyTorch's
orientation (dense weights `(out, in)`), with one name per weight:

    embeddings.word_embeddings.weight          (vocabulary, hidden)
    embeddings.position_embeddings.weight      (positions, hidden)
    embeddings.token_type_embeddings.weight    (segments, hidden)
    embeddings.LayerNorm.{weight,bias}         (hidden,)
    rel_pos_bias.weight                        (heads, buckets)
    encoder.layer.I.attention.self.{query,key,value}.{weight,bias}
    encoder.layer.I.attention.output.{dense,LayerNorm}.{weight,bias}
    encoder.layer.I.intermediate.dense.{weight,bias}
    encoder.layer.I.output.{dense,LayerNorm}.{weight,bias}
    cls.predictions.transform.{dense,LayerNorm}.{weight,bias}
    cls.predictions.bias                       (vocabulary,)
    pooler.dense.{weight,bias}                 dense layer on the first token
    classifier.{weight,bias}                   (classes, hidden)
    qa_outputs.{weight,bias}                   (2, hidden)

The decoder weight of the language model head is not among them, because it is
the word embeddings.
"""

import re
from typing import NamedTuple

import numpy as np

WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
POSITION_EMBEDDINGS = "embeddings.position_embeddings.weight"
SEGMENT_EMBEDDINGS = "embeddings.token_type_embeddings.weight"
RELATIVE_TABLE = "rel_pos_bias.weight"
HEAD_TRANSFORM = "cls.predictions.transform"
OUTPUT_BIAS = "cls.predictions.bias"

# What a model may lack a place for, and what it is.
OPTIONAL_TENSORS = {
    **dict.fromkeys(
        (
            f"{HEAD_TRANSFORM}.dense.weight",
            f"{HEAD_TRANSFORM}.dense.bias",
            f"{HEAD_TRANSFORM}.LayerNorm.weight",
            f"{HEAD_TRANSFORM}.LayerNorm.bias",
            OUTPUT_BIAS,
        ),
        "language model head",
    ),
    "pooler.dense.weight": "pooler, of classifiers",
    "pooler.dense.bias": "pooler, of classifiers",
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
_FUSED = re.compile(
    r"(encoder\.layer\.\d+\.attention\.self\.)"
    r"(qkv_linear\.weight|q_bias|v_bias)"
)
_OLD_NORM = re.compile(r"(.*\bLayerNorm)\.(gamma|beta)")


class CanonicalWeights(NamedTuple):
    """Weights under canonical names.

    Args:
        arrays: dict from canonical names to NumPy arrays.
        sources: dict from canonical names to the names in the file.
        tied: dict from names in the file to the canonical names of the weights
            whose values they repeat.

    Example:

    >>> CanonicalWeights(arrays={}, sources={}, tied={}).arrays
    {}
    """

    arrays: dict
    sources: dict
    tied: dict

    @property
    def has_language_model_head(self):
        """Whether there is any tensor of a language model head."""
        return any(
            OPTIONAL_TENSORS.get(name) == "language model head"
            for name in self.arrays
        )


def _plain_name(name):
    name = name.removeprefix("bert.")
    if name == "encoder.rel_pos_bias.weight":
        return RELATIVE_TABLE
    old = _OLD_NORM.fullmatch(name)
    if old:
        return f"{old[1]}.{'weight' if old[2] == 'gamma' else 'bias'}"
    return name


def _unfused(prefix, part, name, values):
    if part == "qkv_linear.weight":
        if values.ndim != 2 or values.shape[0] != 3 * values.shape[1]:
            raise ValueError(
                f"A fused projection must have the shape (3 * hidden, "
                f"hidden). Received: {name!r} of shape {values.shape}"
            )
        hidden = values.shape[1]
        for index, projection in enumerate(("query", "key", "value")):
            rows = slice(index * hidden, (index + 1) * hidden)
            yield f"{prefix}{projection}.weight", values[rows]
        yield f"{prefix}key.bias", np.zeros(hidden, values.dtype)
    else:
        if values.shape not in ((1, 1, values.size), (values.size,)):
            raise ValueError(
                "A fused bias must have the shape (1, 1, hidden). Received: "
                f"{name!r} of shape {values.shape}"
            )
        projection = "query" if part == "q_bias" else "value"
        yield f"{prefix}{projection}.bias", values.reshape(-1)


def _canonical_entries(tensors):
    for name, values in tensors.items():
        plain = _plain_name(name)
        fused = _FUSED.fullmatch(plain)
        if fused:
            for entry, part in _unfused(fused[1], fused[2], name, values):
                yield entry, name, part
        else:
            yield plain, name, values


def _check_tied(weights):
    for tied, original in _TIED.items():
        if tied not in weights.arrays:
            continue
        name = weights.sources.pop(tied)
        values = weights.arrays.pop(tied)
        if original not in weights.arrays and original == OUTPUT_BIAS:
            weights.arrays[original] = values
            weights.sources[original] = name
            continue
        if not np.array_equal(values, weights.arrays.get(original)):
            source = weights.sources.get(original)
            found = "is absent" if source is None else "differs from it"
            raise ValueError(
                f"{name!r} must equal {original!r}, with which it is tied in "
                f"this model; the latter {found}. A model trained with "
                "untied weights cannot be represented."
            )
        weights.tied[name] = original


def canonicalize(tensors):
    """Brings the tensors of a file into the canonical layout.

    It knows the authors' fused layout (`qkv_linear.weight` of shape
    `(3 * hidden, hidden)`, `q_bias`, `v_bias` of shape `(1, 1, hidden)`; there
    is no key bias, so it becomes zero), plain BERT with or without the prefix
    `bert.` and with the old `gamma` and `beta`, and what s2s-ft saves
    (`cls.predictions.decoder_weight`, `crit_mask_lm_smoothed.one_hot`). The
    relative table is found as `rel_pos_bias.weight` and as
    `encoder.rel_pos_bias.weight`. A name it does not know it keeps, for the
    caller to refuse.

    Args:
        tensors: dict from names to NumPy arrays or `LazyArray`s, which are
            read only where two of them are compared.

    Returns:
        `CanonicalWeights`.

    Raises:
        ValueError: if two tensors mean the same weight, a fused tensor has
            another shape than above, or a decoder weight or bias does not
            equal the weight it is tied to.

    Example:

    >>> weights = canonicalize({
    ...     "bert.embeddings.LayerNorm.gamma": np.ones(2),
    ...     "bert.encoder.rel_pos_bias.weight": np.zeros((2, 32)),
    ... })
    >>> list(weights.arrays)
    ['embeddings.LayerNorm.weight', 'rel_pos_bias.weight']
    >>> weights.sources["embeddings.LayerNorm.weight"]
    'bert.embeddings.LayerNorm.gamma'
    """
    weights = CanonicalWeights(arrays={}, sources={}, tied={})
    for entry, name, values in _canonical_entries(tensors):
        if entry in weights.arrays:
            raise ValueError(
                f"Two tensors mean {entry!r}: {weights.sources[entry]!r} and "
                f"{name!r}. Remove the one that does not count."
            )
        weights.arrays[entry] = values
        weights.sources[entry] = name
    _check_tied(weights)
    return weights
