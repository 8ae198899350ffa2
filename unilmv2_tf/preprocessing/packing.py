"""Token ids become rows `[CLS] S1 [SEP] S2 [SEP]`, padded to one length."""

import dataclasses

import numpy as np

from unilmv2_tf.preprocessing.tensorflow_graph import tf

_ROWS_AT_ONCE = 256


def assemble_rows(token_ids, num_tokens, num_first, tokenizer, sequence_length):
    """Puts special tokens around two segments, and pads.

    `token_ids` holds both segments one after the other, `num_tokens` in all, of
    which `num_first` are the first. Without a second one: `[CLS] S1 [SEP]`.
    """
    num_tokens = tf.cast(num_tokens, tf.int32)[:, tf.newaxis]
    num_first = tf.cast(num_first, tf.int32)[:, tf.newaxis]
    position = tf.range(sequence_length)[tf.newaxis]
    first_sep = num_first + 1
    last = tf.where(num_tokens > num_first, num_tokens + 2, first_sep)

    in_second = position > first_sep
    source = tf.where(in_second, position - 2, position - 1)
    width = tf.shape(token_ids)[1]
    # An extra column, because a gather from an empty text fails.
    padded = tf.pad(tf.cast(token_ids, tf.int32), [[0, 0], [0, 1]])
    row = tf.gather(padded, tf.clip_by_value(source, 0, width), batch_dims=1)
    is_sep = (position == first_sep) | (position == last)
    row = tf.where(is_sep, tokenizer.sep_token_id, row)
    row = tf.where(position == 0, tokenizer.cls_token_id, row)
    is_token = position <= last
    return {
        "token_ids": tf.where(is_token, row, tokenizer.pad_token_id),
        "segment_ids": tf.cast(in_second & is_token, tf.int32),
        "padding_mask": tf.cast(is_token, tf.int32),
    }


def pack_documents(
    documents, tokenizer, sequence_length: int, batch_size: int = 512
):
    """Fills rows `[CLS] S1 [SEP] S2 [SEP]` with documents, dropping no token.

    The tokens of all documents, one document after the other, are cut into
    pieces of `sequence_length - 3`. The two segments of a row meet at the
    document boundary nearest to its middle, or else in the middle.

    Args:
        documents: An unbatched `tf.data.Dataset` of `{"text": string}`.
        tokenizer: A `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows, at least 5.
        batch_size: int. The number of documents tokenized at a time. Defaults
            to `512`.

    Returns:
        A `tf.data.Dataset` of rows: dicts of `token_ids`, `segment_ids` and
        `padding_mask`, int32 of shape `(sequence_length,)`, and
        `num_documents`, the number of documents that start in the row.

    Raises:
        ValueError: if `sequence_length` is too short.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer, pack_documents
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"])
    >>> documents = tf.data.Dataset.from_tensor_slices(
    ...     {"text": ["a b c", "a a", "", "c"]})
    >>> for row in pack_documents(documents, tokenizer, sequence_length=7):
    ...     print(row["token_ids"].numpy(), row["segment_ids"].numpy())
    [2 5 6 7 3 5 3] [0 0 0 0 0 1 1]
    [2 5 3 7 3 0 0] [0 0 0 1 1 0 0]
    """
    if sequence_length < 5:
        raise ValueError(
            "`sequence_length` must be at least 5: a token in each segment "
            "beside `[CLS]` and twice `[SEP]`. Received: "
            f"sequence_length={sequence_length}"
        )

    def tokenize(batch):
        token_ids = tokenizer(batch["text"])
        has_text = token_ids.row_lengths() > 0
        positions = tf.boolean_mask(token_ids.row_starts(), has_text)
        starts = tf.scatter_nd(
            positions[:, tf.newaxis],
            tf.ones_like(positions, dtype=tf.int32),
            tf.shape(token_ids.flat_values, out_type=tf.int64),
        )
        return tf.cast(token_ids.flat_values, tf.int32), starts

    def assemble(token_ids, starts):
        return pack_token_ids(token_ids, starts, tokenizer, sequence_length)

    return (
        documents.batch(batch_size)
        .map(tokenize, num_parallel_calls=tf.data.AUTOTUNE)
        # An op for each row would take longer than its work.
        .rebatch((sequence_length - 3) * _ROWS_AT_ONCE)
        .map(assemble, num_parallel_calls=tf.data.AUTOTUNE)
        .unbatch()
    )


def pack_token_ids(token_ids, starts, tokenizer, sequence_length):
    """Cuts tokens into rows; `starts` is 1 where a document begins."""
    room = sequence_length - 3
    size = tf.size(token_ids)
    num_rows = (size + room - 1) // room
    padding = [[0, num_rows * room - size]]
    token_ids = tf.reshape(tf.pad(token_ids, padding), (-1, room))
    starts = tf.reshape(tf.pad(starts, padding), (-1, room))
    num_tokens = tf.minimum(size - tf.range(num_rows) * room, room)
    num_first = _first_segment_lengths(starts, num_tokens)
    rows = assemble_rows(
        token_ids, num_tokens, num_first, tokenizer, sequence_length
    )
    return {**rows, "num_documents": tf.reduce_sum(starts, axis=1)}


def _first_segment_lengths(starts, num_tokens):
    width = tf.shape(starts)[1]
    middle = ((num_tokens + 1) // 2)[:, tf.newaxis]
    position = tf.range(width)[tf.newaxis]
    is_boundary = (starts > 0) & (position > 0)
    distance = tf.where(is_boundary, tf.abs(position - middle), width)
    nearest = tf.cast(tf.argmin(distance, axis=1), tf.int32)
    return tf.where(tf.reduce_any(is_boundary, axis=1), nearest, middle[:, 0])


@dataclasses.dataclass(frozen=True)
class PackingStatistics:
    """Counts of a packed corpus: documents with text, tokens, rows, padding."""

    documents: int
    # Special tokens are not counted.
    tokens: int
    unknown_tokens: int
    rows: int
    padding_share: float

    @classmethod
    def of(cls, token_ids, num_documents, tokenizer):
        special = [
            tokenizer.cls_token_id,
            tokenizer.sep_token_id,
            tokenizer.pad_token_id,
        ]
        padding = np.count_nonzero(token_ids == tokenizer.pad_token_id)
        unknown = np.count_nonzero(token_ids == tokenizer.unk_token_id)
        return cls(
            documents=int(num_documents),
            tokens=int(np.count_nonzero(~np.isin(token_ids, special))),
            unknown_tokens=int(unknown),
            rows=len(token_ids),
            padding_share=float(padding / max(token_ids.size, 1)),
        )

    def __add__(self, other):
        rows = self.rows + other.rows
        padding = (
            self.padding_share * self.rows + other.padding_share * other.rows
        )
        return PackingStatistics(
            self.documents + other.documents,
            self.tokens + other.tokens,
            self.unknown_tokens + other.unknown_tokens,
            rows,
            padding / max(rows, 1),
        )
