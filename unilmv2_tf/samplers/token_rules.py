from keras import ops

from unilmv2_tf.samplers.forbidden_tokens import forbidden_token_penalty
from unilmv2_tf.samplers.ngram_rule import FORBIDDEN_SCORE
from unilmv2_tf.samplers.ngram_rule import repeated_ngram_penalty


def token_penalty(
    token_ids,
    index,
    length,
    stop_token_ids,
    vocabulary_size,
    min_length=0,
    no_repeat_ngram_size=0,
    ignored_token_ids=(),
    forbidden_token_ids=(),
):
    """What the rules about tokens take off, all together.

    Args:
        token_ids: int tensor of shape `(samples, max_length)`.
        index: scalar int tensor. The next token is `token_ids[:, index]`.
        length: int tensor of shape `(samples,)`. The tokens after a forced
            prefix, with the next one.
        stop_token_ids: tuple of ids, or `None`.
        vocabulary_size: int.
        min_length: int. So many tokens stand before a stop token. Defaults to
            `0`.
        no_repeat_ngram_size: see `repeated_ngram_penalty`. Defaults to `0`,
            no such rule.
        ignored_token_ids: see `repeated_ngram_penalty`. Defaults to `()`.
        forbidden_token_ids: see `forbidden_token_penalty`. Defaults to `()`.

    Returns:
        A float32 tensor of shape `(samples, vocabulary_size)` or one that
        broadcasts to it: 0 for tokens that no rule forbids.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers.token_rules import token_penalty
    >>> penalty = token_penalty(
    ...     np.array([[3, 0]]), index=np.array(1), length=np.array([2]),
    ...     stop_token_ids=(2,), vocabulary_size=4, min_length=2,
    ...     no_repeat_ngram_size=1)
    >>> np.array(penalty).tolist()
    [[0.0, 0.0, -10000.0, -10000.0]]
    """
    penalty = ops.zeros((1, 1), dtype="float32")
    if no_repeat_ngram_size:
        penalty = penalty + repeated_ngram_penalty(
            token_ids,
            index,
            index + 1 - length,
            no_repeat_ngram_size,
            vocabulary_size,
            ignored_token_ids,
        )
    if forbidden_token_ids:
        penalty = penalty + forbidden_token_penalty(
            token_ids, index, forbidden_token_ids, vocabulary_size
        )
    if min_length and stop_token_ids is not None:
        too_early = ops.logical_and(
            length[:, None] <= min_length,
            is_any_of(ops.arange(vocabulary_size), stop_token_ids),
        )
        penalty = penalty + ops.where(too_early, FORBIDDEN_SCORE, 0.0)
    return penalty


def is_any_of(token_ids, candidates):
    """Tells which ids are among some.

    Args:
        token_ids: int tensor.
        candidates: tuple of ids, or `None` for none.

    Returns:
        A bool tensor of the same shape.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers.token_rules import is_any_of
    >>> np.array(is_any_of(np.array([3, 4, 5]), (3, 5))).tolist()
    [True, False, True]
    """
    found = ops.zeros_like(token_ids, dtype="bool")
    for candidate in candidates or ():
        found = ops.logical_or(found, token_ids == candidate)
    return found
