"""Stateless random numbers: pure functions of a seed, a row and a counter.

A row's numbers do not depend on the batch it comes in, on its place there or
on how many calls run in parallel.
"""

import numpy as np

from unilmv2_tf.preprocessing.libraries import tf

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)


def mix(x):
    """Scrambles integers so that each bit depends on all bits.

    Args:
        x: uint64 tensor of any shape.

    Returns:
        A uint64 tensor of the same shape.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing.random_bits import mix
    >>> hex(int(mix(tf.constant(0x9E3779B97F4A7C15, tf.uint64))))
    '0xe220a8397b1dcdaf'

    Reference:
        Steele et al., 2014, the finalizer of SplitMix64.
    """
    shift = tf.bitwise.right_shift
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(30, tf.uint64)))
    x = x * tf.constant(_MULTIPLIER_1)
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(27, tf.uint64)))
    x = x * tf.constant(_MULTIPLIER_2)
    return tf.bitwise.bitwise_xor(x, shift(x, tf.constant(31, tf.uint64)))


def row_seeds(token_ids, padding_mask, seed, epoch):
    """One seed for each row, from its content, a seed and the epoch.

    Args:
        token_ids: int tensor of shape `(batch, length)`.
        padding_mask: bool tensor of the same shape, False on padding, which
            has no part in the seed.
        seed: int.
        epoch: int tensor of shape `(batch,)` or scalar.

    Returns:
        A uint64 tensor of shape `(batch,)`.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing.random_bits import row_seeds
    >>> ids = tf.constant([[2, 7, 3, 0], [2, 7, 3, 9]])
    >>> mask = tf.constant([[True, True, True, False]] * 2)
    >>> seeds = row_seeds(ids, mask, seed=1, epoch=0)
    >>> bool(seeds[0] == seeds[1])
    True
    """
    length = tf.shape(token_ids)[1]
    place = tf.cast(tf.range(length), tf.uint64) * tf.constant(
        1 << 32, tf.uint64
    )
    bits = mix(
        tf.cast(token_ids, tf.uint64) + place + tf.constant(_GOLDEN_RATIO)
    )
    bits = tf.where(padding_mask, bits, tf.zeros_like(bits))
    content = tf.reduce_sum(bits, axis=1)
    stream = mix(
        tf.cast(epoch, tf.uint64) * tf.constant(_GOLDEN_RATIO)
        + tf.constant(np.uint64(seed % (1 << 63)))
    )
    return mix(tf.bitwise.bitwise_xor(content, stream))


def uniform(seeds, counters):
    """Uniform numbers in `[0, 1)`.

    Args:
        seeds: uint64 tensor of shape `(batch,)`.
        counters: int tensor of shape `(n,)` or `(batch, n)`. Equal counters
            give equal numbers.

    Returns:
        A float32 tensor of shape `(batch, n)`.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing.random_bits import uniform
    >>> numbers = uniform(tf.constant([1, 2], tf.uint64), tf.range(10000))
    >>> round(float(tf.reduce_mean(numbers)), 1)
    0.5
    """
    counters = tf.cast(counters + 1, tf.uint64) * tf.constant(_GOLDEN_RATIO)
    bits = mix(seeds[:, tf.newaxis] + counters)
    # As many bits as a float32 holds, so that no number rounds up to 1.
    high_bits = tf.bitwise.right_shift(bits, tf.constant(40, tf.uint64))
    return tf.cast(tf.cast(high_bits, tf.int32), tf.float32) * 2.0**-24


def uniform_integers(seeds, counters, maximum):
    """Uniform integers in `[0, maximum)`.

    Args:
        seeds: uint64 tensor of shape `(batch,)`.
        counters: int tensor of shape `(n,)` or `(batch, n)`.
        maximum: int, or int tensor that broadcasts to `(batch, n)`; at most
            2 ** 24.

    Returns:
        An int32 tensor of shape `(batch, n)`.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing.random_bits import uniform_integers
    >>> dice = uniform_integers(tf.constant([7], tf.uint64), tf.range(99), 6)
    >>> sorted(set(dice.numpy()[0].tolist()))
    [0, 1, 2, 3, 4, 5]
    """
    numbers = uniform(seeds, counters) * tf.cast(maximum, tf.float32)
    # The product may round up to the maximum.
    return tf.minimum(
        tf.cast(numbers, tf.int32),
        tf.maximum(tf.cast(maximum, tf.int32) - 1, 0),
    )
