"""Texts with labels: the grammar of data arguments for classification.

| source | labelled texts |
|---|---|
| `PATH.tsv` | columns `text`, `label`, or `text_a`, `text_b`, `label` |
| `PATH.jsonl` | `{"text", "label"}` or `{"text_a", "text_b", "label"}` a line |
| `tfds:glue/TASK` | the tasks of GLUE: see `glue.py` |
| `tfds:NAME/CONFIG` | one text or two, and a class label |
| `docstrings:packages` | docstrings and the packages they are from |
| `docstrings:topics` | the standard library's docstrings and their topics |

Files of TSV have no header and no quotes. Labels are classes or values, in a
file either the ones or the others. In JSON lines strings and integers are
classes, numbers with a point are values. In TSV labels are values if all are
numbers and at least one has a point or an exponent, and else classes.
"""

import tensorflow as tf

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import labelled_files
from unilmv2_tf.datasets.docstring_labels import PACKAGE_NAMES
from unilmv2_tf.datasets.docstring_labels import TOPIC_NAMES
from unilmv2_tf.datasets.files import find_files
from unilmv2_tf.datasets.glue import find_glue_task
from unilmv2_tf.datasets.holding_out import take_split
from unilmv2_tf.datasets.sources import list_sources
from unilmv2_tf.datasets.sources import load_each
from unilmv2_tf.datasets.sources import split_scheme
from unilmv2_tf.datasets.tfds_builders import choose_split
from unilmv2_tf.datasets.tfds_builders import open_builder
from unilmv2_tf.datasets.tfds_builders import split_place
from unilmv2_tf.datasets.tfds_labelled import find_columns
from unilmv2_tf.datasets.tfds_labelled import read_labelled

_DOCSTRINGS = {
    "packages": (docstrings.package_texts, PACKAGE_NAMES),
    "topics": (docstrings.topic_texts, TOPIC_NAMES),
}


def load_labelled(source, split=None, with_ids=False):
    """Texts or pairs of texts with labels, for classification and regression.

    Args:
        source: string, path or a list of them. `PATH.tsv`, `PATH.jsonl` (globs
            are accepted), `tfds:NAME/CONFIG` or `tfds:NAME/CONFIG:SPLIT`,
            `docstrings:packages` or `docstrings:topics`. Several sources are
            read one after the other.
        split: string. `"train"` or `"validation"`. Datasets of TFDS have
            their own (MNLI: `validation_matched`); of files, of a split of
            TFDS that `source` names, and of datasets without a validation
            split, `hold_out` makes one. Defaults to `None`: all of a file,
            the split that `source` names, or else the training split.
        with_ids: bool. Whether records hold an `id` as well, an int64: the
            number that a dataset of TFDS gives its examples (`idx`, what
            submissions to GLUE are ordered by), or that of the example in
            its source, from 0. Defaults to `False`.

    Returns:
        A `tf.data.Dataset` of pairs. First a dictionary of scalar strings,
        `text`, or `text_a` and `text_b`. Then the label: a scalar string, the
        name of a class, or a scalar float32, a value. Where TFDS keeps the
        label from us (test splits), it is `""` or NaN; `split` leaves such
        examples out. The length is known unless records are left out.

    Raises:
        FileNotFoundError: if nothing has that name, or a dataset of TFDS is
            not prepared.
        IsADirectoryError: if a folder has that name.
        PermissionError: if a file may not be read.
        ValueError: if the source is of an unknown kind, has no such split, or
            a file is empty, is not UTF-8, has a wrong record or mixes classes
            and values; the message names file and line.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "reviews.tsv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("A delight.\\tgood\\nI left early.\\tbad\\n")
    >>> for record, label in load_labelled(path).as_numpy_iterator():
    ...     print(record, label)
    {'text': b'A delight.'} b'good'
    {'text': b'I left early.'} b'bad'
    """

    def load(one):
        scheme, name = split_scheme(one)
        if scheme == "tfds":
            return _load_tfds(one, name, split, with_ids)
        if scheme == "docstrings":
            read, _ = _find_docstrings(one, name)
            dataset = read(split or "train")
            return _numbered(dataset) if with_ids else dataset
        dataset = _load_files(name)
        dataset = _numbered(dataset) if with_ids else dataset
        return take_split(one, dataset, split)

    return load_each(source, split, load)


def label_names(source):
    """The classes of a source, in canonical order.

    That of TFDS and of the embedded corpus where they are from there; of files
    the order of integers, or that of letters.

    Args:
        source: string, path or a list of them, as `load_labelled` takes it.
            Data of TFDS need not be prepared.

    Returns:
        A list of strings. `None` if labels are values: regression.

    Raises:
        FileNotFoundError: if nothing has that name.
        ValueError: if the source is of an unknown kind, has a wrong record, or
            several sources mix classes and values.

    Example:

    >>> label_names("tfds:glue/mnli")
    ['entailment', 'neutral', 'contradiction']
    >>> label_names("tfds:glue/stsb") is None
    True
    """
    sources = list_sources(source)
    found = [_names_of(one) for one in sources]
    if any(names is None for names in found):
        if not all(names is None for names in found):
            raise ValueError(
                "`source` must have classes as labels, or values, in all of "
                f"its parts. Received: source={sources}, which mix them"
            )
        return None
    names = dict.fromkeys(name for names in found for name in names)
    if all(not split_scheme(one)[0] for one in sources):
        return list(labelled_files.sort_names(names))
    return list(names)


def _names_of(source):
    scheme, name = split_scheme(source)
    if scheme == "tfds":
        name, _ = split_place(name)
        return find_columns(name, open_builder(name)).label_names
    if scheme == "docstrings":
        return _find_docstrings(source, name)[1]
    found = _check_files(name)
    if found[0].label_names is None:
        return None
    return [label for file in found for label in file.label_names]


def _find_docstrings(source, name):
    if name not in _DOCSTRINGS:
        known = [f"docstrings:{name}" for name in _DOCSTRINGS]
        raise ValueError(
            f"{source!r} holds no {labelled_files.KIND}. Of the embedded "
            f"corpus, these are {' and '.join(known)}"
        )
    return _DOCSTRINGS[name]


def _check_files(pattern):
    paths = find_files(pattern)
    found = [labelled_files.check_labelled_file(path) for path in paths]
    for path, file in zip(paths, found):
        if _kind_of(file) != _kind_of(found[0]):
            raise ValueError(
                f"{pattern} matches files of different kinds: {paths[0]} has "
                f"{_kind_of(found[0])}, {path} has {_kind_of(file)}. Name "
                "them apart, or write values with a point in all files"
            )
    return found


def _kind_of(file):
    texts = " and ".join(labelled_files.TEXT_KEYS[file.num_texts])
    labels = "values" if file.label_names is None else "classes"
    return f"{texts} with {labels}"


def _load_files(pattern):
    _check_files(pattern)
    joined = None
    for path in find_files(pattern):
        records = labelled_files.read_labelled_file(path)
        joined = records if joined is None else joined.concatenate(records)
    return joined


def _numbered(dataset):
    return dataset.enumerate().map(
        lambda number, example: ({**example[0], "id": number}, example[1])
    )


def _load_tfds(source, place, split, with_ids):
    name, named = split_place(place)
    builder = open_builder(name)
    chosen, is_whole = choose_split(name, builder, named, split)
    dataset = read_labelled(name, builder, chosen, with_ids)
    # All examples of those splits of GLUE have labels, and their number is
    # known.
    if split and not find_glue_task(source):
        dataset = dataset.filter(_has_label)
    return dataset if is_whole else take_split(source, dataset, split)


def _has_label(record, label):
    del record
    if label.dtype == tf.string:
        return label != ""
    return tf.math.is_finite(label)
