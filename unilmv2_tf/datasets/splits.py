"""Training and validation parts of data that have no split of their own."""

import tensorflow as tf

SPLITS = ("train", "validation")
_NUM_BUCKETS = 1_000_000
# The first of these keys that a record has decides its part.
_DECIDING_KEYS = ("text", "encoder_text", "text_a", "context")
# Documents may be too long for memory: their beginning decides.
HASHED_BYTES = 65536


def hold_out(
    dataset: tf.data.Dataset, share: float = 0.05
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Splits a dataset in two by a hash of its texts.

    The first text of a record (`text`, `encoder_text`, `text_a`; for questions
    the `context`) decides its part: records with equal inputs stay together,
    and a record keeps its part when others are added to the file. If the share
    of few records is none, those with the lowest hash are held out.

    Args:
        dataset: A `tf.data.Dataset` as `load_documents`, `load_pairs`,
            `load_labeled` and `load_questions` return it.
        share: The expected share of distinct inputs in the second dataset,
            between 0 and 1. Defaults to `0.05`.

    Returns:
        Two datasets: training, validation. Both read the whole of `dataset`.

    Raises:
        ValueError: If `share` is not between 0 and 1, or if one of the two
            datasets would be empty.

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

    # A label is a second argument.
    def bucket_of(record, *label):
        return _bucket(record[key])

    def parts_at(limit):
        return (
            dataset.filter(lambda *record: bucket_of(*record) >= limit),
            dataset.filter(lambda *record: bucket_of(*record) < limit),
        )

    def is_empty(part):
        return next(iter(part.take(1)), None) is None

    parts = parts_at(round(share * _NUM_BUCKETS))
    if is_empty(parts[1]):
        buckets = dataset.map(bucket_of).as_numpy_iterator()
        parts = parts_at(min(map(int, buckets), default=0) + 1)
    for name, part in zip(SPLITS, parts):
        if is_empty(part):
            raise ValueError(
                f"`dataset` has too few records: with share={share}, no record "
                f"is left for {name}. Give more records, another share or a "
                "separate file for validation."
            )
    return parts


def is_held_out(texts, share):
    """Returns a bool tensor: whether texts belong to validation."""
    return _bucket(texts) < round(share * _NUM_BUCKETS)


def _bucket(texts):
    beginnings = tf.strings.substr(texts, 0, HASHED_BYTES)
    return tf.strings.to_hash_bucket_fast(beginnings, _NUM_BUCKETS)


def take_split(source, dataset, split):
    """Returns a part of a dataset, or all of it where `split` is `None`."""
    if split is None:
        return dataset
    try:
        return hold_out(dataset)[SPLITS.index(split)]
    except ValueError as error:
        if "too few" not in str(error):
            raise
        raise ValueError(
            f"{source} cannot be split: training and validation need different "
            "texts. Give more, or name what is held out with --validation"
        ) from None
