"""Sizes of models, and the same random inputs for all contenders."""

from typing import Literal

import numpy as np

from unilmv2_tf.preprocessing import num_mask_slots

VOCABULARY_SIZE = 30_522
Size = Literal["tiny", "mini", "small", "base"]
# All models have these sizes, whatever their library calls them.
SIZES = {
    "tiny": {"layers": 2, "heads": 2, "hidden": 128, "inner": 512},
    "mini": {"layers": 4, "heads": 4, "hidden": 256, "inner": 1024},
    "small": {"layers": 6, "heads": 8, "hidden": 512, "inner": 2048},
    "base": {"layers": 12, "heads": 12, "hidden": 768, "inner": 3072},
}
DROPOUT = 0.1
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.01
BETA_2 = 0.98
EPSILON = 1e-6
# As in the vocabularies of BERT.
FIRST_ID, CLS, MASK = 1000, 101, 103


def size_of(settings):
    """The size of the model: a named one, with other layers if asked."""
    size = dict(SIZES[settings["size"]])
    size["layers"] = settings.get("layers") or size["layers"]
    return size


def random_ids(batch_size, length, seed=0):
    """Random token ids."""
    rng = np.random.default_rng(seed)
    shape = [batch_size, length]
    return rng.integers(FIRST_ID, VOCABULARY_SIZE, shape, dtype="int32")


def random_pairs(settings):
    """Random sources and targets without padding."""
    return tuple(
        random_ids(settings["batch_size"], length)
        for length in (settings["source_length"], settings["target_length"])
    )


def masked_rows(ids, seed=0):
    """Masks rows: spans of about two tokens, each predicted in its own step.

    Args:
        ids: int32 array of shape `(batch_size, length)`.
        seed: int, or a list of ints. Defaults to `0`.

    Returns:
        A dict of int32 arrays: `token_ids`, like `ids`;
        `positions`, `steps` and `labels` of shape `(batch_size, m)`.
    """
    rng = np.random.default_rng(seed)
    places = np.tile(np.arange(ids.shape[1]), [len(ids), 1])
    num_slots = num_mask_slots(ids.shape[1])
    positions = rng.permuted(places, axis=1)[:, :num_slots]
    positions = np.sort(positions, axis=1).astype("int32")
    starts = rng.random(positions.shape) < 0.6
    token_ids = ids.copy()
    np.put_along_axis(token_ids, positions, MASK, axis=1)
    return {
        "token_ids": token_ids,
        "positions": positions,
        "steps": 1 + np.cumsum(starts, axis=1, dtype="int32"),
        "labels": np.take_along_axis(ids, positions, axis=1),
    }
