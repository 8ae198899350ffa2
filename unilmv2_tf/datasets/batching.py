"""Batches of columns in memory: pure functions of a seed and a step."""

import numpy as np
import tensorflow as tf

# Examples of similar length are grouped within this many batches: enough to
# save padding, few enough to stay random.
_BATCHES_AT_ONCE = 50


def seeded_batches(
    columns: dict,
    lengths: np.ndarray | None,
    batch_size: int,
    num_steps: int,
    seed: int = 0,
    start_step: int = 0,
    parts: int = 1,
) -> tf.data.Dataset:
    """Makes shuffled batches, each a function of seed and step.

    All batches have the same size, each in `parts` successive steps; an epoch
    may end inside a batch. Examples of similar length, `(n,)` or `(n, 2)` of
    source and target, share a batch: less padding. Batches are dicts of
    `columns`, and of `epoch`, int64.
    """
    num_examples = len(next(iter(columns.values()))) if columns else 0
    if num_examples == 0:
        raise ValueError(
            "`columns` must hold at least one example. Received: "
            f"columns={sorted(columns)}, without examples"
        )
    num_batches = -(-num_steps // parts)
    num_epochs = -(-num_batches * batch_size // num_examples)
    order = np.concatenate(
        [
            np.random.default_rng([seed, epoch]).permutation(num_examples)
            for epoch in range(num_epochs)
        ]
    )[: num_batches * batch_size]
    epochs = np.arange(len(order)) // num_examples
    if lengths is not None:
        places = _grouped_places(np.asarray(lengths)[order], batch_size, seed)
        order, epochs = order[places], epochs[places]
    steps = np.stack([order, epochs]).astype(np.int32)
    steps = steps.reshape(2, -1, batch_size // parts)[:, start_step:num_steps]
    tensors = {key: tf.constant(value) for key, value in columns.items()}

    def batch(index, epoch):
        examples = {key: tf.gather(x, index) for key, x in tensors.items()}
        return {**examples, "epoch": tf.cast(epoch, tf.int64)}

    return tf.data.Dataset.from_tensor_slices(tuple(steps)).map(
        batch, num_parallel_calls=tf.data.AUTOTUNE
    )


def _grouped_places(lengths, batch_size, seed):
    """Returns an order of places in which batches have similar lengths."""
    places = np.arange(len(lengths))
    window = _BATCHES_AT_ONCE * batch_size
    for start in range(0, len(places), window):
        part = places[start : start + window]
        batches = part[_sorted_by_length(lengths[part], batch_size)]
        generator = np.random.default_rng([seed, len(lengths), start])
        places[start : start + window] = generator.permutation(
            batches.reshape(-1, batch_size)
        ).ravel()
    return places


def _sorted_by_length(lengths, batch_size):
    if lengths.ndim == 1:
        return np.argsort(lengths, kind="stable")
    order = np.argsort(lengths[:, 0], kind="stable")
    # As many groups by the first as batches by the second in each of them.
    group = batch_size * round((len(order) / batch_size) ** 0.5)
    second = lengths[order, 1]
    return order[np.lexsort((second, np.arange(len(order)) // group))]
