"""Rows for passages of any length: windows that slide over the passage."""

from unilmv2_tf.preprocessing.libraries import tf
from unilmv2_tf.preprocessing.rows import assemble_rows


def sliding_windows(questions, passages, tokenizer, sequence_length, stride):
    """Makes rows `[CLS] question [SEP] part of the passage [SEP]`.

    A passage that doesn't fit gets as many rows as it takes, each `stride`
    tokens after the one before. The last ends where the passage ends. With
    rows of nine tokens and a stride of two, the question `7` and the passage
    `10 11 12 13 14 15 16` give

        token_ids      2  7  3 10 11 12 13 14  3      2 is [CLS], 3 [SEP]
                       2  7  3 12 13 14 15 16  3
        segment_ids    0  0  0  1  1  1  1  1  1
                       0  0  0  1  1  1  1  1  1
        window_start   0  2                           the first token's number

    Args:
        questions: int ragged tensor of shape `(batch, tokens)`; there is room
            for at least one token of the passage beside each.
        passages: a tuple of int32 ragged tensors of shape `(batch, tokens)`:
            ids, first characters, ends.
        tokenizer: a `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows.
        stride: int. How far the window moves; as far as no token is skipped.

    Returns:
        A dict of int32 tensors: `token_ids`, `segment_ids`, `padding_mask`,
        `token_starts`, `token_ends` of shape `(rows, sequence_length)`, the
        latter two -1 outside of the passage; `example_index`, `window_start`
        and `passage_length`, in tokens, of shape `(rows,)`.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    >>> passage = tf.ragged.constant([[10, 11, 12, 13, 14, 15, 16]])
    >>> starts = tf.ragged.constant([[0, 2, 4, 6, 8, 10, 12]])
    >>> rows = sliding_windows(
    ...     tf.ragged.constant([[7]]), (passage, starts, starts + 1),
    ...     tokenizer, sequence_length=9, stride=2)
    >>> rows["token_ids"].numpy().tolist()
    [[2, 7, 3, 10, 11, 12, 13, 14, 3], [2, 7, 3, 12, 13, 14, 15, 16, 3]]
    >>> rows["token_starts"].numpy()[1].tolist()
    [-1, -1, -1, 4, 6, 8, 10, 12, -1]
    """
    question_lengths = tf.cast(questions.row_lengths(), tf.int32)
    passage_lengths = tf.cast(passages[0].row_lengths(), tf.int32)
    room = sequence_length - 3 - question_lengths
    stride = tf.minimum(stride, room)
    moves = tf.maximum(passage_lengths - room + stride - 1, 0) // stride
    example = tf.repeat(tf.range(tf.size(moves)), moves + 1)
    window = tf.ragged.range(moves + 1).flat_values

    start = window * tf.gather(stride, example)
    num_first = tf.gather(question_lengths, example)
    passage_length = tf.gather(passage_lengths, example)
    num_passage = tf.minimum(passage_length - start, tf.gather(room, example))
    # The row without its special tokens.
    place = tf.range(sequence_length - 3)[tf.newaxis]
    in_passage = place - num_first[:, tf.newaxis]
    is_passage = (in_passage >= 0) & (in_passage < num_passage[:, tf.newaxis])
    in_passage += start[:, tf.newaxis]
    passage_ids, token_starts, token_ends = (
        _taken(values, example, in_passage, is_passage) for values in passages
    )
    question_ids = _taken(
        questions, example, place, place < num_first[:, tf.newaxis]
    )
    rows = assemble_rows(
        tf.where(is_passage, passage_ids, question_ids),
        num_first + num_passage,
        num_first,
        tokenizer,
        sequence_length,
    )
    return {
        **rows,
        # `[CLS]` and `[SEP]` stand before the passage, `[SEP]` after it.
        "token_starts": _beside_special_tokens(token_starts),
        "token_ends": _beside_special_tokens(token_ends),
        "example_index": example,
        "window_start": start,
        "passage_length": passage_length,
    }


def label_windows(rows, first_token, last_token):
    """Finds answers in rows.

    Args:
        rows: the dict that `sliding_windows` returns.
        first_token: int32 tensor of shape `(batch,)`. The number of the
            answer's first token in the passage, -1 if there is no answer.
        last_token: int32 tensor of shape `(batch,)`.

    Returns:
        A dict of `start` and `end`, int32 of shape `(rows,)`: the places of
        the first and the last token in the row, both 0, which is `[CLS]`,
        where the row doesn't hold the whole answer.
    """
    is_passage = tf.cast(rows["token_starts"] >= 0, tf.int32)
    first_place = tf.argmax(is_passage, axis=1, output_type=tf.int32)
    first = tf.gather(first_token, rows["example_index"])
    last = tf.gather(last_token, rows["example_index"])
    window_start = rows["window_start"]
    window_end = window_start + tf.reduce_sum(is_passage, axis=1)
    is_held = (first >= window_start) & (last < window_end) & (first >= 0)
    return {
        name: tf.where(is_held, token - window_start + first_place, 0)
        for name, token in (("start", first), ("end", last))
    }


def _taken(ragged, example, place, is_wanted):
    """Values of ragged rows, -1 where none is wanted."""
    # A gather needs something to gather from.
    values = tf.pad(tf.cast(ragged.flat_values, tf.int32), [[0, 1]])
    start = tf.cast(tf.gather(ragged.row_starts(), example), tf.int32)
    index = tf.where(is_wanted, start[:, tf.newaxis] + place, 0)
    return tf.where(is_wanted, tf.gather(values, index), -1)


def _beside_special_tokens(values):
    return tf.pad(values, [[0, 0], [2, 1]], constant_values=-1)
