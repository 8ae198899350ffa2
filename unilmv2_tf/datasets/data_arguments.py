"""The grammar of data arguments: from what a user names to a dataset.

documents    PATH.txt, blank lines between them; PATH.jsonl, {"text"}; PATH.tsv,
             one column; tfds:NAME/CONFIG:SPLIT, a text; docstrings:
pairs        PATH.jsonl, {"src", "tgt"}; PATH.tsv, source and target;
             tfds:NAME/CONFIG, two supervised texts; docstrings:arguments,
             docstrings:summaries; any questions, for question generation
labeled      PATH.jsonl, {"text", "label"} or {"text_a", "text_b", "label"}, or
             with "labels", a list; PATH.tsv, the same columns with a label;
             tfds:NAME/CONFIG, one or two texts and a class label;
             tfds:glue/TASK; docstrings:packages
questions    PATH.json, SQuAD's format; tfds:squad/v1.1, tfds:squad/v2.0;
             docstrings:questions

A path may hold `*`, `?`, `[...]` and `**`; what it matches is read in sorted
order. Files of documents are streamed, after a first pass that finds errors
before training starts; other files are read into memory.
"""

import itertools
import os

import tensorflow as tf

from unilmv2_tf.datasets import record_files
from unilmv2_tf.datasets import squad_files
from unilmv2_tf.datasets import text_files
from unilmv2_tf.datasets import tfds_data
from unilmv2_tf.datasets.docstring_extraction import PACKAGES
from unilmv2_tf.datasets.glue import find_glue_task
from unilmv2_tf.datasets.source_reading import check_docstrings
from unilmv2_tf.datasets.source_reading import list_sources
from unilmv2_tf.datasets.source_reading import load_all
from unilmv2_tf.datasets.source_reading import load_one
from unilmv2_tf.datasets.source_reading import split_scheme

Source = str | os.PathLike | list[str | os.PathLike]


def load_documents(source: Source, split: str | None = None) -> tf.data.Dataset:
    """Loads texts for pre-training and vocabularies.

    Args:
        source: String, path or a list of them, read one after the other:
            `PATH.txt`, `PATH.jsonl`, `PATH.tsv` (globs are accepted),
            `tfds:NAME/CONFIG:SPLIT` or `docstrings:`.
        split: `"train"` or `"validation"`. TFDS datasets and the embedded
            corpus have their own; for files, for a TFDS split that `source`
            names and for datasets without a validation split, `hold_out`
            makes one. Defaults to `None`: all of a file, the split that
            `source` names, or else the training split.

    Returns:
        A `tf.data.Dataset` of `{"text": scalar string}`. Its length is known
        unless a file was split.

    Raises:
        FileNotFoundError: If nothing has that name, or a TFDS dataset is not
            prepared.
        IsADirectoryError: If a folder has that name.
        PermissionError: If a file may not be read.
        ValueError: If the source is of an unknown kind, or a file is empty, is
            not UTF-8 or has a wrong record; the message names file and line.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "two.txt")
    >>> with open(path, "w") as file:
    ...     _ = file.write("The first\\ndocument.\\n\\nThe second.\\n")
    >>> for record in load_documents(path).as_numpy_iterator():
    ...     print(record["text"])
    b'The first\\ndocument.'
    b'The second.'
    """
    return load_all(
        source, split, lambda one: load_one(one, split, "documents")
    )


def load_pairs(
    source: Source,
    split: str | None = None,
    quoting: bool | None = None,
    skip_misfits: bool = False,
) -> tf.data.Dataset:
    """Loads pairs of texts for sequence-to-sequence training.

    Args:
        source: String, path or a list of them: `PATH.jsonl`, `PATH.tsv`,
            `PATH.json` in SQuAD's format (globs are accepted),
            `tfds:NAME/CONFIG` or `tfds:NAME/CONFIG:SPLIT`,
            `docstrings:arguments`, `docstrings:summaries` or
            `docstrings:questions`.
        split: As in `load_documents`.
        quoting: Whether fields of TSV files may be in double quotes, as `csv`
            and pandas write them. `False` takes quotes for characters.
            Defaults to `None`: such files are refused.
        skip_misfits: Whether records of files that do not fit are left out
            with a warning that counts them. Defaults to `False`: an error.

    Returns:
        A `tf.data.Dataset` of `{"encoder_text": scalar string,
        "decoder_text": scalar string}`. Sources may be empty, targets not.
        For questions with passages, a source is `passage | first answer`, the
        target is the question, and questions without an answer are left out
        with a warning.

    Raises:
        FileNotFoundError: And the other errors of `load_documents`.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "one.jsonl")
    >>> with open(path, "w") as file:
    ...     _ = file.write('{"src": "unlikely", "tgt": "odd"}')
    >>> for record in load_pairs(path).as_numpy_iterator():
    ...     print(record["encoder_text"], record["decoder_text"])
    b'unlikely' b'odd'

    Reference:
        Bao et al., 2020, section 3.4 (summaries, question generation).
    """

    def load(one):
        if _has_questions(one):
            # Split by passage, before passages are joined with answers.
            questions = load_one(
                one, split, "questions", skip_misfits=skip_misfits
            )
            return squad_files.question_generation_pairs(one, questions)
        return load_one(
            one, split, "pairs", quoting=quoting, skip_misfits=skip_misfits
        )

    return load_all(source, split, load)


def load_labeled(
    source: Source,
    split: str | None = None,
    with_ids: bool = False,
    task: str | None = None,
    quoting: bool | None = None,
    skip_misfits: bool = False,
) -> tf.data.Dataset:
    """Loads labeled texts or pairs, for classification and regression.

    Args:
        source: String, path or a list of them: `PATH.tsv`, `PATH.jsonl` (globs
            are accepted), `tfds:NAME/CONFIG` or `tfds:NAME/CONFIG:SPLIT`, or
            `docstrings:packages`.
        split: As in `load_documents`. Examples without a label are left out
            where it is given.
        with_ids: Whether records hold an int64 `id`: the `idx` of a TFDS
            dataset, by which GLUE submissions are ordered, or the number of
            the example in its source, from 0. Defaults to `False`.
        task: `"classify"` or `"regress"`: whether labels of files are classes
            or values. Defaults to `None`: values if all are numbers, some
            with a point, and not only 0.0 and 1.0.
        quoting: As in `load_pairs`.
        skip_misfits: As in `load_pairs`.

    Returns:
        A `tf.data.Dataset` of pairs: a dictionary of scalar strings, `text` or
        `text_a` and `text_b`, and the label, a scalar string (class) or
        float32 (value), or strings of shape `(k,)` for records with `labels`.
        A label that TFDS does not have (test splits) is `""` or NaN.

    Raises:
        FileNotFoundError: And the other errors of `load_documents`.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "reviews.tsv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("A delight.\\tgood\\nI left early.\\tbad\\n")
    >>> for record, label in load_labeled(path).as_numpy_iterator():
    ...     print(record, label)
    {'text': b'A delight.'} b'good'
    {'text': b'I left early.'} b'bad'
    """

    if task not in (None, "classify", "regress"):
        raise ValueError(
            "`task` must be 'classify', 'regress' or None. Received: "
            f"task={task!r}"
        )

    def finish(one, dataset):
        is_tfds = split_scheme(one)[0] == "tfds"
        if with_ids and "id" not in dataset.element_spec[0]:
            dataset = dataset.enumerate().map(
                lambda id, example: ({**example[0], "id": id}, example[1])
            )
        elif not with_ids:
            dataset = dataset.map(_without_id)
        # All examples of these splits of GLUE have labels.
        if split and is_tfds and not find_glue_task(one):
            dataset = dataset.filter(_has_label)
        return dataset

    options = dict(task=task, quoting=quoting, skip_misfits=skip_misfits)
    return load_all(
        source,
        split,
        lambda one: load_one(one, split, "labeled examples", finish, **options),
    )


def label_names(
    source: Source,
    task: str | None = None,
    quoting: bool | None = None,
    skip_misfits: bool = False,
) -> list[str] | None:
    """Returns the class names of a source in canonical order.

    For TFDS and the embedded corpus it is their own order; for files integers
    are sorted by value and other names by letters.

    Args:
        source: String, path or a list of them, see `load_labeled`. TFDS data
            need not be prepared.
        task: As in `load_labeled`, as are `quoting` and `skip_misfits`.
        quoting: Whether TSV files have quotes.
        skip_misfits: Whether records that do not fit are left out.

    Returns:
        A list of strings, or `None` if labels are values (regression).

    Raises:
        FileNotFoundError: If nothing has that name.
        ValueError: If the source is of an unknown kind, has a wrong record, or
            mixes classes and values.

    Example:

    >>> label_names("tfds:glue/mnli")
    ['entailment', 'neutral', 'contradiction']
    >>> label_names("tfds:glue/stsb") is None
    True
    """
    sources = list_sources(source)
    options = dict(task=task, quoting=quoting, skip_misfits=skip_misfits)
    found = [_label_names(one, options) for one in sources]
    if None in found:
        if any(found):
            raise ValueError(
                "`source` must have classes as labels, or values, in all of "
                f"its parts. Received: source={sources}, which mix them"
            )
        return None
    names = list(dict.fromkeys(name for names in found for name in names))
    if any(split_scheme(one)[0] for one in sources):
        return names
    return record_files.sort_names(names)


def load_questions(
    source: Source, split: str | None = None, skip_misfits: bool = False
) -> tf.data.Dataset:
    """Loads questions with the passages that answer them, or do not.

    Args:
        source: String, path or a list of them: `PATH.json` in SQuAD's format
            (globs are accepted), `tfds:squad/v1.1`, `tfds:squad/v2.0` (or
            another TFDS dataset with their features; `:SPLIT` may follow) or
            `docstrings:questions`.
        split: As in `load_documents`; questions about one passage stay
            together.
        skip_misfits: As in `load_pairs`.

    Returns:
        A `tf.data.Dataset` of dictionaries: `id`, `question` and `context`,
        scalar strings; `answer_texts`, strings of shape `(k,)`, and
        `answer_starts`, int32 of shape `(k,)`: their positions in the context
        in Unicode code points. `k` is 0 where the passage has no answer.

    Raises:
        FileNotFoundError: And the other errors of `load_documents`.

    Example:

    >>> dataset = load_questions("docstrings:questions", "validation")
    >>> dataset.element_spec["answer_starts"]
    TensorSpec(shape=(None,), dtype=tf.int32, name=None)

    Reference:
        Rajpurkar et al., "Know What You Don't Know: Unanswerable Questions
        for SQuAD" (2018).
    """
    return load_all(
        source,
        split,
        lambda one: load_one(
            one, split, "questions", skip_misfits=skip_misfits
        ),
    )


def _has_questions(source):
    scheme, name = split_scheme(source)
    if scheme == "tfds":
        builder = tfds_data.open_builder(tfds_data.split_place(name)[0])
        return not tfds_data.missing_question_features(builder)
    if scheme == "docstrings":
        return name == "questions"
    return name.lower().endswith(".json")


def _label_names(source, options):
    scheme, name = split_scheme(source)
    if scheme == "tfds":
        name, _ = tfds_data.split_place(name)
        builder = tfds_data.open_builder(name)
        return tfds_data.find_labeled_columns(name, builder)[2]
    if scheme == "docstrings":
        check_docstrings(source, name, "labeled examples")
        return list(PACKAGES)
    labels = set()
    for path in text_files.find_files(name):
        columns = record_files.read_labeled_file(path, **options)
        lists = columns.get("labels") or [columns["label"]]
        labels.update(itertools.chain.from_iterable(lists))
    if any(isinstance(label, float) for label in labels):
        return None
    return record_files.sort_names(labels)


def _without_id(record, label):
    return {key: x for key, x in record.items() if key != "id"}, label


def _has_label(record, label):
    if label.dtype == tf.string:
        return label != ""
    return tf.math.is_finite(label)
