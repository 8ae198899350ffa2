"""The texts of TensorFlow Datasets' corpora: `tfds:NAME/CONFIG:SPLIT`."""

import dataclasses
import itertools

import tensorflow as tf

from unilmv2_tf.datasets.tfds_builders import absent_data
from unilmv2_tf.datasets.tfds_builders import find_instructions
from unilmv2_tf.datasets.tfds_builders import open_builder
from unilmv2_tf.datasets.tfds_builders import read_examples
from unilmv2_tf.datasets.tfds_builders import split_place


@dataclasses.dataclass(frozen=True)
class TfdsSlice:
    """Successive examples of a split.

    Args:
        name: string. The dataset, as `tfds.load` takes it.
        split: string. One split, without a slice.
        start: int. The first example.
        end: int. The example after the last.
        num_bytes: int. What they take in files, about.
        data_dir: string or `None`. Where TFDS keeps its data.
        text_key: string. The feature that holds the text.
    """

    name: str
    split: str
    start: int
    end: int
    num_bytes: int
    data_dir: str | None
    text_key: str

    def cut(self, num_bytes):
        """Cuts it into slices of about `num_bytes`.

        Args:
            num_bytes: int.

        Returns:
            A list of `TfdsSlice`.

        Example:

        >>> whole = TfdsSlice("c4/en", "train", 0, 5, 3000, None, "text")
        >>> [(part.start, part.end) for part in whole.cut(1000)]
        [(0, 1), (1, 3), (3, 5)]
        """
        return cut_evenly(self, num_bytes)


def cut_evenly(part, num_bytes):
    """Cuts a range of records into ranges of about `num_bytes`.

    Args:
        part: a dataclass with `start`, `end` and `num_bytes`.
        num_bytes: int.

    Returns:
        A list of ranges of its class.
    """
    number = part.end - part.start
    parts = min(max(-(-part.num_bytes // num_bytes), 1), max(number, 1))
    borders = [part.start + number * i // parts for i in range(parts + 1)]
    return [
        dataclasses.replace(
            part, start=start, end=end, num_bytes=part.num_bytes // parts
        )
        for start, end in itertools.pairwise(borders)
    ]


def find_slices(place, data_dir=None, text_key="text"):
    """The slices of prepared data that a name stands for.

    Args:
        place: string. `NAME:SPLIT` or `NAME/CONFIG:SPLIT`; the split may be a
            slice or a sum, as in `train[:10%]+test`. Without it, `train`.
        data_dir: string. Where TFDS keeps its data. Defaults to `None`: the
            environment variable `TFDS_DATA_DIR`, or `~/tensorflow_datasets`.
        text_key: string. The feature that holds the text. Defaults to
            `"text"`.

    Returns:
        A list of `TfdsSlice`.

    Raises:
        ValueError: if there is no such dataset, split or feature.
        FileNotFoundError: if the dataset is not prepared.

    Example:

    >>> find_slices("ag_news_subset", data_dir="/nowhere")
    Traceback (most recent call last):
        ...
    FileNotFoundError: The data of tfds:ag_news_subset are not in /nowhere. ...
    """
    import tensorflow_datasets as tfds

    name, split = split_place(place)
    split = split or "train"
    builder = open_builder(name, data_dir)
    splits = builder.info.splits
    if not splits or not splits.total_num_examples:
        raise absent_data(name, builder)
    features = builder.info.features
    if text_key not in features or not isinstance(
        features[text_key], tfds.features.Text
    ):
        raise ValueError(
            f"`text_key` must name a feature of tfds:{name} that is text; it "
            f"has {', '.join(sorted(features))}. Received: "
            f"text_key={text_key!r}"
        )
    slices = [
        _slice(name, instruction, splits, data_dir, text_key)
        for instruction in find_instructions(name, split, splits)
    ]
    return slices


def read_texts(tfds_slice):
    """The texts of a slice, in the order of its files.

    Texts of wiki40b lose its markers (`_START_ARTICLE_` and so on).

    Args:
        tfds_slice: a `TfdsSlice`.

    Returns:
        A `tf.data.Dataset` of scalar strings.
    """
    name, key = tfds_slice.name, tfds_slice.text_key
    dataset = read_examples(
        name,
        open_builder(name, tfds_slice.data_dir),
        f"{tfds_slice.split}[{tfds_slice.start}:{tfds_slice.end}]",
        [key],
    )
    texts = dataset.map(lambda example: example[key])
    if name.partition("/")[0] == "wiki40b":
        texts = texts.map(clean_wiki40b)
    return texts


def clean_wiki40b(texts):
    """Takes the markers of wiki40b's structure out of its texts.

    Args:
        texts: string tensor.

    Returns:
        A string tensor of the same shape.

    Example:

    >>> import tensorflow as tf
    >>> clean_wiki40b(tf.constant(
    ...     "\\n_START_ARTICLE_\\nFox\\n_START_SECTION_\\nDiet\\n"
    ...     "_START_PARAGRAPH_\\nMice._NEWLINE_Eggs.")).numpy().decode()
    'Fox\\nDiet\\nMice.\\nEggs.'
    """
    texts = tf.strings.regex_replace(
        texts, r"\s*_START_(ARTICLE|SECTION|PARAGRAPH)_\s*", "\n"
    )
    return tf.strings.strip(tf.strings.regex_replace(texts, "_NEWLINE_", "\n"))


def _slice(name, instruction, splits, data_dir, text_key):
    whole = splits[instruction.splitname]
    start = instruction.from_ or 0
    end = whole.num_examples if instruction.to is None else instruction.to
    return TfdsSlice(
        name=name,
        split=instruction.splitname,
        start=start,
        end=end,
        num_bytes=whole.num_bytes * (end - start) // whole.num_examples,
        data_dir=None if data_dir is None else str(data_dir),
        text_key=text_key,
    )
