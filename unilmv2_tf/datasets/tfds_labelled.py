"""Labelled texts of TensorFlow Datasets: `tfds:NAME/CONFIG:SPLIT`."""

import dataclasses

import tensorflow as tf

from unilmv2_tf.datasets.glue import find_glue_task
from unilmv2_tf.datasets.tfds_builders import read_examples

_INDEX_KEY = "idx"
_TEXT_KEYS = {1: ("text",), 2: ("text_a", "text_b")}


@dataclasses.dataclass(frozen=True)
class LabelledColumns:
    """Where a dataset holds its texts and labels.

    Args:
        text_keys: tuple of one or two strings.
        label_key: string.
        label_names: tuple of strings, in the order of their integers. `None`
            if labels are numbers.
    """

    text_keys: tuple
    label_key: str
    label_names: tuple | None


def find_columns(name, builder):
    """The texts and the label of a dataset's examples.

    Those of GLUE are known. Of others, what the dataset names as its
    supervised keys is taken, or else its only class label and its only one or
    two texts.

    Args:
        name: string. The dataset, as `tfds.load` takes it.
        builder: its builder.

    Returns:
        `LabelledColumns`.

    Raises:
        ValueError: if it has no class label or several, or no text or more
            than two.

    Example:

    >>> from unilmv2_tf.datasets.tfds_builders import open_builder
    >>> find_columns("ag_news_subset", open_builder("ag_news_subset"))
    LabelledColumns(text_keys=('description',), label_key='label',
        label_names=('World', 'Sports', 'Business', 'Sci/Tech'))
    """
    import tensorflow_datasets as tfds

    task = find_glue_task(f"tfds:{name}")
    if task:
        return LabelledColumns(task.text_keys, "label", task.label_names)
    features = dict(builder.info.features.items())

    def of_class(kind):
        return [key for key in features if isinstance(features[key], kind)]

    labels = of_class(tfds.features.ClassLabel)
    texts = of_class(tfds.features.Text)
    supervised = builder.info.supervised_keys
    if supervised and supervised[0] in texts and supervised[1] in labels:
        texts, labels = [supervised[0]], [supervised[1]]
    if len(labels) != 1 or len(texts) not in _TEXT_KEYS:
        raise ValueError(
            f"tfds:{name} is no dataset of labelled texts: it must have one "
            f"class label, and one text or two. It has {len(labels)} "
            f"class labels ({', '.join(labels) or 'none'}) and {len(texts)} "
            f"texts ({', '.join(texts) or 'none'}). Write what you want of it "
            "to a .tsv or .jsonl file"
        )
    names = tuple(features[labels[0]].names)
    return LabelledColumns(tuple(texts), labels[0], names)


def read_labelled(name, builder, split, with_ids):
    """The examples of a split.

    Args:
        name: string. The dataset, as `tfds.load` takes it.
        builder: its builder.
        split: string. A split, a slice or a sum.
        with_ids: bool. Whether examples carry an `id`: the dataset's `idx`,
            or their number in the split.

    Returns:
        A `tf.data.Dataset` as `load_labelled` returns it.

    Raises:
        FileNotFoundError: if the dataset is not prepared.
        ValueError: if there is no such split, or the dataset is not one of
            labelled texts.
    """
    columns = find_columns(name, builder)
    has_index = _INDEX_KEY in builder.info.features
    keys = [*columns.text_keys, columns.label_key]
    if with_ids and has_index:
        keys.append(_INDEX_KEY)
    examples = read_examples(name, builder, split, keys)
    text_keys = _TEXT_KEYS[len(columns.text_keys)]

    def to_record(number, example):
        record = {
            key: example[original]
            for key, original in zip(text_keys, columns.text_keys)
        }
        if with_ids:
            index = example[_INDEX_KEY] if has_index else number
            record["id"] = tf.cast(index, tf.int64)
        return record, _label(example[columns.label_key], columns.label_names)

    return examples.enumerate().map(to_record)


def _label(label, names):
    if names is None:
        label = tf.cast(label, tf.float32)
        # Test splits of TFDS hold -1 where the benchmark keeps the label.
        return tf.where(label < 0, float("nan"), label)
    unknown = len(names)
    label = tf.where(label < 0, tf.cast(unknown, label.dtype), label)
    return tf.gather(tf.constant([*names, ""]), label)
