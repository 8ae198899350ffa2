"""Operations on tensors of beams, `(rows, beams, ...)`."""

import keras
from keras import ops


def repeat_samples(cache, num_beams):
    return keras.tree.map_structure(
        lambda x: ops.repeat(x, num_beams, axis=0), cache
    )


def take_samples(cache, samples):
    return keras.tree.map_structure(
        lambda x: ops.take(x, samples, axis=0), cache
    )


def top_continuations(logits, running, penalty):
    """The best of `(batch, 1, beams, vocabulary_size)`, ranked with a penalty.

    Returns log-probabilities without the penalty, the beams that are extended,
    and the tokens, each `(batch, 1, beams)`.
    """
    num_beams, vocabulary_size = logits.shape[2:]
    # The best of each beam first: a top-k over beams times vocabulary would
    # sort the whole product.
    per_beam = min(num_beams, vocabulary_size)
    shape = (-1, 1, num_beams * per_beam)
    ranked = logits if penalty is None else logits - penalty
    ranked, tokens = ops.top_k(ranked, per_beam)
    log_probs, chosen = ops.top_k(
        ops.reshape(ranked + running, shape), num_beams
    )
    if penalty is not None:
        values = ops.take_along_axis(logits, tokens, axis=3) + running
        log_probs = ops.take_along_axis(
            ops.reshape(values, shape), chosen, axis=2
        )
    tokens = ops.take_along_axis(ops.reshape(tokens, shape), chosen, axis=2)
    return log_probs, ops.cast(chosen // per_beam, "int32"), tokens


def best_of(hypotheses, count):
    """The best of `(rows, candidates, ...)`; of equal ones the first."""
    _, best = ops.top_k(hypotheses["scores"], count)
    return {name: gather_beams(x, best) for name, x in hypotheses.items()}


def flatten_beams(x):
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def gather_beams(x, beams):
    """Gathers from `(rows, candidates, ...)` at `beams` `(rows, k)`.

    >>> import numpy as np
    >>> x = np.array([[[1, 2], [3, 4]]])
    >>> np.array(gather_beams(x, np.array([[1, 1]]))).tolist()
    [[[3, 4], [3, 4]]]
    """
    flat = flat_indices(beams, ops.shape(x)[1])
    x = ops.take(flatten_beams(x), flat, axis=0)
    return ops.reshape(x, (-1, beams.shape[1], *ops.shape(x)[1:]))


def flat_indices(beams, num_candidates):
    """Indices into `(rows * candidates,)` of beams `(rows, k)` of each row.

    >>> import numpy as np
    >>> np.array(flat_indices(np.array([[1, 1], [0, 2]]), 3)).tolist()
    [1, 1, 3, 5]
    """
    starts = ops.arange(ops.shape(beams)[0], dtype=beams.dtype)
    return ops.reshape(beams + starts[:, None] * num_candidates, (-1,))
