"""Rules about the next token, as penalties on its logits.

All of them know the tokens so far, `token_ids[:, :index]` of an int tensor of
shape `(samples, max_length)`, and return float32 tensors that broadcast to
`(samples, vocabulary_size)`: `FORBIDDEN_SCORE` on forbidden tokens, else 0.
"""

from keras import ops

# What s2s-ft adds to a forbidden token. It is finite, so that a beam with no
# allowed continuation still has one.
FORBIDDEN_SCORE = -10000.0


def repeated_ngram_penalty(
    token_ids, index, start, ngram_size, vocabulary_size, ignored_token_ids=()
):
    """Forbids the tokens that would repeat an n-gram of the text.

    The last `n - 1` tokens are compared with all earlier positions at once;
    the token that followed a match is forbidden. Only tokens from `start`
    `(samples,)` on count, which is where a forced prefix ends. An n-gram with
    an ignored token may repeat.

    >>> import numpy as np
    >>> penalty = repeated_ngram_penalty(
    ...     np.array([[1, 2, 3, 1, 2, 0]]), index=np.array(5),
    ...     start=np.array([0]), ngram_size=3, vocabulary_size=5)
    >>> np.array(penalty).tolist()
    [[0.0, 0.0, 0.0, -10000.0, 0.0]]
    """
    token_ids = ops.cast(token_ids, "int32")
    index = ops.cast(index, "int32")
    start = ops.cast(start, "int32")
    num_samples, max_length = ops.shape(token_ids)
    num_positions = max_length - ngram_size + 1
    if num_positions < 1:
        return ops.zeros((num_samples, vocabulary_size), dtype="float32")
    positions = ops.arange(num_positions, dtype="int32")[None]
    # Complete n-grams behind the prefix.
    matches = (positions >= start[:, None]) & (positions + ngram_size <= index)
    for offset in range(ngram_size - 1):
        last = _token_at(token_ids, index - ngram_size + 1 + offset)
        matches &= token_ids[:, offset : offset + num_positions] == last
        matches &= ~is_any_of(last, ignored_token_ids)
    followers = token_ids[:, ngram_size - 1 :]
    matches &= ~is_any_of(followers, ignored_token_ids)
    return _penalty(followers, matches, vocabulary_size)


def forbidden_token_penalty(
    token_ids, index, forbidden_token_ids, vocabulary_size
):
    """Forbids the tokens that would complete one of the sequences of ids.

    >>> import numpy as np
    >>> penalty = forbidden_token_penalty(
    ...     np.array([[3, 1, 0]]), index=np.array(2),
    ...     forbidden_token_ids=((0,), (1, 2), (3, 4)), vocabulary_size=5)
    >>> np.array(penalty).tolist()
    [[-10000.0, 0.0, -10000.0, 0.0, 0.0]]
    """
    largest = max(max(sequence) for sequence in forbidden_token_ids)
    if largest >= vocabulary_size:
        raise ValueError(
            "`forbidden_token_ids` must be below the vocabulary size. "
            f"Received: {largest}, vocabulary size {vocabulary_size}"
        )
    token_ids = ops.cast(token_ids, "int32")
    index = ops.cast(index, "int32")
    penalty = 0.0
    for length in sorted({len(sequence) for sequence in forbidden_token_ids}):
        sequences = ops.array(
            [x for x in forbidden_token_ids if len(x) == length], "int32"
        )
        last = sequences[:, -1] + ops.zeros_like(token_ids[:, :1])
        matches = ops.ones_like(last, dtype="bool") & (index >= length - 1)
        for offset in range(length - 1):
            token = _token_at(token_ids, index - length + 1 + offset)
            matches &= token == sequences[:, offset]
        penalty = penalty + _penalty(last, matches, vocabulary_size)
    return ops.maximum(penalty, FORBIDDEN_SCORE)


def early_stop_penalty(length, min_length, stop_token_ids, vocabulary_size):
    """Forbids stop tokens in texts of less than `min_length` other tokens.

    `length` `(samples,)` counts the next token.
    """
    is_stop = is_any_of(ops.arange(vocabulary_size), stop_token_ids)
    is_early = length[:, None] <= min_length
    return ops.where(is_early & is_stop, FORBIDDEN_SCORE, 0.0)


def is_any_of(token_ids, candidates):
    """Returns True where an id is one of a tuple of ids.

    >>> import numpy as np
    >>> np.array(is_any_of(np.array([3, 4, 5]), (3, 5))).tolist()
    [True, False, True]
    """
    found = ops.zeros_like(token_ids, dtype="bool")
    for candidate in candidates:
        found = found | (token_ids == candidate)
    return found


def _token_at(token_ids, position):
    position = ops.maximum(position, 0)
    return ops.take(token_ids, position[None], axis=1)


def _penalty(token_ids, is_forbidden, vocabulary_size):
    """Of `(samples, n)` tokens, those where `is_forbidden` is True."""
    num_samples = ops.shape(token_ids)[0]
    rows = ops.arange(num_samples, dtype="int32")[:, None]
    rows = rows + ops.zeros_like(token_ids)
    counts = ops.scatter(
        ops.reshape(ops.stack([rows, token_ids], axis=-1), (-1, 2)),
        ops.reshape(ops.cast(is_forbidden, "float32"), (-1,)),
        (num_samples, vocabulary_size),
    )
    return ops.where(counts > 0, FORBIDDEN_SCORE, 0.0)
