"""Stateless random numbers: pure functions of a seed, a row and a counter.

The numbers of a row depend neither on its batch, nor on its index there, nor on
how many calls run in parallel.
"""

import numpy as np

from unilmv2_tf.preprocessing.tensorflow_graph import tf

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)


def mix(x):
    """Hashes uint64 integers (finalizer of SplitMix64, Steele et al., 2014)."""
    shift = tf.bitwise.right_shift
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(30, tf.uint64)))
    x = x * tf.constant(_MULTIPLIER_1)
    x = tf.bitwise.bitwise_xor(x, shift(x, tf.constant(27, tf.uint64)))
    x = x * tf.constant(_MULTIPLIER_2)
    return tf.bitwise.bitwise_xor(x, shift(x, tf.constant(31, tf.uint64)))


def row_seeds(token_ids, padding_mask, seed, epoch):
    """Derives uint64 seeds of rows from their tokens, a seed and the epoch."""
    length = tf.shape(token_ids)[1]
    position = tf.cast(tf.range(length), tf.uint64)
    position *= tf.constant(1 << 32, tf.uint64)
    bits = mix(
        tf.cast(token_ids, tf.uint64) + position + tf.constant(_GOLDEN_RATIO)
    )
    bits = tf.where(padding_mask, bits, tf.zeros_like(bits))
    content = tf.reduce_sum(bits, axis=1)
    stream = mix(
        tf.cast(epoch, tf.uint64) * tf.constant(_GOLDEN_RATIO)
        + tf.constant(np.uint64(seed % (1 << 63)))
    )
    return mix(tf.bitwise.bitwise_xor(content, stream))


def uniform(seeds, counters):
    """Draws float32 numbers in `[0, 1)`; equal counters give equal numbers."""
    counters = tf.cast(counters + 1, tf.uint64) * tf.constant(_GOLDEN_RATIO)
    bits = mix(seeds[:, tf.newaxis] + counters)
    # As many bits as a float32 holds, so that no number rounds up to 1.
    high_bits = tf.bitwise.right_shift(bits, tf.constant(40, tf.uint64))
    return tf.cast(tf.cast(high_bits, tf.int32), tf.float32) * 2.0**-24


def uniform_integers(seeds, counters, maximum):
    """Draws int32 numbers in `[0, maximum)`; `maximum` is at most 2**24."""
    numbers = uniform(seeds, counters) * tf.cast(maximum, tf.float32)
    # The product may round up to the maximum.
    return tf.minimum(
        tf.cast(numbers, tf.int32),
        tf.maximum(tf.cast(maximum, tf.int32) - 1, 0),
    )
