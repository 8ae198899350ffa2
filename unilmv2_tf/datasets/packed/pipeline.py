"""Packed shards as masked batches for training and evaluation."""

import itertools

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets.packed.folder import PackedFolder
from unilmv2_tf.datasets.packed.folder import open_packed_folder
from unilmv2_tf.datasets.packed.row_order import row_windows
from unilmv2_tf.datasets.packed.rows import rows_from_token_ids

# Rows are masked by as many at a time, whatever the size of the batches: with
# fewer the calls of operations cost more than their work, and more do not fit
# into the processor's caches.
_BLOCK_ROWS = 256


def masked_batches(
    folder,
    split,
    preprocessor,
    batch_size,
    seed=0,
    start_step=0,
    num_workers=1,
    worker=0,
    shuffle=True,
    num_epochs=None,
):
    """Reads packed shards as shuffled batches, masked anew in each epoch.

    Each batch is a function of `seed` and of its step. A training that was
    interrupted goes on with the batches that it would have seen if it starts
    at its step again, and any number of workers together see the same batches.

    Args:
        folder: string, path or `PackedFolder`. What `unilmv2 prepare` made.
        split: string. Such as `"train"`.
        preprocessor: a `UniLMv2PseudoMaskedLMPreprocessor` with the folder's
            vocabulary and length.
        batch_size: int. The rows of a batch, of all workers together. An epoch
            may end inside of a batch.
        seed: int. Of the order; that of the masks is the preprocessor's.
            Defaults to `0`.
        start_step: int. The step of the first batch. Defaults to `0`.
        num_workers: int. How many workers share each batch. Defaults to `1`.
        worker: int. Which of them this is, from 0. Defaults to `0`.
        shuffle: bool. Defaults to `True`.
        num_epochs: int. Rows that fill no batch in the end are left out.
            Defaults to `None`, without end.

    Returns:
        A `tf.data.Dataset` of `(x, y, sample_weight)`, this worker's part of
        each batch, of static shapes with `batch_size // num_workers` rows.

    Raises:
        ValueError: if the folder lacks the split or has too few rows, if the
            preprocessor does not fit it, or if a number is out of range.

    Example:

    ```python
    preprocessor = unilmv2_tf.UniLMv2PseudoMaskedLMPreprocessor(
        open_packed_folder("shards").tokenizer(), sequence_length=512, seed=1
    )
    batches = masked_batches("shards", "train", preprocessor, batch_size=256)
    model.fit(batches, steps_per_epoch=1000)
    ```
    """
    folder = _opened(folder)
    _check_preprocessor(folder, preprocessor)
    num_rows = _num_rows(folder, split)
    _check_shares(batch_size, num_workers, worker)
    if start_step < 0:
        raise ValueError(
            "`start_step` must be at least 0. Received: "
            f"start_step={start_step}"
        )
    if num_rows * (1 if num_epochs is None else num_epochs) < batch_size:
        raise ValueError(
            "`batch_size` must be at most the number of rows. Received: "
            f"batch_size={batch_size}, but {num_rows} rows in split "
            f"{split!r} of {folder.folder}"
            + ("" if num_epochs is None else f" and num_epochs={num_epochs}")
        )
    records = row_windows(
        folder.shards[split], seed, shuffle, start_step * batch_size, num_epochs
    ).prefetch(1)
    local_size = batch_size // num_workers
    if num_workers > 1:
        share = slice(worker * local_size, (worker + 1) * local_size)
        records = records.rebatch(batch_size, drop_remainder=True).map(
            lambda records, epochs: (records[share], epochs[share])
        )
    return _masked(records, folder, preprocessor, local_size)


def evaluation_batches(folder, split, preprocessor, batch_size, num_rows=None):
    """Reads packed shards as batches that are the same in every pass.

    Rows come in the order of the shards, with the masks of epoch 0. The last
    batch is filled up with empty rows without a masked token, of which all
    weights are 0.

    Args:
        folder: string, path or `PackedFolder`. What `unilmv2 prepare` made.
        split: string. Such as `"validation"`.
        preprocessor: a `UniLMv2PseudoMaskedLMPreprocessor` with the folder's
            vocabulary and length.
        batch_size: int.
        num_rows: int. How many rows at most. Defaults to `None`, all.

    Returns:
        A `tf.data.Dataset` of `(x, y, sample_weight)` of static shapes.

    Raises:
        ValueError: if the folder lacks the split, if the preprocessor does not
            fit it, or if a number is out of range.

    Example:

    ```python
    batches = evaluation_batches("shards", "validation", preprocessor, 32)
    model.evaluate(batches)
    ```
    """
    folder = _opened(folder)
    _check_preprocessor(folder, preprocessor)
    available = _num_rows(folder, split)
    _check_shares(batch_size)
    if num_rows is not None and num_rows < 1:
        raise ValueError(
            f"`num_rows` must be at least 1. Received: num_rows={num_rows}"
        )
    num_rows = available if num_rows is None else min(num_rows, available)
    records = row_windows(
        _first_shards(folder.shards[split], num_rows),
        shuffle=False,
        num_epochs=1,
    )
    num_empty = -num_rows % batch_size
    if num_empty:
        record = _empty_record(folder, preprocessor.tokenizer)
        empty = [record] * num_empty, tf.zeros([num_empty], tf.int64)
        records = records.concatenate(tf.data.Dataset.from_tensors(empty))
    batches = _masked(records, folder, preprocessor, batch_size)
    # Keras counts the batches of a dataset of unknown length wrongly.
    return batches.apply(
        tf.data.experimental.assert_cardinality(-(-num_rows // batch_size))
    )


def _masked(records, folder, preprocessor, batch_size):
    """Complete batches of the records and epochs of a dataset."""

    def mask(records, epochs):
        token_ids = _token_ids(records, folder)
        rows = rows_from_token_ids(token_ids, preprocessor.tokenizer)
        return preprocessor({**rows, "epoch": epochs})

    return (
        records.rebatch(_BLOCK_ROWS)
        .map(mask, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .rebatch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _token_ids(records, folder):
    """Decodes a vector of records; int32 of shape `(rows, length)`."""
    features = tf.io.parse_example(
        records, {"token_ids": tf.io.FixedLenFeature([], tf.string)}
    )
    token_ids = tf.io.decode_raw(
        features["token_ids"], tf.as_dtype(folder.dtype)
    )
    token_ids = tf.ensure_shape(token_ids, [None, folder.sequence_length])
    token_ids = tf.cast(token_ids, tf.int32)
    is_known = (token_ids >= 0) & (token_ids < len(folder.vocabulary))
    tf.debugging.Assert(
        tf.reduce_all(is_known),
        [
            f"A packed row in {folder.folder} holds an id outside of its "
            f"vocabulary of {len(folder.vocabulary)} tokens: a shard is "
            "damaged or belongs to another folder. Make the folder again. "
            "Received ids up to:",
            tf.reduce_max(token_ids),
        ],
    )
    return token_ids


def _empty_record(folder, tokenizer):
    """The row of a text without tokens: there is nothing to mask in it."""
    token_ids = np.full(folder.sequence_length, tokenizer.pad_token_id)
    token_ids[:2] = tokenizer.cls_token_id, tokenizer.sep_token_id
    dtype = tf.as_dtype(folder.dtype).as_numpy_dtype
    value = token_ids.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    features = tf.train.Features(feature={"token_ids": feature})
    return tf.train.Example(features=features).SerializeToString()


def _first_shards(shards, num_rows):
    """The shards that hold the first rows, without what is more."""
    first = []
    for path, available in shards:
        first.append((path, min(available, num_rows)))
        num_rows -= first[-1][1]
    return first


def _opened(folder):
    if isinstance(folder, PackedFolder):
        return folder
    return open_packed_folder(folder)


def _num_rows(folder, split):
    num_rows = folder.num_rows(split)
    if num_rows == 0:
        raise ValueError(
            "`split` must hold at least one row. Received: "
            f"split={split!r}, without rows in {folder.folder}"
        )
    return num_rows


def _check_shares(batch_size, num_workers=1, worker=0):
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


def _check_preprocessor(folder, preprocessor):
    if preprocessor.sequence_length != folder.sequence_length:
        raise ValueError(
            "`preprocessor.sequence_length` must be that of the packed rows, "
            f"{folder.sequence_length}. Received: sequence_length="
            f"{preprocessor.sequence_length}; rows in {folder.folder}. Prepare "
            "the folder with the other length if you want that."
        )
    received = list(preprocessor.tokenizer.get_vocabulary())
    expected = list(folder.vocabulary)
    if received == expected:
        return
    pairs = itertools.zip_longest(expected, received, fillvalue="(no token)")
    token_id, (theirs, ours) = next(
        (token_id, pair)
        for token_id, pair in enumerate(pairs)
        if pair[0] != pair[1]
    )
    raise ValueError(
        "`preprocessor.tokenizer` must have the vocabulary that the rows were "
        f"made with, {len(expected)} tokens. Received: {len(received)} tokens, "
        f"the first difference at id {token_id}, {ours!r} instead of "
        f"{theirs!r}; rows in {folder.folder}. Its own tokenizer is "
        "`open_packed_folder(folder).tokenizer()`."
    )
