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
    and a record keeps its part when others are added to the file.

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
    def is_validation(record, *label):
        return is_held_out(record[key], share)

    def is_training(record, *label):
        return not is_validation(record)

    parts = dataset.filter(is_training), dataset.filter(is_validation)
    for name, part in zip(SPLITS, parts):
        if next(iter(part.take(1)), None) is None:
            raise ValueError(
                f"`dataset` has too few records: with share={share}, no record "
                f"is left for {name}. Give more records, another share or a "
                "separate file for validation."
            )
    return parts


def is_held_out(texts, share):
    """Returns a bool tensor: whether texts belong to validation."""
    beginnings = tf.strings.substr(texts, 0, HASHED_BYTES)
    bucket = tf.strings.to_hash_bucket_fast(beginnings, _NUM_BUCKETS)
    return bucket < round(share * _NUM_BUCKETS)


def take_split(source, dataset, split):
    """Returns a part of a dataset, or all of it where `split` is `None`."""
    if split is None:
        return dataset
    try:
        return hold_out(dataset)[SPLITS.index(split)]
    except ValueError as error:
        raise ValueError(f"{source} cannot be split: {error}") from None
