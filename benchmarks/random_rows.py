"""Sizes of models, and the same random inputs for all contenders."""

from typing import Literal

import numpy as np

from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots

VOCABULARY_SIZE = 30_522
Size = Literal["tiny", "mini", "small", "base"]
_NAMES = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim")
# All models have these sizes, whatever their library calls them.
SIZES = {
    "tiny": dict(zip(_NAMES, (2, 2, 128, 512))),
    "mini": dict(zip(_NAMES, (4, 4, 256, 1024))),
    "small": dict(zip(_NAMES, (6, 8, 512, 2048))),
    "base": dict(zip(_NAMES, (12, 12, 768, 3072))),
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
    size["num_layers"] = settings.get("layers") or size["num_layers"]
    return size


def model_arguments(settings):
    """The size and more, as Keras's models of all libraries take it."""
    return {
        "vocabulary_size": VOCABULARY_SIZE,
        "dropout": settings.get("dropout", DROPOUT),
        "dtype": settings.get("precision", "float32"),
        **size_of(settings),
    }


def random_ids(batch_size, length, seed=0):
    """Random token ids."""
    rng = np.random.default_rng(seed)
    shape = [batch_size, length]
    return rng.integers(FIRST_ID, VOCABULARY_SIZE, shape, dtype="int32")


def pair_inputs(settings, is_target_known=True):
    """Random sources and targets without padding, as seq2seq models take it."""
    source, target = (
        random_ids(settings["batch_size"], settings[f"{name}_length"])
        for name in ("source", "target")
    )
    return {
        "encoder_token_ids": source,
        "encoder_padding_mask": np.ones_like(source),
        "decoder_token_ids": target * is_target_known,
        "decoder_padding_mask": np.full_like(target, is_target_known),
    }


def masked_rows(ids, seed=0):
    """Masks rows: spans of about two tokens, each predicted in its own step."""
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
