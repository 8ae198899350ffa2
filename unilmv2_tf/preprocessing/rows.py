"""Rows of integers: `[CLS] S1 [SEP] S2 [SEP]`, padded to one length."""

from unilmv2_tf.preprocessing.libraries import tf


def assemble_rows(token_ids, num_tokens, num_first, tokenizer, sequence_length):
    """Puts special tokens around two segments, and pads.

        tokens         7 8 9 5 6             the first three are S1
        token_ids      2 7 8 9 3 5 6 3 0 0   2 is [CLS], 3 [SEP], 0 [PAD]
        segment_ids    0 0 0 0 0 1 1 1 0 0
        padding_mask   1 1 1 1 1 1 1 1 0 0

    A row of which the second segment is empty is `[CLS] S1 [SEP]`.

    Args:
        token_ids: int tensor of shape `(batch, width)`, both segments one
            after the other: as many as fit beside two special tokens, or
            three if there is a second segment.
        num_tokens: int tensor of shape `(batch,)`. How many they are.
        num_first: int tensor of shape `(batch,)`. How many of them are in the
            first segment.
        tokenizer: a `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows.

    Returns:
        A dict of `token_ids`, `segment_ids` and `padding_mask`, int32 tensors
        of shape `(batch, sequence_length)`.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer, assemble_rows
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    >>> rows = assemble_rows(
    ...     tf.constant([[7, 8, 9, 5, 6]]), tf.constant([5]), tf.constant([3]),
    ...     tokenizer, sequence_length=10)
    >>> rows["token_ids"].numpy().tolist()
    [[2, 7, 8, 9, 3, 5, 6, 3, 0, 0]]
    >>> rows["segment_ids"].numpy().tolist()
    [[0, 0, 0, 0, 0, 1, 1, 1, 0, 0]]
    """
    num_tokens = tf.cast(num_tokens, tf.int32)[:, tf.newaxis]
    num_first = tf.cast(num_first, tf.int32)[:, tf.newaxis]
    place = tf.range(sequence_length)[tf.newaxis]
    first_sep = num_first + 1
    last = tf.where(num_tokens > num_first, num_tokens + 2, first_sep)

    in_second = place > first_sep
    source = tf.where(in_second, place - 2, place - 1)
    width = tf.shape(token_ids)[1]
    # A gather needs something to gather from, an empty text has nothing.
    padded = tf.pad(tf.cast(token_ids, tf.int32), [[0, 0], [0, 1]])
    row = tf.gather(padded, tf.clip_by_value(source, 0, width), batch_dims=1)
    row = tf.where(
        (place == first_sep) | (place == last), tokenizer.sep_token_id, row
    )
    row = tf.where(place == 0, tokenizer.cls_token_id, row)
    is_token = place <= last
    return {
        "token_ids": tf.where(is_token, row, tokenizer.pad_token_id),
        "segment_ids": tf.cast(in_second & is_token, tf.int32),
        "padding_mask": tf.cast(is_token, tf.int32),
    }


def batched(x):
    """Adds a batch axis to one example; tells whether it did.

    Args:
        x: string tensor, or dict of tensors, of one example or a batch.

    Returns:
        A tuple of the batch and a bool.
    """
    if isinstance(x, dict):
        # One epoch may be for a whole batch: it says nothing.
        name = next(key for key in x if key != "epoch")
        name = "token_ids" if "token_ids" in x else name
        is_single = x[name].shape.rank == int(name == "token_ids")
    else:
        is_single = x.shape.rank == 0
    if is_single:
        x = tf.nest.map_structure(lambda t: t[tf.newaxis], x)
    return x, is_single


def unbatched(outputs):
    """Takes the batch axis off again.

    Args:
        outputs: nested tensors with a batch of one.

    Returns:
        The same structure without the batch axis.
    """
    return tf.nest.map_structure(lambda t: t[0], outputs)
