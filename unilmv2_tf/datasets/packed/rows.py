"""From stored token ids to the rows that preprocessing makes."""

import numpy as np
import tensorflow as tf


def token_dtype(vocabulary_size):
    """The type in which token ids are stored.

    Args:
        vocabulary_size: int.

    Returns:
        A NumPy type, `uint16` if the ids fit in it and `int32` otherwise.

    Example:

    >>> token_dtype(30522), token_dtype(119547)
    (<class 'numpy.uint16'>, <class 'numpy.int32'>)
    """
    return np.uint16 if vocabulary_size <= 2**16 else np.int32


def rows_from_token_ids(token_ids, tokenizer):
    """Derives segments and mask, which are not stored, from token ids.

        token_ids      2 7 8 9 3 5 6 3 0 0   2 is [CLS], 3 [SEP], 0 [PAD]
        segment_ids    0 0 0 0 0 1 1 1 0 0
        padding_mask   1 1 1 1 1 1 1 1 0 0

    Graph code. Exactly what `assemble_rows` gave when the row was packed.

    Args:
        token_ids: integer tensor of shape `(..., sequence_length)`.
        tokenizer: the `UniLMv2Tokenizer` of the rows.

    Returns:
        A dict of `token_ids`, `segment_ids` and `padding_mask`, int32 tensors
        of the same shape.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.datasets.packed.rows import rows_from_token_ids
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    >>> rows = rows_from_token_ids(
    ...     tf.constant([2, 7, 8, 9, 3, 5, 6, 3, 0, 0]), tokenizer)
    >>> rows["segment_ids"].numpy().tolist()
    [0, 0, 0, 0, 0, 1, 1, 1, 0, 0]
    >>> rows["padding_mask"].numpy().tolist()
    [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    """
    token_ids = tf.cast(token_ids, tf.int32)
    is_token = token_ids != tokenizer.pad_token_id
    separators = tf.cast(token_ids == tokenizer.sep_token_id, tf.int32)
    is_second = tf.cumsum(separators, axis=-1, exclusive=True) > 0
    return {
        "token_ids": token_ids,
        "segment_ids": tf.cast(is_second & is_token, tf.int32),
        "padding_mask": tf.cast(is_token, tf.int32),
    }
