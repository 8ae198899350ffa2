"""Tensors with an axis of beams after that of the examples."""

import keras
from keras import ops


def repeat_for_beams(x, num_beams):
    """Repeats each row of `(batch, ...)`: `(batch, num_beams, ...)`.

    Args:
        x: tensor.
        num_beams: int.

    Returns:
        A tensor with an axis more.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers.beams import repeat_for_beams
    >>> np.array(repeat_for_beams(np.array([5, 7]), 2)).tolist()
    [[5, 5], [7, 7]]
    """
    return ops.repeat(ops.expand_dims(x, 1), num_beams, axis=1)


def flatten_beams(x):
    """Joins the first two axes, those of examples and beams.

    Args:
        x: tensor of shape `(batch, beams, ...)`.

    Returns:
        A tensor of shape `(batch * beams, ...)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers.beams import flatten_beams
    >>> np.array(flatten_beams(np.array([[5, 6], [7, 8]]))).tolist()
    [5, 6, 7, 8]
    """
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def flat_beams(beams, num_candidates):
    """Numbers of beams within their example as numbers of flat samples.

    Args:
        beams: int tensor of shape `(batch, k)`, below `num_candidates`.
        num_candidates: int. How many an example has.

    Returns:
        An int tensor of shape `(batch * k,)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers.beams import flat_beams
    >>> np.array(flat_beams(np.array([[1, 1], [0, 2]]), 3)).tolist()
    [1, 1, 3, 5]
    """
    batch_size = ops.shape(beams)[0]
    starts = ops.arange(batch_size, dtype=beams.dtype) * num_candidates
    return ops.reshape(beams + starts[:, None], (-1,))


def take_beams(x, beams):
    """Picks some beams of each example.

    Args:
        x: tensor of shape `(batch, candidates, length)`.
        beams: int tensor of shape `(batch, k)`.

    Returns:
        A tensor of shape `(batch, k, length)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers.beams import take_beams
    >>> x = np.array([[[1, 2], [3, 4]]])
    >>> np.array(take_beams(x, np.array([[1, 1]]))).tolist()
    [[[3, 4], [3, 4]]]
    """
    _, num_candidates, length = ops.shape(x)
    flat = flat_beams(beams, num_candidates)
    x = ops.take(ops.reshape(x, (-1, length)), flat, axis=0)
    return ops.reshape(x, (-1, beams.shape[1], length))


class BeamCache:
    """How a sampler makes and reorders beams in the cache of `next`.

    A `next` that knows beams has the methods `start_beams(cache, num_beams)`
    and `reorder_beams(cache, samples)`, and does it with less copying than
    this: to repeat the whole cache, and to gather it anew at every step.

    Args:
        next: the function or object that a sampler was given.
        num_beams: int. Beams of each example.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers.beams import BeamCache
    >>> beam_cache = BeamCache(next=None, num_beams=2)
    >>> cache = beam_cache.start({"sum": np.array([5, 7])})
    >>> np.array(cache["sum"]).tolist()
    [5, 5, 7, 7]
    >>> cache = beam_cache.reorder(cache, np.array([1, 0, 2, 2]))
    >>> np.array(cache["sum"]).tolist()
    [5, 5, 7, 7]
    """

    def __init__(self, next, num_beams):
        self.next = next
        self.num_beams = num_beams

    def start(self, cache):
        """Makes the beams.

        Args:
            cache: nested tensors with the examples on their first axis.

        Returns:
            A cache of `num_beams` samples for each example.
        """
        if hasattr(self.next, "start_beams"):
            return self.next.start_beams(cache, self.num_beams)
        return keras.tree.map_structure(
            lambda x: ops.repeat(x, self.num_beams, axis=0), cache
        )

    def reorder(self, cache, samples):
        """Lets samples go on from others of the same example.

        Args:
            cache: what `start` returned, or `next` after it.
            samples: int tensor of shape `(batch * num_beams,)`.

        Returns:
            The reordered cache.
        """
        if hasattr(self.next, "reorder_beams"):
            return self.next.reorder_beams(cache, samples)
        return keras.tree.map_structure(
            lambda x: ops.take(x, samples, axis=0), cache
        )
