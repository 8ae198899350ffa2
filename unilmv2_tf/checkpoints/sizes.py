"""What a configuration leaves open, read off the tensors."""

import re
import warnings

from unilmv2_tf.checkpoints.known_models import find_known_model
from unilmv2_tf.checkpoints.layouts import POSITION_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import RELATIVE_TABLE
from unilmv2_tf.checkpoints.layouts import SEGMENT_EMBEDDINGS
from unilmv2_tf.checkpoints.layouts import WORD_EMBEDDINGS

_INTERMEDIATE = "encoder.layer.0.intermediate.dense.weight"
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")

# By these sizes a published checkpoint is recognised. Positions may have been
# added, and segments differ between releases.
_TELLING_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "num_attention_heads",
    "rel_pos_bins",
)
# No tensor of BERT's tells the number of heads. Of these hidden sizes there is
# one published family each, Google's miniatures and MiniLM.
_USUAL_HEADS = {128: 2, 256: 4, 384: 12, 512: 8, 768: 12, 1024: 16}
_USUAL_DISTANCE = 128
_USUAL_EPSILON = 1e-12


def sizes_of_tensors(weights):
    """Reads sizes off the shapes of canonical tensors.

    Args:
        weights: `CanonicalWeights`.

    Returns:
        A dict of official keys, of those sizes for which there are tensors.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.checkpoints.layouts import canonicalize
    >>> sizes_of_tensors(canonicalize({
    ...     "bert.embeddings.word_embeddings.weight": np.zeros((99, 8)),
    ...     "bert.rel_pos_bias.weight": np.zeros((2, 32))}))
    {'vocab_size': 99, 'hidden_size': 8, 'num_attention_heads': 2,
     'rel_pos_bins': 32}
    """
    sizes = {}
    for name, keys in (
        (WORD_EMBEDDINGS, ("vocab_size", "hidden_size")),
        (POSITION_EMBEDDINGS, ("max_position_embeddings",)),
        (SEGMENT_EMBEDDINGS, ("type_vocab_size",)),
        (_INTERMEDIATE, ("intermediate_size",)),
        (RELATIVE_TABLE, ("num_attention_heads", "rel_pos_bins")),
    ):
        if name in weights.arrays and weights.arrays[name].ndim == 2:
            sizes.update(zip(keys, weights.arrays[name].shape))
    layers = [
        int(match[1]) for match in map(_LAYER.match, weights.arrays) if match
    ]
    if layers:
        sizes["num_hidden_layers"] = max(layers) + 1
    return sizes


def _check_known(known, sizes, path):
    for key in _TELLING_SIZES:
        expected = known.config.get(key)
        if key in sizes and expected is not None and sizes[key] != expected:
            raise ValueError(
                f"By its name {str(path)!r} should have {key} {expected}, but "
                f"its tensors have {sizes[key]}. Rename it, or pass the "
                "configuration that belongs to it, config=."
            )
    if "rel_pos_bins" in known.config and "rel_pos_bins" not in sizes:
        raise ValueError(
            f"By its name {str(path)!r} should hold a relative table, and it "
            "holds none. Rename it, or pass the configuration that belongs "
            "to it, config=."
        )


def _usual_heads(hidden_size):
    if hidden_size not in _USUAL_HEADS:
        raise ValueError(
            "No tensor of BERT's tells the number of attention heads, and "
            f"hidden_size {hidden_size} is not that of a well-known model. "
            'Pass a configuration with "num_attention_heads", config=.'
        )
    return _USUAL_HEADS[hidden_size]


def _with_usual_values(config):
    assumed = {}
    if "num_attention_heads" not in config:
        assumed["num_attention_heads"] = _usual_heads(config.get("hidden_size"))
    if config.get("rel_pos_bins") and "max_rel_pos" not in config:
        assumed["max_rel_pos"] = _USUAL_DISTANCE
    if "layer_norm_eps" not in config:
        assumed["layer_norm_eps"] = _USUAL_EPSILON
    if assumed:
        warnings.warn(
            f"There is no configuration, and no tensor tells {assumed}: that "
            "is assumed, as it is so in the well-known models of these sizes. "
            "If it is wrong, the model is wrong: pass a configuration.",
            stacklevel=3,
        )
    return {**config, **assumed}


def complete_config(config, weights, path):
    """Fills what a configuration leaves open.

    A key of the configuration counts as it stands. What it leaves open comes
    from the shapes of the tensors. Where there is no configuration at all, the
    name of a published checkpoint tells the rest, or else it is assumed to be
    as usual, with a warning.

    Args:
        config: dict of official keys, or `None` if there is none.
        weights: `CanonicalWeights`.
        path: str or path of the checkpoint.

    Returns:
        A dict of official keys.

    Raises:
        ValueError: if the tensors contradict the checkpoint's name, or there
            is no configuration and no usual number of attention heads.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.checkpoints.layouts import canonicalize
    >>> weights = canonicalize(
    ...     {"embeddings.word_embeddings.weight": np.zeros((99, 8))})
    >>> complete_config({"num_attention_heads": 4}, weights, "weights.bin")
    {'vocab_size': 99, 'hidden_size': 8, 'num_attention_heads': 4}
    """
    sizes = sizes_of_tensors(weights)
    completed = {**sizes, **(config or {})}
    known = find_known_model(path) if config is None else None
    if known is not None:
        _check_known(known, sizes, path)
        completed = {**known.config, **completed}
        if completed["target_type_id"] >= completed.get("type_vocab_size", 0):
            completed.update(source_type_id=0, target_type_id=1)
    return completed if config is not None else _with_usual_values(completed)
