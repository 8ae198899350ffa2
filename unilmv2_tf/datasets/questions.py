"""Questions and passages: the grammar of data arguments for answering.

| source | questions |
|---|---|
| `PATH.json` | SQuAD's format, 1.1 or 2.0: see `squad_files.py` |
| `tfds:squad/v1.1`, `tfds:squad/v2.0` | SQuAD |
| `tfds:NAME/CONFIG` | any other dataset with the features of SQuAD |
| `docstrings:questions` | questions about arguments of functions |
"""

import tensorflow as tf

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets.files import find_files
from unilmv2_tf.datasets.holding_out import take_split
from unilmv2_tf.datasets.question_records import questions_dataset
from unilmv2_tf.datasets.sources import load_each
from unilmv2_tf.datasets.sources import split_scheme
from unilmv2_tf.datasets.squad_files import read_squad_file
from unilmv2_tf.datasets.tfds_builders import choose_split
from unilmv2_tf.datasets.tfds_builders import open_builder
from unilmv2_tf.datasets.tfds_builders import read_examples
from unilmv2_tf.datasets.tfds_builders import split_place

_FEATURES = ("id", "question", "context", "answers")
_ANSWER_FEATURES = ("text", "answer_start")


def load_questions(source, split=None):
    """Questions with passages that answer them, or do not.

    Files are read into memory, each passage once.

    Args:
        source: string, path or a list of them. `PATH.json` (globs are
            accepted), `tfds:squad/v1.1`, `tfds:squad/v2.0` (or another dataset
            with their features; `:SPLIT` may follow) or
            `docstrings:questions`.
        split: string. `"train"` or `"validation"`. Datasets of TFDS and the
            embedded corpus have their own; of files, and of a split of TFDS
            that `source` names, `hold_out` makes one, which keeps the
            questions for a passage together. Defaults to `None`: all of a
            file, the split that `source` names, or else the training split.

    Returns:
        A `tf.data.Dataset` of dictionaries: `id`, `question` and `context`,
        scalar strings; `answer_texts`, a string tensor of shape `(k,)`, and
        `answer_starts`, an int32 tensor of shape `(k,)`, where in the context
        they begin, in Unicode code points. Where `k` is 0, the passage does
        not answer the question. The length is known unless a file was split.

    Raises:
        FileNotFoundError: if nothing has that name, or a dataset of TFDS is
            not prepared.
        IsADirectoryError: if a folder has that name.
        PermissionError: if a file may not be read.
        ValueError: if the source is of an unknown kind, has no such split, or
            a file has a wrong record; the message names file and record.

    Example:

    >>> dataset = load_questions("docstrings:questions", "validation")
    >>> dataset.element_spec["answer_starts"]
    TensorSpec(shape=(None,), dtype=tf.int32, name=None)

    Reference:
        Rajpurkar et al., "Know What You Don't Know: Unanswerable Questions
        for SQuAD" (2018).
    """

    def load(one):
        scheme, name = split_scheme(one)
        if scheme == "tfds":
            return _load_tfds(one, name, split)
        if scheme == "docstrings":
            if name != "questions":
                raise ValueError(
                    f"{one!r} holds no questions. Of the embedded corpus, "
                    "docstrings:questions does"
                )
            return docstrings.argument_questions(split or "train")
        paths = find_files(name)
        records = [record for path in paths for record in read_squad_file(path)]
        return take_split(one, questions_dataset(records), split)

    return load_each(source, split, load)


def has_questions(source):
    """Whether a source is one of questions, as far as its name tells.

    Args:
        source: string or path. Data of TFDS need not be prepared.

    Returns:
        A bool.

    Raises:
        ValueError: if the source is of an unknown kind.

    Example:

    >>> has_questions("tfds:squad/v1.1"), has_questions("tfds:xsum")
    (True, False)
    >>> has_questions("dev-*.json"), has_questions("pairs.jsonl")
    (True, False)
    """
    scheme, name = split_scheme(source)
    if scheme == "tfds":
        name, _ = split_place(name)
        return not _missing_features(open_builder(name).info.features)
    if scheme == "docstrings":
        return name == "questions"
    return name.lower().endswith(".json")


def _load_tfds(source, place, split):
    name, named = split_place(place)
    builder = open_builder(name)
    _check_features(name, builder.info.features)
    chosen, is_whole = choose_split(name, builder, named, split)
    dataset = read_examples(name, builder, chosen, _FEATURES).map(_to_record)
    return dataset if is_whole else take_split(source, dataset, split)


def _missing_features(features):
    missing = [key for key in _FEATURES if key not in features]
    if missing:
        return missing
    answers = features["answers"]
    inner = getattr(answers, "feature", answers)
    return [f"answers/{key}" for key in _ANSWER_FEATURES if key not in inner]


def _check_features(name, features):
    missing = _missing_features(features)
    if missing:
        raise ValueError(
            f"tfds:{name} is no dataset of questions like SQuAD: it lacks "
            f"{', '.join(missing)}. It has {', '.join(features)}"
        )


def _to_record(example):
    answers = example["answers"]
    return {
        "id": example["id"],
        "question": example["question"],
        "context": example["context"],
        "answer_texts": answers["text"],
        "answer_starts": tf.cast(answers["answer_start"], tf.int32),
    }
