"""Rows of integers without the padding that a batch does not need."""

import numpy as np
import tensorflow as tf

from unilmv2_tf.training.fitting import preprocessor_set_to

# Lengths of batches are multiples of it.
_MULTIPLE = 8
_ROW_KEYS = ("token_ids", "segment_ids", "padding_mask")


def crop(x, *rest):
    """Cuts a batch to its longest row.

    Args:
        x: dict of int tensors of shape `(batch, length)`; padding is at the
            end of rows.
        *rest: what belongs to the batch, and stays as it is.

    Returns:
        A tuple of the dict, its rows shortened, and `rest`.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.training.finetuning.rows import crop
    >>> mask = tf.sequence_mask([3, 9], 32, tf.int32)
    >>> x, = crop({"token_ids": mask, "segment_ids": mask,
    ...            "padding_mask": mask})
    >>> x["token_ids"].shape
    TensorShape([2, 16])
    """
    length = _length(x["padding_mask"])
    return ({key: x[key][:, :length] for key in _ROW_KEYS}, *rest)


def crop_pairs(x, y, sample_weight):
    """Cuts a batch of sources and targets to the longest of each.

    Args:
        x: dict of int tensors, those of a `UniLMv2Seq2SeqLM`; padding is at
            the end of rows.
        y: int tensor of shape `(batch, m)`.
        sample_weight: float tensor of the same shape.

    Returns:
        A tuple of the three, shortened.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.training.finetuning.rows import crop_pairs
    >>> source = tf.sequence_mask([3, 9], 32, tf.int32)
    >>> target = tf.sequence_mask([1, 2], 32, tf.int32)
    >>> x, y, _ = crop_pairs(
    ...     {"encoder_padding_mask": source, "decoder_padding_mask": target},
    ...     target, target)
    >>> x["encoder_padding_mask"].shape, y.shape
    (TensorShape([2, 16]), TensorShape([2, 8]))
    """
    source_length = _length(x["encoder_padding_mask"])
    target_length = _length(x["decoder_padding_mask"])
    x = {
        key: row[
            :, : source_length if key.startswith("encoder") else target_length
        ]
        for key, row in x.items()
    }
    return x, y[:, :target_length], sample_weight[:, :target_length]


def _length(padding_mask):
    longest = tf.reduce_max(tf.reduce_sum(padding_mask, axis=1))
    # Never nothing, and rows of few different lengths.
    return tf.maximum(-(-longest // _MULTIPLE), 1) * _MULTIPLE


def predict_rows(model, rows, batch_size):
    """Predicts rows in batches of similar lengths.

    Args:
        model: a compiled task whose outputs do not depend on the length.
        rows: dict of int arrays of shape `(n, length)`.
        batch_size: int.

    Returns:
        The outputs, an array of `n` rows, in the order of `rows`.
    """
    order = np.argsort(rows["padding_mask"].sum(axis=1), kind="stable")
    dataset = (
        tf.data.Dataset.from_tensor_slices(
            {key: rows[key][order] for key in _ROW_KEYS}
        )
        .batch(batch_size)
        .map(lambda x: crop(x)[0])
        .prefetch(tf.data.AUTOTUNE)
    )
    with preprocessor_set_to(model, None):
        outputs = model.predict(dataset, verbose=0)
    restored = np.empty_like(outputs)
    restored[order] = outputs
    return restored
