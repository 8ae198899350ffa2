"""What is done in another way on TensorFlow, and imported only there."""

import tensorflow as tf


def drop(x, rate, seed):
    """Sets a random part of a tensor to zero, and scales up the rest.

    The random numbers have 16 bits, two from each draw of 32: on a CPU it is
    the draws that dropout takes most of its time for.

    Args:
        x: float tensor.
        rate: float. The share that is set to zero; it is rounded to a multiple
            of 2**-16, and must be less than 1 after that.
        seed: int tensor of shape `(2,)`, of 32 bits.

    Returns:
        A tensor of the same shape and dtype.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.layers.tensorflow_backend import drop
    >>> sorted(set(drop(tf.ones(100), 0.5, [1, 2]).numpy().tolist()))
    [0.0, 2.0]

    Reference:
        Srivastava et al., 2014.
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
