import keras
from keras import ops


def write_slices(cached, places, new, in_place=False):
    """Writes slices of the last axis of a cache.

    Args:
        cached: tensor of shape `(rows, heads, slots, width)`.
        places: int tensor of shape `(k,)`. The slices, counted over rows, heads
            and slots; each is named once.
        new: tensor of shape `(k, width)`.
        in_place: bool. Whether `cached` itself may change: then only `new` is
            copied. On TensorFlow `ops.scatter_update` copies the whole tensor,
            also where it is not used again; outside of XLA, which has no such
            operation, this takes one that does not. JAX and XLA see for
            themselves that nothing needs to be copied. Defaults to `False`.

    Returns:
        A tensor of the shape of `cached`, which must not be used any more if
        `in_place`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.models.cache_writing import write_slices
    >>> cached = np.zeros((1, 2, 3, 1), "float32")
    >>> new = np.array([[5.0], [7.0]], "float32")
    >>> written = write_slices(cached, np.array([1, 4]), new)
    >>> np.array(written)[0, :, :, 0].tolist()
    [[0.0, 5.0, 0.0], [0.0, 7.0, 0.0]]
    """
    shape = ops.shape(cached)
    flat = ops.reshape(cached, (-1, shape[-1]))
    if in_place and keras.backend.backend() == "tensorflow":
        from unilmv2_tf.models.tensorflow_backend import write_in_place

        flat = write_in_place(flat, places, new)
    else:
        flat = ops.scatter_update(flat, places[:, None], new)
    return ops.reshape(flat, shape)
