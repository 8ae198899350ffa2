"""Which records are held out, of what has no split of its own."""

import tensorflow as tf

from unilmv2_tf.datasets.docstring_pairs import SPLITS

_BUCKETS = 1_000_000
# What `hold_out` goes by: the first of them that a record has.
_DECIDING_KEYS = ("text", "encoder_text", "text_a", "context")
# What decides where a document goes.
HASHED_BYTES = 65536


def hold_out(dataset, share=0.05):
    """Splits a dataset in two, by the words of its records and not by chance.

    The first text of a record (`text`, `encoder_text`, `text_a`; of questions
    the `context`) decides where it goes: records with equal inputs stay
    together, and a record stays where it is when others are added to the file.

    Args:
        dataset: a `tf.data.Dataset` as `load_documents`, `load_pairs`,
            `load_labelled` and `load_questions` return it.
        share: float between 0 and 1. The share of different inputs in the
            second dataset, in the long run. Defaults to `0.05`.

    Returns:
        Two datasets: training, validation. Both read the whole of `dataset`.

    Raises:
        ValueError: if `share` is not between 0 and 1, or there are too few
            records for one of the two to hold any.

    Example:

    >>> dataset = tf.data.Dataset.from_tensor_slices(
    ...     {"text": [str(number) for number in range(1000)]}
    ... )
    >>> train, validation = hold_out(dataset, share=0.1)
    >>> sum(1 for _ in train) + sum(1 for _ in validation)
    1000
    """
    if not 0 < share < 1:
        raise ValueError(
            "`share` must lie between 0 and 1, for example 0.05. "
            f"Received: share={share}"
        )
    spec = dataset.element_spec
    keys = list(spec[0] if isinstance(spec, tuple) else spec)
    key = next((key for key in _DECIDING_KEYS if key in keys), None)
    if key is None:
        raise ValueError(
            "`dataset` must hold dictionaries with one of the keys "
            f"{', '.join(_DECIDING_KEYS)}. Received: "
            f"dataset.element_spec={keys}"
        )

    # Labels come as a second argument.
    def held(record, *_):
        return is_held_out(record[key], share)

    def kept(record, *_):
        return not held(record)

    parts = {
        "train": dataset.filter(kept),
        "validation": dataset.filter(held),
    }
    for name, part in parts.items():
        if next(iter(part.take(1)), None) is None:
            raise ValueError(
                f"`dataset` has too few records: with share={share}, no record "
                f"is left for {name}. Give more records, another share or a "
                "file of its own for validation."
            )
    return parts["train"], parts["validation"]


def is_held_out(texts, share):
    """The rule of `hold_out`: whether texts belong to validation.

    The first 65,536 bytes decide, so that a text that is too long for memory
    can be judged by its beginning.

    Args:
        texts: string tensor.
        share: float between 0 and 1.

    Returns:
        A bool tensor of the same shape.

    Example:

    >>> is_held_out(["fox", "hen", "fox"], share=0.5).numpy()
    array([ True, False,  True])
    """
    beginnings = tf.strings.substr(texts, 0, HASHED_BYTES)
    bucket = tf.strings.to_hash_bucket_fast(beginnings, _BUCKETS)
    return bucket < round(share * _BUCKETS)


def take_split(source, dataset, split):
    """The part of a dataset that has no split of its own.

    Args:
        source: string. What is split, for the error.
        dataset: a `tf.data.Dataset`, see `hold_out`.
        split: `"train"`, `"validation"` or `None`, for all of it.

    Returns:
        A `tf.data.Dataset`.

    Raises:
        ValueError: if there are too few records.
    """
    if split is None:
        return dataset
    try:
        return hold_out(dataset)[SPLITS.index(split)]
    except ValueError as error:
        raise ValueError(f"{source} cannot be split: {error}") from None
