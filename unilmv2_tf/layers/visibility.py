"""The visibility rule: who may attend to whom, from one integer per token."""

from keras import ops


def step_visibility(query_steps, key_steps):
    """Tells which keys each query may attend to, from their steps.

    One integer per token, its `step`, says everything: 0 is the context copy
    (unmasked tokens and `[MASK]` alike), `i > 0` the original token that is
    revealed at factorization step `i`, `-i` the pseudo mask that predicts a
    token of step `i`. A query `q` sees a key `k` if and only if

        step_q >= 0:   0 <= step_k <= step_q
        step_q <  0:   0 <= step_k < -step_q   or   step_k == step_q

    Padding is no part of the rule: callers take padded keys out on top of it.

    The text `x1 .. x6` with the factorization steps `<{4, 5}, {2}>` (figure 5
    of the paper) makes the row below: context, revealed tokens, pseudo masks.

        token  x1 [M] x3 [M] [M] x6 | x4 x5 x2 | P4 P5 P2
        step    0   0  0   0   0  0 |  1  1  2 | -1 -1 -2

        x1      1   1  1   1   1  1    0  0  0    0  0  0
        ...     (the same for the other context tokens)
        x4      1   1  1   1   1  1    1  1  0    0  0  0
        x5      1   1  1   1   1  1    1  1  0    0  0  0
        x2      1   1  1   1   1  1    1  1  1    0  0  0
        P4      1   1  1   1   1  1    0  0  0    1  1  0
        P5      1   1  1   1   1  1    0  0  0    1  1  0
        P2      1   1  1   1   1  1    1  1  0    0  0  1

    Args:
        query_steps: int tensor of shape `(..., queries)`.
        key_steps: int tensor of shape `(..., keys)`.

    Returns:
        A bool tensor of shape `(..., queries, keys)`, True where the query may
        attend to the key.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import step_visibility
    >>> steps = np.array([0, 1, 1, 2, -1, -1, -2])
    >>> np.array(step_visibility(steps, steps)).astype(int)
    array([[1, 0, 0, 0, 0, 0, 0],
           [1, 1, 1, 0, 0, 0, 0],
           [1, 1, 1, 0, 0, 0, 0],
           [1, 1, 1, 1, 0, 0, 0],
           [1, 0, 0, 0, 1, 1, 0],
           [1, 0, 0, 0, 1, 1, 0],
           [1, 1, 1, 0, 0, 0, 1]])

    Reference:
        Bao et al., 2020, section 3.2, figures 4 and 5.
    """
    query = ops.expand_dims(query_steps, axis=-1)
    key = ops.expand_dims(key_steps, axis=-2)
    # A pseudo mask of step i reads the text up to step i - 1, everything else
    # reads it up to its own step.
    last_visible_step = ops.where(query < 0, -query - 1, query)
    revealed = ops.logical_and(key >= 0, key <= last_visible_step)
    same_pseudo_step = ops.logical_and(query < 0, key == query)
    return ops.logical_or(revealed, same_pseudo_step)
