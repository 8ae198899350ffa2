import numpy as np
from keras import ops

from unilmv2_tf.samplers.ngram_rule import FORBIDDEN_SCORE


def check_forbidden_token_ids(forbidden_token_ids):
    """Brings what a user may pass to one form.

    Args:
        forbidden_token_ids: sequence of ids, and of sequences of ids.

    Returns:
        A tuple of tuples of ints.

    Raises:
        ValueError: if there is anything else in it, or an empty sequence.

    Example:

    >>> from unilmv2_tf.samplers.forbidden_tokens import (
    ...     check_forbidden_token_ids)
    >>> check_forbidden_token_ids([7, [8, 9]])
    ((7,), (8, 9))
    """
    sequences = []
    for entry in forbidden_token_ids:
        entry = np.atleast_1d(np.array(entry))
        is_ids = np.issubdtype(entry.dtype, np.integer) and entry.ndim == 1
        if not is_ids or not entry.size or (entry < 0).any():
            raise ValueError(
                "`forbidden_token_ids` must hold ids, or sequences of at least "
                "one id, of the tokenizer. Received: forbidden_token_ids="
                f"{forbidden_token_ids!r}"
            )
        sequences.append(tuple(entry.tolist()))
    return tuple(sequences)


def forbidden_token_penalty(
    token_ids, index, forbidden_token_ids, vocabulary_size
):
    """Penalises the tokens that would complete a forbidden sequence.

    Args:
        token_ids: int tensor of shape `(samples, max_length)`.
        index: scalar int tensor. How many tokens are there; those of a forced
            prefix count.
        forbidden_token_ids: tuple of tuples of ids. A sequence of one id is
            never produced, of a longer one the last token is not when the
            others stand before it.
        vocabulary_size: int.

    Returns:
        A float32 tensor of shape `(samples, vocabulary_size)`: `-10000` for
        penalised tokens, else 0.

    Raises:
        ValueError: if an id is not below `vocabulary_size`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.samplers import forbidden_token_penalty
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
    num_samples = ops.shape(token_ids)[0]
    rows = ops.arange(num_samples, dtype="int32")[:, None]
    counts = ops.zeros((num_samples, vocabulary_size), dtype="float32")
    by_length = {}
    for sequence in forbidden_token_ids:
        by_length.setdefault(len(sequence), []).append(sequence)
    for length, sequences in by_length.items():
        sequences = np.array(sequences, dtype="int32")
        stands_before = ops.ones_like(rows + sequences[:, 0], dtype="bool")
        stands_before &= index >= length - 1
        for place in range(length - 1):
            before = ops.maximum(index - length + 1 + place, 0)
            token = ops.take(token_ids, before[None], axis=1)
            stands_before &= token == sequences[:, place]
        last = sequences[:, -1] + ops.zeros_like(rows)
        counts += ops.scatter(
            ops.stack(
                [
                    ops.reshape(rows + ops.zeros_like(last), (-1,)),
                    ops.reshape(last, (-1,)),
                ],
                axis=-1,
            ),
            ops.reshape(ops.cast(stands_before, "float32"), (-1,)),
            (num_samples, vocabulary_size),
        )
    return ops.where(counts > 0, FORBIDDEN_SCORE, 0.0)
