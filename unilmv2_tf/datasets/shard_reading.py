"""Token shards as masked batches for training and evaluation.

The order of rows is a pure function of a seed and a position, so that training
resumes anywhere after reading at most one window, and the state of the input
is one integer.
"""

import itertools
import os

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets.token_shards import TokenShards
from unilmv2_tf.datasets.token_shards import open_token_shards
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing.random_bits import mix

# A window of 16,384 rows, 16 MB at 512 tokens, is in memory and shuffled.
CHUNK_ROWS = 256
WINDOW_CHUNKS = 64
# Rows are masked by as many at a time, whatever the batch size: with fewer,
# operation calls cost more than their work; more do not fit into CPU caches.
_MASKED_ROWS = 256


def masked_batches(
    shards: str | os.PathLike | TokenShards,
    split: str,
    preprocessor: UniLMv2PseudoMaskedLMPreprocessor,
    batch_size: int,
    seed: int = 0,
    start_step: int = 0,
    num_workers: int = 1,
    worker: int = 0,
) -> tf.data.Dataset:
    """Reads token shards as shuffled batches, with new masks in each epoch.

    Each batch is a function of `seed` and its step: an interrupted training
    that resumes at a step gets the batches that it would have got, and any
    number of workers together get the same batches.

    Args:
        shards: The folder that `unilmv2 prepare` wrote, or `TokenShards`.
        split: Such as `"train"`.
        preprocessor: With the vocabulary and sequence length of the shards.
        batch_size: Rows of a batch of all workers together. An epoch may end
            inside a batch.
        seed: Of the order; that of the masks is the preprocessor's. Defaults
            to `0`.
        start_step: The step of the first batch. Defaults to `0`.
        num_workers: How many workers share each batch. Defaults to `1`.
        worker: Which of them this is, from 0. Defaults to `0`.

    Returns:
        A `tf.data.Dataset` without end of `(x, y, sample_weight)`, this
        worker's part of each batch, of static shapes with
        `batch_size // num_workers` rows.

    Raises:
        ValueError: If the shards lack the split or have too few rows, if the
            preprocessor does not fit them, or if a number is out of range.

    Example:

    ```python
    preprocessor = unilmv2_tf.UniLMv2PseudoMaskedLMPreprocessor(
        open_token_shards("shards").tokenizer(), sequence_length=512, seed=1
    )
    batches = masked_batches("shards", "train", preprocessor, batch_size=256)
    model.fit(batches, steps_per_epoch=1000)
    ```
    """
    shards, num_rows = _opened(shards, split, preprocessor)
    if batch_size < 1 or num_workers < 1 or batch_size % num_workers:
        raise ValueError(
            "`batch_size` must be a multiple of `num_workers`, both at least "
            "1: it counts the rows of all workers together. Received: "
            f"batch_size={batch_size}, num_workers={num_workers}"
        )
    if not 0 <= worker < num_workers:
        raise ValueError(
            "`worker` must be in 0 .. num_workers - 1. Received: "
            f"worker={worker}, num_workers={num_workers}"
        )
    if start_step < 0:
        raise ValueError(
            "`start_step` must be at least 0. Received: "
            f"start_step={start_step}"
        )
    if num_rows < batch_size:
        raise ValueError(
            "`batch_size` must be at most the number of rows. Received: "
            f"batch_size={batch_size}, but {num_rows} rows in split "
            f"{split!r} of {shards.folder}"
        )
    rows = shuffled_rows(shards, split, seed, start_step * batch_size)
    rows = rows.prefetch(1)
    local_size = batch_size // num_workers
    if num_workers > 1:
        share = slice(worker * local_size, (worker + 1) * local_size)
        rows = rows.rebatch(batch_size, drop_remainder=True).map(
            lambda token_ids, epochs: (token_ids[share], epochs[share])
        )
    return _masked(rows, preprocessor, local_size)


def evaluation_batches(
    shards: str | os.PathLike | TokenShards,
    split: str,
    preprocessor: UniLMv2PseudoMaskedLMPreprocessor,
    batch_size: int,
    num_rows: int | None = None,
) -> tf.data.Dataset:
    """Reads token shards as batches that are the same in every pass."""
    shards, available = _opened(shards, split, preprocessor)
    for name, number in (("batch_size", batch_size), ("num_rows", num_rows)):
        if number is not None and number < 1:
            raise ValueError(
                f"`{name}` must be at least 1. Received: {name}={number}"
            )
    num_rows = available if num_rows is None else min(num_rows, available)
    rows = shuffled_rows(
        shards, split, seed=None, num_epochs=1, max_rows=num_rows
    )
    num_empty = -num_rows % batch_size
    if num_empty:
        # The row of a text without tokens: there is nothing to mask in it.
        tokenizer = preprocessor.tokenizer
        row = np.full(shards.sequence_length, tokenizer.pad_token_id, np.int32)
        row[:2] = tokenizer.cls_token_id, tokenizer.sep_token_id
        empty = np.tile(row, [num_empty, 1]), np.zeros(num_empty, np.int64)
        rows = rows.concatenate(tf.data.Dataset.from_tensors(empty))
    batches = _masked(rows, preprocessor, batch_size)
    # Keras miscounts the batches of a dataset of unknown length.
    return batches.apply(
        tf.data.experimental.assert_cardinality(-(-num_rows // batch_size))
    )


def shuffled_rows(
    shards,
    split,
    seed=0,
    start_row=0,
    num_epochs=None,
    max_rows=None,
    chunk_rows=CHUNK_ROWS,
    window_chunks=WINDOW_CHUNKS,
):
    """Reads rows of token ids in a new random order in each epoch.

    Chunks of successive rows are permuted, `window_chunks` of them are read at
    a time, and their rows are permuted. Without a `seed` rows come in the order
    of the shards. Returns pairs `(token_ids, epochs)` of varying sizes, int32
    `(rows, length)` and int64 `(rows,)`.
    """
    chunks = _Chunks(shards, split, max_rows, chunk_rows)
    first_epoch, first_row = divmod(start_row, chunks.num_rows)
    num_windows = -(-chunks.num_chunks // window_chunks)

    def permutation(length, epoch, stream):
        if seed is None:
            return tf.range(tf.cast(length, tf.int64))
        return _permutation(length, seed, epoch, stream)

    def windows(epoch):
        # Stream 0 is the order of the chunks, the others are the windows'.
        order = permutation(chunks.num_chunks, epoch, 0)
        shard, row, size = chunks.place(order)
        window_size = tf.math.segment_sum(
            size, tf.range(chunks.num_chunks) // window_chunks
        )
        window_end = tf.cumsum(window_size)
        begin = tf.where(epoch == first_epoch, np.int64(first_row), 0)

        def window(number):
            start = number * window_chunks
            part = slice(start, start + window_chunks)
            num_rows = window_size[number]
            num_skipped = tf.maximum(begin - (window_end[number] - num_rows), 0)
            order = permutation(num_rows, epoch, number + 1)[num_skipped:]
            token_ids = (
                tf.data.Dataset.from_tensor_slices(
                    (shard[part], row[part], size[part])
                )
                .flat_map(chunks.read)
                .rebatch(chunk_rows * window_chunks)
            )
            return token_ids.map(
                lambda token_ids: (
                    tf.gather(token_ids, order),
                    tf.fill(tf.shape(order), epoch),
                )
            )

        first_window = tf.searchsorted(
            window_end, begin[tf.newaxis], side="right", out_type=tf.int64
        )[0]
        return tf.data.Dataset.range(first_window, num_windows).flat_map(window)

    end = np.iinfo(np.int64).max if num_epochs is None else num_epochs
    return tf.data.Dataset.range(first_epoch, max(end, first_epoch)).flat_map(
        windows
    )


def rows_from_token_ids(token_ids, tokenizer):
    """Derives segments and mask, which are not stored, from token ids.

    token_ids      2 7 8 9 3 5 6 3 0 0   2 is [CLS], 3 [SEP], 0 [PAD]
    segment_ids    0 0 0 0 0 1 1 1 0 0
    padding_mask   1 1 1 1 1 1 1 1 0 0
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


def _masked(rows, preprocessor, batch_size):
    """Masks rows and cuts them into complete batches."""

    def mask(token_ids, epochs):
        rows = rows_from_token_ids(token_ids, preprocessor.tokenizer)
        return preprocessor({**rows, "epoch": epochs})

    return (
        rows.rebatch(_MASKED_ROWS)
        .map(mask, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .rebatch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


class _Chunks:
    """The numbered chunks of a split, and how to read one."""

    def __init__(self, shards, split, max_rows, chunk_rows):
        self.shards = shards
        self.chunk_rows = chunk_rows
        left = shards.num_rows(split) if max_rows is None else max_rows
        self.paths, shard_rows = [], []
        for path, num_rows in shards.shards[split]:
            num_rows = min(num_rows, left)
            left -= num_rows
            if num_rows:
                self.paths.append(os.fspath(path))
                shard_rows.append(num_rows)
        self.shard_rows = np.array(shard_rows, np.int64)
        self.num_rows = int(self.shard_rows.sum())
        per_shard = -(-self.shard_rows // chunk_rows)
        self.first_chunk = np.cumsum(per_shard) - per_shard
        self.num_chunks = int(per_shard.sum())
        self.record_bytes = shards.record_bytes

    def place(self, numbers):
        """Returns shard, first row and size of chunks, int64."""
        shard = (
            tf.searchsorted(
                self.first_chunk, numbers, side="right", out_type=tf.int64
            )
            - 1
        )
        row = self.chunk_rows * (numbers - tf.gather(self.first_chunk, shard))
        left = tf.gather(self.shard_rows, shard) - row
        return shard, row, tf.minimum(np.int64(self.chunk_rows), left)

    def read(self, shard, row, size):
        """Returns a dataset of one element: the token ids of a chunk."""
        path = tf.gather(self.paths, shard)
        # The public class starts at the beginning of a file only.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=path[tf.newaxis],
            compression_type="",
            buffer_size=self.record_bytes * self.chunk_rows,
            byte_offsets=(row * self.record_bytes)[tf.newaxis],
        )
        records = tf.data.experimental.from_variant(
            variant, tf.TensorSpec([], tf.string)
        )
        # TensorFlow compares checksums but does not say in which file they
        # differ: an unreadable record becomes an empty one.
        missing = tf.data.Dataset.from_tensors("").repeat(size)
        records = records.ignore_errors(log_warning=True).concatenate(missing)

        def decode(records):
            is_missing = records == ""
            message = (
                "A token shard cannot be read: it is damaged, or has changed "
                "since it was opened. Restore it, or prepare it again. "
                "Received the file, and its first unreadable row, from 0:"
            )
            check = tf.debugging.Assert(
                ~tf.reduce_any(is_missing),
                [message, path, row + tf.argmax(is_missing)],
            )
            with tf.control_dependencies([check]):
                return self._token_ids(tf.identity(records))

        return records.take(size).batch(size).map(decode)

    def _token_ids(self, records):
        token_ids = tf.io.decode_raw(records, tf.as_dtype(self.shards.dtype))
        length = self.shards.sequence_length
        token_ids = tf.cast(tf.ensure_shape(token_ids, [None, length]), "int32")
        vocabulary_size = len(self.shards.vocabulary)
        is_known = (token_ids >= 0) & (token_ids < vocabulary_size)
        check = tf.debugging.Assert(
            tf.reduce_all(is_known),
            [
                f"A row in {self.shards.folder} has an id outside of its "
                f"vocabulary of {vocabulary_size} tokens: a shard is damaged "
                "or belongs to another folder. Prepare the folder again. "
                "Received ids up to:",
                tf.reduce_max(token_ids),
            ],
        )
        with tf.control_dependencies([check]):
            return tf.identity(token_ids)


def _permutation(length, seed, epoch, stream):
    """The numbers `0 .. length - 1` in an order of (seed, epoch, stream)."""
    key = tf.constant(np.uint64(seed % 2**64))
    for number in (epoch, stream):
        key = mix(key + 1) + tf.cast(number, tf.uint64)
    bits = mix(mix(key + 1) + tf.cast(tf.range(length), tf.uint64))
    # `argsort` does not accept uint64.
    return tf.cast(tf.argsort(tf.bitcast(bits, tf.int64)), tf.int64)


def _opened(shards, split, preprocessor):
    """Returns `TokenShards` that fit a preprocessor, and their rows."""
    if not isinstance(shards, TokenShards):
        shards = open_token_shards(shards)
    if preprocessor.sequence_length != shards.sequence_length:
        raise ValueError(
            "`preprocessor.sequence_length` must be that of the token shards, "
            f"{shards.sequence_length}. Received: sequence_length="
            f"{preprocessor.sequence_length}; rows in {shards.folder}. Prepare "
            "the folder with the other length if you want that."
        )
    received = list(preprocessor.tokenizer.get_vocabulary())
    expected = list(shards.vocabulary)
    pairs = itertools.zip_longest(expected, received, fillvalue="(no token)")
    for token_id, (theirs, ours) in enumerate(pairs):
        if theirs != ours:
            raise ValueError(
                "`preprocessor.tokenizer` must have the vocabulary of the "
                f"token shards, {len(expected)} tokens. Received: "
                f"{len(received)} tokens, the first difference at id "
                f"{token_id}, {ours!r} instead of {theirs!r}; rows in "
                f"{shards.folder}. Their own tokenizer is "
                "`open_token_shards(folder).tokenizer()`."
            )
    num_rows = shards.num_rows(split)
    if num_rows == 0:
        raise ValueError(
            "`split` must hold at least one row. Received: "
            f"split={split!r}, without rows in {shards.folder}"
        )
    return shards, num_rows
