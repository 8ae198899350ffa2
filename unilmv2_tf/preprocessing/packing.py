import dataclasses
import sys

import keras
import numpy as np

from unilmv2_tf.preprocessing.libraries import tf
from unilmv2_tf.preprocessing.rows import assemble_rows

_ROWS_AT_ONCE = 256


def pack_documents(documents, tokenizer, sequence_length, batch_size=512):
    """Fills rows `[CLS] S1 [SEP] S2 [SEP]` with documents, dropping nothing.

    The documents' tokens, one document after the other, are cut into pieces
    of `sequence_length - 3`: every token lands in just one row, and only the
    last row has padding. A row's two segments are contiguous. They meet where
    a document ends, at the end nearest to the middle of the row if there are
    several, and in the middle if there is none.

    Args:
        documents: `tf.data.Dataset` of `{"text": string}`, unbatched.
        tokenizer: a `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows, at least 5.
        batch_size: int. How many documents are tokenized at a time. Defaults
            to `512`.

    Returns:
        A `tf.data.Dataset` of rows: dicts of `token_ids`, `segment_ids` and
        `padding_mask`, int32 of shape `(sequence_length,)`, and
        `num_documents`, how many documents start in the row.

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

    Reference:
        Bao et al., 2020, section 4.1.
    """
    batches = documents.batch(batch_size).map(
        lambda batch: {
            "text": batch["text"],
            "is_start": tf.ones_like(batch["text"], dtype=tf.bool),
        }
    )
    return pack_text_batches(batches, tokenizer, sequence_length).unbatch()


def pack_text_batches(
    batches, tokenizer, sequence_length, num_parallel_calls=None
):
    """Fills rows with texts that come in batches, as `pack_documents` does.

    For corpora of any size: batches may have different sizes, and a long
    document may come in several texts.

    Args:
        batches: `tf.data.Dataset` of `{"text": string, "is_start": bool}`,
            both of shape `(texts,)`. A text is the start of a document or
            goes on with the one before.
        tokenizer: a `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows, at least 5.
        num_parallel_calls: int. How many batches are tokenized at the same
            time. Defaults to `None`: TensorFlow decides.

    Returns:
        A `tf.data.Dataset` of batches of rows: what `pack_documents` returns,
        with a first dimension.

    Raises:
        ValueError: if `sequence_length` is too short.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> from unilmv2_tf.preprocessing.packing import pack_text_batches
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"])
    >>> batches = tf.data.Dataset.from_tensors(
    ...     {"text": ["a b c", "a a", "c"], "is_start": [True, False, True]})
    >>> for rows in pack_text_batches(batches, tokenizer, sequence_length=7):
    ...     print(rows["token_ids"].numpy())
    ...     print(rows["num_documents"].numpy())
    [[2 5 6 3 7 5 3]
     [2 5 3 7 3 0 0]]
    [1 1]
    """
    if sequence_length < 5:
        raise ValueError(
            "`sequence_length` must be at least 5: a token in each segment "
            "beside `[CLS]` and twice `[SEP]`. Received: "
            f"sequence_length={sequence_length}"
        )
    num_parallel_calls = num_parallel_calls or tf.data.AUTOTUNE
    room = sequence_length - 3

    def tokenize(batch):
        token_ids = tokenizer(batch["text"])
        is_start = batch["is_start"] & (token_ids.row_lengths() > 0)
        places = tf.boolean_mask(token_ids.row_starts(), is_start)
        starts = tf.scatter_nd(
            places[:, tf.newaxis],
            tf.ones_like(places, dtype=tf.int32),
            tf.shape(token_ids.flat_values, out_type=tf.int64),
        )
        return tf.cast(token_ids.flat_values, tf.int32), starts

    def assemble(token_ids, starts):
        size = tf.size(token_ids)
        num_rows = (size + room - 1) // room
        padding = [[0, num_rows * room - size]]
        token_ids = tf.reshape(tf.pad(token_ids, padding), (-1, room))
        starts = tf.reshape(tf.pad(starts, padding), (-1, room))
        num_tokens = tf.minimum(size - tf.range(num_rows) * room, room)
        return {
            **assemble_rows(
                token_ids, num_tokens, _seam(starts, num_tokens),
                tokenizer, sequence_length,
            ),
            "num_documents": tf.reduce_sum(starts, axis=1),
        }  # fmt: skip

    return (
        batches.map(tokenize, num_parallel_calls=num_parallel_calls)
        # Many rows at once: an op for each would take longer than its work.
        .rebatch(room * _ROWS_AT_ONCE)
        .map(assemble, num_parallel_calls=num_parallel_calls)
    )


def _seam(starts, num_tokens):
    """How many tokens of each row are in its first segment."""
    width = tf.shape(starts)[1]
    middle = ((num_tokens + 1) // 2)[:, tf.newaxis]
    place = tf.range(width)[tf.newaxis]
    is_seam = (starts > 0) & (place > 0)
    distance = tf.where(is_seam, tf.abs(place - middle), width)
    nearest = tf.cast(tf.argmin(distance, axis=1), tf.int32)
    return tf.where(tf.reduce_any(is_seam, axis=1), nearest, middle[:, 0])


@dataclasses.dataclass(frozen=True)
class PackingStatistics:
    """What became of a corpus.

    Args:
        documents: int. Documents with any text.
        tokens: int. Their tokens, special ones not counted.
        unknown_tokens: int. How many of them are `[UNK]`.
        rows: int. The rows that hold them.
        padding_share: float. The share of all places that is padding.
        truncated_documents: int. Documents that lost tokens: none, ever.
    """

    documents: int
    tokens: int
    unknown_tokens: int
    rows: int
    padding_share: float
    truncated_documents: int = 0

    @classmethod
    def of(cls, token_ids, num_documents, tokenizer):
        """Counts what is in rows.

        Args:
            token_ids: integer array of shape `(rows, sequence_length)`.
            num_documents: int. How many documents start in them.
            tokenizer: a `UniLMv2Tokenizer`.

        Returns:
            `PackingStatistics`.
        """
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
            documents=self.documents + other.documents,
            tokens=self.tokens + other.tokens,
            unknown_tokens=self.unknown_tokens + other.unknown_tokens,
            rows=rows,
            padding_share=padding / max(rows, 1),
            truncated_documents=self.truncated_documents
            + other.truncated_documents,
        )

    def __str__(self):
        return (
            f"{self.documents:,} documents, {self.tokens:,} tokens "
            f"({self.unknown_tokens / max(self.tokens, 1):.2%} unknown) in "
            f"{self.rows:,} rows; padding {self.padding_share:.2%}, "
            f"{self.truncated_documents} documents truncated"
        )


def load_rows(rows, tokenizer, verbose=True):
    """Reads rows into memory and says what they hold.

    Args:
        rows: the dataset that `pack_documents` returns.
        tokenizer: the tokenizer that it was given.
        verbose: bool. Whether to show progress on stderr. Defaults to `True`.

    Returns:
        A tuple of a dict of int32 arrays, of shape `(rows, sequence_length)`,
        and `PackingStatistics`.

    Raises:
        ValueError: if there is no row.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> from unilmv2_tf.preprocessing import load_rows, pack_documents
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"])
    >>> documents = tf.data.Dataset.from_tensor_slices(
    ...     {"text": ["a b c", "a a", "", "c"]})
    >>> rows, statistics = load_rows(
    ...     pack_documents(documents, tokenizer, 7), tokenizer, verbose=False)
    >>> print(statistics)
    3 documents, 6 tokens (0.00% unknown) in 2 rows; padding 14.29%,
    0 documents truncated
    """
    batches = []
    num_rows = 0
    for batch in rows.batch(512).prefetch(tf.data.AUTOTUNE):
        batches.append({key: value.numpy() for key, value in batch.items()})
        num_rows += len(batches[-1]["token_ids"])
        if verbose and sys.stderr.isatty():
            print(f"\r{num_rows:,} rows", end="", file=sys.stderr)
    if verbose and sys.stderr.isatty():
        print(file=sys.stderr)
    if not batches:
        raise ValueError(
            "`rows` must hold at least one row. Received an empty dataset: "
            "the documents have no text."
        )
    arrays = keras.tree.map_structure(
        lambda *parts: np.concatenate(parts), *batches
    )
    statistics = PackingStatistics.of(
        arrays["token_ids"], arrays.pop("num_documents").sum(), tokenizer
    )
    return arrays, statistics
