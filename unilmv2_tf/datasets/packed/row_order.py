"""The order in which training goes through packed rows, and its reading.

The order is a pure function of a seed and of a position, so that a training
can go on anywhere after reading at most one window, and the state of the
input is one integer.
"""

import os
import struct

import numpy as np
import tensorflow as tf

from unilmv2_tf.preprocessing.random_bits import mix

# 16,384 rows, which are 16 MB at 512 tokens, are in memory and shuffled.
CHUNK_ROWS = 256
WINDOW_CHUNKS = 64

_ENDLESS = np.iinfo(np.int64).max


def row_windows(
    shards,
    seed=0,
    shuffle=True,
    start_row=0,
    num_epochs=None,
    chunk_rows=CHUNK_ROWS,
    window_chunks=WINDOW_CHUNKS,
):
    """Reads shards in a new random order in each epoch, by windows.

    A chunk is `chunk_rows` rows that follow each other in a shard. In each
    epoch the chunks are permuted, `window_chunks` of them are read at a time,
    and the rows of this window are permuted. An epoch holds each row once, and
    the next epoch follows.

    Args:
        shards: list of pairs of a path and how many rows of it to read:
            TFRecord files of which all records have one size.
        seed: int. Defaults to `0`.
        shuffle: bool. `False` gives the order of the shards. Defaults to
            `True`.
        start_row: int. How many rows to leave out; they are not read, but for
            those of one window. Defaults to `0`.
        num_epochs: int. Defaults to `None`, without end.
        chunk_rows: int. Defaults to `256`.
        window_chunks: int. Defaults to `64`.

    Returns:
        A `tf.data.Dataset` of pairs `(records, epochs)`, strings and int64 of
        shape `(rows,)`, where the number of rows varies.

    Example:

    >>> import os, tempfile
    >>> import tensorflow as tf
    >>> from unilmv2_tf.datasets.packed.row_order import row_windows
    >>> path = os.path.join(tempfile.mkdtemp(), "shard")
    >>> with tf.io.TFRecordWriter(path) as writer:
    ...     for letter in "abcd":
    ...         writer.write(letter)
    >>> for records, epochs in row_windows([(path, 4)], num_epochs=2):
    ...     print(sorted(records.numpy()), epochs.numpy())
    [b'a', b'b', b'c', b'd'] [0 0 0 0]
    [b'a', b'b', b'c', b'd'] [1 1 1 1]
    """
    shards = [(os.fspath(path), rows) for path, rows in shards if rows > 0]
    chunks = _Chunks(shards, chunk_rows)
    first_epoch, first_row = divmod(start_row, chunks.num_rows)
    num_windows = -(-chunks.num_chunks // window_chunks)

    def permutation(length, epoch, stream):
        if not shuffle:
            return tf.range(tf.cast(length, tf.int64))
        return _permutation(length, seed, epoch, stream)

    def windows(epoch):
        # Stream 0 is the order of the chunks, the others are the windows'.
        shard, row, size = chunks.place(
            permutation(chunks.num_chunks, epoch, 0)
        )
        window_size = tf.math.segment_sum(
            size, tf.range(chunks.num_chunks) // window_chunks
        )
        window_end = tf.cumsum(window_size)
        begin = tf.where(epoch == first_epoch, np.int64(first_row), 0)

        def window(number):
            start = number * window_chunks
            part = slice(start, start + window_chunks)
            num_rows = window_size[number]
            num_left_out = tf.maximum(
                begin - (window_end[number] - num_rows), 0
            )
            order = permutation(num_rows, epoch, number + 1)[num_left_out:]
            places = tf.data.Dataset.from_tensor_slices(
                (shard[part], row[part], size[part])
            )
            records = places.flat_map(chunks.read).batch(
                chunk_rows * window_chunks
            )
            return records.map(
                lambda records: (
                    tf.gather(records, order),
                    tf.fill(tf.shape(order), epoch),
                )
            )

        first_window = tf.searchsorted(
            window_end, begin[tf.newaxis], side="right", out_type=tf.int64
        )[0]
        return tf.data.Dataset.range(first_window, num_windows).flat_map(window)

    end = _ENDLESS if num_epochs is None else num_epochs
    return tf.data.Dataset.range(first_epoch, max(end, first_epoch)).flat_map(
        windows
    )


class _Chunks:
    """The chunks of some shards, numbered."""

    def __init__(self, shards, chunk_rows):
        self.paths = [path for path, _ in shards]
        self.shard_rows = np.array([rows for _, rows in shards], np.int64)
        self.num_rows = int(self.shard_rows.sum())
        self.chunk_rows = chunk_rows
        per_shard = -(-self.shard_rows // chunk_rows)
        self.first_chunk = np.cumsum(per_shard) - per_shard
        self.num_chunks = int(per_shard.sum())
        with tf.io.gfile.GFile(self.paths[0], "rb") as file:
            (data_bytes,) = struct.unpack("<Q", file.read(8))
        # Around the data: the length and its checksum, the data's checksum.
        self.record_bytes = 8 + 4 + data_bytes + 4

    def place(self, numbers):
        """Shard, first row and size of chunks, int64 like their numbers."""
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
        """A dataset of the records of one chunk."""
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
        # differ: what can't be read becomes an empty record.
        missing = tf.data.Dataset.from_tensors("").repeat(size)
        records = records.ignore_errors(log_warning=True).concatenate(missing)

        def check(records):
            is_missing = records == ""
            message = (
                "A packed shard can't be read: it is damaged, or has changed "
                "since it was opened. Make it again, or restore it. Received "
                "the file, and its first unreadable row, from 0:"
            )
            first = row + tf.argmax(is_missing)
            tf.debugging.Assert(
                ~tf.reduce_any(is_missing), [message, path, first]
            )
            return tf.data.Dataset.from_tensor_slices(records)

        return records.take(size).batch(size).flat_map(check)


def _permutation(length, seed, epoch, stream):
    """The places `0 .. length - 1` in an order of (seed, epoch, stream)."""
    key = tf.constant(np.uint64(seed % 2**64))
    for number in (epoch, stream):
        key = mix(key + 1) + tf.cast(number, tf.uint64)
    bits = mix(mix(key + 1) + tf.cast(tf.range(length), tf.uint64))
    # `argsort` does not know uint64.
    return tf.cast(tf.argsort(tf.bitcast(bits, tf.int64)), tf.int64)
