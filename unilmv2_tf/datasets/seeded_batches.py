"""Batches of columns in memory: pure functions of a seed and a step."""

import numpy as np
import tensorflow as tf

# Examples of similar length are grouped within this many batches: enough to
# save padding, few enough to stay random.
_BATCHES_AT_ONCE = 50


def training_batches(
    columns: dict,
    batch_size: int,
    num_steps: int,
    seed: int = 0,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Makes shuffled batches, each a function of seed and step.

    Each epoch has a new order, until `num_steps`. An interrupted training that
    resumes at a step gets the batches that it would have got.

    Args:
        columns: Dict of arrays with equal first dimensions: rows of integers,
            or strings.
        batch_size: All batches have it: an epoch may end inside a batch.
        num_steps: The step before which the batches end.
        seed: Defaults to `0`.
        start_step: The step of the first batch. Defaults to `0`.

    Returns:
        A `tf.data.Dataset` of dicts of the columns and of `epoch`, int64 of
        shape `(batch_size,)`.

    Raises:
        ValueError: If there is no example.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.datasets import training_batches
    >>> for batch in training_batches({"x": np.arange(3)}, 2, num_steps=3):
    ...     print(batch["x"].numpy(), batch["epoch"].numpy())
    [0 1] [0 0]
    [2 0] [0 1]
    [1 2] [1 1]
    """
    tensors = {key: tf.constant(value) for key, value in columns.items()}
    num_examples = _num_examples(columns)
    # One permutation for each epoch. The op and not `index_shuffle`, which in
    # TensorFlow 2.20 takes no seed for each index.
    seed = np.uint32(seed % 2**32)

    def batch(step):
        place = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        epoch = place // num_examples
        seeds = tf.stack(
            [
                tf.fill([batch_size], tf.constant(seed)),
                tf.cast(epoch, tf.uint32),
                tf.zeros([batch_size], tf.uint32),
            ],
            axis=1,
        )
        index = tf.raw_ops.RandomIndexShuffle(
            index=place % num_examples,
            seed=seeds,
            max_index=tf.constant(num_examples - 1, tf.int64),
        )
        examples = {key: tf.gather(x, index) for key, x in tensors.items()}
        return {**examples, "epoch": epoch}

    steps = tf.data.Dataset.range(start_step, num_steps)
    return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE)


def length_grouped_batches(
    columns: dict,
    lengths: np.ndarray,
    batch_size: int,
    num_steps: int,
    seed: int = 0,
    start_step: int = 0,
    parts: int = 1,
) -> tf.data.Dataset:
    """As `training_batches`, with examples of similar length in a batch.

    So batches that are cut to their longest example have less padding. Of every
    50 batches of shuffled examples, those of similar length form a batch, and
    the batches are shuffled. Examples with two lengths, such as those of source
    and target, are grouped by the first, and within a group by the second.

    Args:
        columns: Dict of arrays with equal first dimensions.
        lengths: Int array of shape `(n,)` or `(n, 2)`.
        batch_size: All batches have it: an epoch may end inside a batch.
        num_steps: The step before which the batches end.
        seed: Defaults to `0`.
        start_step: The step of the first batch. Defaults to `0`.
        parts: Each batch comes in this many successive parts, which are the
            steps. Defaults to `1`.

    Returns:
        A `tf.data.Dataset` of dicts of the columns and of `epoch`, as of
        `training_batches`, of `batch_size / parts` examples.

    Raises:
        ValueError: If there is no example.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.datasets import length_grouped_batches
    >>> lengths = np.array([9, 1, 8, 2])
    >>> for batch in length_grouped_batches({"x": lengths}, lengths, 2, 2):
    ...     print(sorted(batch["x"].numpy().tolist()))
    [1, 2]
    [8, 9]
    """
    _num_examples(columns)
    order = _length_grouped_order(
        np.asarray(lengths), batch_size, -(-num_steps // parts), seed
    )
    order = order.reshape(2, -1, batch_size // parts)[:, start_step:num_steps]
    tensors = {key: tf.constant(value) for key, value in columns.items()}

    def batch(index, epoch):
        examples = {key: tf.gather(x, index) for key, x in tensors.items()}
        return {**examples, "epoch": tf.cast(epoch, tf.int64)}

    return tf.data.Dataset.from_tensor_slices(tuple(order)).map(
        batch, num_parallel_calls=tf.data.AUTOTUNE
    )


def _num_examples(columns):
    num_examples = len(next(iter(columns.values()))) if columns else 0
    if num_examples == 0:
        raise ValueError(
            "`columns` must hold at least one example. Received: "
            f"columns={sorted(columns)}, without examples"
        )
    return num_examples


def _length_grouped_order(lengths, batch_size, num_batches, seed):
    """Returns the numbers of the examples of all batches, and their epochs."""
    num_examples = len(lengths)
    num_epochs = -(-num_batches * batch_size // num_examples)
    order = np.concatenate(
        [
            np.random.default_rng([seed, number]).permutation(num_examples)
            for number in range(num_epochs)
        ]
    )[: num_batches * batch_size]
    places = np.arange(len(order))
    window = _BATCHES_AT_ONCE * batch_size
    for start in range(0, len(order), window):
        part = places[start : start + window]
        batches = part[_grouped(lengths[order[part]], batch_size)]
        batches = batches.reshape(-1, batch_size)
        generator = np.random.default_rng([seed, num_epochs, start])
        places[start : start + window] = generator.permutation(batches).ravel()
    return np.stack([order[places], places // num_examples]).astype(np.int32)


def _grouped(lengths, batch_size):
    """Returns an order in which similar examples are neighbors."""
    if lengths.ndim == 1:
        return np.argsort(lengths, kind="stable")
    order = np.argsort(lengths[:, 0], kind="stable")
    # As many groups by the first as batches by the second in each of them.
    group = batch_size * round((len(order) / batch_size) ** 0.5)
    second = lengths[order, 1]
    return order[np.lexsort((second, np.arange(len(order)) // group))]
