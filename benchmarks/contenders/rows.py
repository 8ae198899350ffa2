"""The same random inputs for all contenders."""

import numpy as np

VOCABULARY_SIZE = 30_522
# All models have this size, whatever their library calls it.
SIZES = {
    "tiny": {"layers": 2, "heads": 2, "hidden": 128, "inner": 512},
    "mini": {"layers": 4, "heads": 4, "hidden": 256, "inner": 1024},
    "small": {"layers": 6, "heads": 8, "hidden": 512, "inner": 2048},
    "base": {"layers": 12, "heads": 12, "hidden": 768, "inner": 3072},
}
DROPOUT = 0.1
LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.98)
EPSILON = 1e-6
# Of the vocabularies' special tokens.
FIRST_ID, CLS, SEP, MASK = 1000, 101, 102, 103


def size(settings):
    """The size of the model: a named one, with layers replaced if asked."""
    chosen = dict(SIZES[settings["size"]])
    chosen["layers"] = settings.get("layers") or chosen["layers"]
    return chosen


def masked_rows(batch_size, length, seed=0):
    """Rows of random tokens, masked by the paper's algorithm 1.

    Args:
        batch_size: int.
        length: int.
        seed: int. Defaults to `0`.

    Returns:
        A dict of int32 arrays: `token_ids` and `original_ids` of shape
        `(batch_size, length)`; `positions`, `steps` and `labels` of shape
        `(batch_size, m)`, 0 in unused slots.
    """
    from unilmv2_tf.preprocessing import num_mask_slots

    rng = np.random.default_rng(seed)
    ids = rng.integers(FIRST_ID, VOCABULARY_SIZE, [batch_size, length])
    ids[:, 0], ids[:, [length // 2, length - 1]] = CLS, SEP
    num_slots = num_mask_slots(length)
    shape = (batch_size, num_slots)
    rows = {
        "original_ids": ids,
        "token_ids": ids.copy(),
        "positions": np.zeros(shape, "int64"),
        "steps": np.zeros(shape, "int64"),
        "labels": np.zeros(shape, "int64"),
    }
    for row in range(batch_size):
        steps = _draw_steps(rng, ids[row] >= FIRST_ID)
        masked = np.flatnonzero(steps)
        slots = slice(0, len(masked))
        rows["token_ids"][row, masked] = MASK
        rows["positions"][row, slots] = masked
        rows["steps"][row, slots] = steps[masked]
        rows["labels"][row, slots] = ids[row, masked]
    return {name: value.astype("int32") for name, value in rows.items()}


def _draw_steps(rng, maskable):
    """The factorization step of each token, 0 where it is not masked."""
    steps, step = np.zeros(len(maskable), "int64"), 0
    while (steps > 0).sum() < 0.15 * maskable.sum():
        start = rng.integers(len(maskable))
        width = rng.integers(2, 7) if rng.random() < 0.4 else 1
        span = slice(start, start + width)
        if start + width > len(maskable) or not maskable[span].all():
            continue
        if not steps[span].any():
            step += 1
            steps[span] = step
    return steps


def cloze_rows(rows):
    """An instance for each factorization step of each row.

    What one forward pass of pseudo masks does, without them: a row for each
    step, in which the tokens of this step and of later ones are masked, those
    of earlier ones are there, and those of this step are predicted.

    Args:
        rows: what `masked_rows` returns.

    Returns:
        Rows of the same form, with fewer slots.
    """
    instances = {name: [] for name in rows}
    num_slots = 0
    for row in range(len(rows["steps"])):
        steps, positions = rows["steps"][row], rows["positions"][row]
        for step in range(1, steps.max() + 1):
            ids = rows["token_ids"][row].copy()
            earlier = positions[(steps > 0) & (steps < step)]
            ids[earlier] = rows["original_ids"][row, earlier]
            now = steps == step
            num_slots = max(num_slots, now.sum())
            instances["token_ids"].append(ids)
            instances["original_ids"].append(rows["original_ids"][row])
            instances["positions"].append(positions[now])
            instances["steps"].append(np.ones(now.sum(), "int32"))
            instances["labels"].append(rows["labels"][row][now])
    for name in ("positions", "steps", "labels"):
        instances[name] = [
            np.pad(value, (0, num_slots - len(value)))
            for value in instances[name]
        ]
    return {
        name: np.stack(value).astype("int32")
        for name, value in instances.items()
    }


def pairs(batch_size, source_length, target_length, seed=0):
    """Random sources and targets, without padding.

    Returns:
        A tuple of int32 arrays of shape `(batch_size, source_length)` and
        `(batch_size, target_length)`.
    """
    rng = np.random.default_rng(seed)
    return tuple(
        rng.integers(FIRST_ID, VOCABULARY_SIZE, [batch_size, length]).astype(
            "int32"
        )
        for length in (source_length, target_length)
    )
