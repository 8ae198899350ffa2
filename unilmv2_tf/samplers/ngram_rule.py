from keras import ops

# What s2s-ft adds to a forbidden token. It is finite, so that a beam of which
# every continuation is forbidden still has one.
FORBIDDEN_SCORE = -10000.0


def repeated_ngram_penalty(
    token_ids, index, start, ngram_size, vocabulary_size, ignored_token_ids=()
):
    """Penalises the tokens that would repeat an n-gram of a sequence.

    The last `n - 1` tokens are compared with all earlier places at once; the
    token that followed a match is penalised.

        a b c a b        with n = 3: (a, b) occurred, c followed it: not c

    Args:
        token_ids: int tensor of shape `(samples, max_length)`.
        index: scalar int tensor. How many tokens are there: the next one is
            `token_ids[:, index]`.
        start: int tensor of shape `(samples,)`. Where the text that counts
            starts, after a forced prefix.
        ngram_size: int, at least 1.
        vocabulary_size: int.
        ignored_token_ids: ids that may repeat: never forbidden, and no rule
            applies while one of them is among the last `n - 1`. Defaults to
            `()`.

    Returns:
        A float32 tensor of shape `(samples, vocabulary_size)`: `-10000` for
        penalised tokens, else 0.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers import repeated_ngram_penalty
    >>> penalty = repeated_ngram_penalty(
    ...     np.array([[1, 2, 3, 1, 2, 0]]), index=np.array(5),
    ...     start=np.array([0]), ngram_size=3, vocabulary_size=5)
    >>> np.array(penalty).tolist()
    [[0.0, 0.0, 0.0, -10000.0, 0.0]]

    Reference:
        s2s-ft, the decoder's rule against repeated n-grams.
    """
    token_ids = ops.cast(token_ids, "int32")
    index = ops.cast(index, "int32")
    start = ops.cast(start, "int32")
    num_samples, max_length = ops.shape(token_ids)
    num_places = max_length - ngram_size + 1
    if num_places < 1:
        return ops.zeros((num_samples, vocabulary_size), dtype="float32")

    places = ops.arange(num_places, dtype="int32")[None]
    # An n-gram that is complete, and lies in the text that counts.
    matches = (places >= start[:, None]) & (places + ngram_size <= index)
    for offset in range(ngram_size - 1):
        last = ops.maximum(index - ngram_size + 1 + offset, 0)
        last_token = ops.take(token_ids, last[None], axis=1)
        matches &= token_ids[:, offset : offset + num_places] == last_token
        matches &= ops.logical_not(_is_any(last_token, ignored_token_ids))
    followers = token_ids[:, ngram_size - 1 :]
    matches &= ops.logical_not(_is_any(followers, ignored_token_ids))

    rows = ops.zeros_like(followers) + ops.arange(num_samples)[:, None]
    counts = ops.scatter(
        ops.stack(
            [ops.reshape(rows, (-1,)), ops.reshape(followers, (-1,))], axis=-1
        ),
        ops.reshape(ops.cast(matches, "float32"), (-1,)),
        (num_samples, vocabulary_size),
    )
    return ops.where(counts > 0, FORBIDDEN_SCORE, 0.0)


def _is_any(token_ids, candidates):
    found = ops.zeros_like(token_ids, dtype="bool")
    for candidate in candidates:
        found = ops.logical_or(found, token_ids == candidate)
    return found
