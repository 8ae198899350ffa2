"""Pairs of texts: the grammar of data arguments for sequence to sequence.

| source | pairs |
|---|---|
| `PATH.jsonl` | `{"src": ..., "tgt": ...}` a line |
| `PATH.tsv` | two columns, source and target |
| `PATH.json` | SQuAD's format, for question generation |
| `tfds:cnn_dailymail`, `tfds:xsum`, `tfds:gigaword` | texts and summaries |
| `tfds:squad/v1.1` | SQuAD, for question generation |
| `tfds:NAME/CONFIG` | any other whose supervised keys are two texts |
| `docstrings:arguments` | descriptions and names of arguments |
| `docstrings:summaries` | bodies and summary lines of docstrings |
| `docstrings:questions` | question generation |

Texts under `src` and `tgt` are strings or lists of WordPieces, which are
joined. A source may be empty, a target may not.

Where there are questions with passages, a source is the passage and its first
answer, and the target is the question. Between the two stands ` | `: a plain
character is the same to every tokenizer, in files, on a command line and in a
served model, where the text `[SEP]` would be taken apart. The answer stands
last, so that `truncation_side="left"` keeps it where a passage is too long.
"""

import warnings

import tensorflow as tf

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets.holding_out import take_split
from unilmv2_tf.datasets.questions import has_questions
from unilmv2_tf.datasets.questions import load_questions
from unilmv2_tf.datasets.sources import load_each
from unilmv2_tf.datasets.sources import load_files
from unilmv2_tf.datasets.sources import split_scheme
from unilmv2_tf.datasets.tfds_builders import choose_split
from unilmv2_tf.datasets.tfds_builders import open_builder
from unilmv2_tf.datasets.tfds_builders import read_examples
from unilmv2_tf.datasets.tfds_builders import split_place

# Between a passage and the answer that a question is asked for.
ANSWER_SEPARATOR = " | "

_DOCSTRINGS = {
    "arguments": docstrings.argument_pairs,
    "summaries": docstrings.summary_pairs,
}


def load_pairs(source, split=None):
    """Pairs of texts for sequence-to-sequence training and evaluation.

    Args:
        source: string, path or a list of them. `PATH.jsonl`, `PATH.tsv` or
            `PATH.json` in SQuAD's format (globs are accepted),
            `tfds:NAME/CONFIG` or `tfds:NAME/CONFIG:SPLIT`,
            `docstrings:arguments`, `docstrings:summaries` or
            `docstrings:questions`. Several sources are read one after the
            other.
        split: string. `"train"` or `"validation"`. Datasets of TFDS and the
            embedded corpus have their own; of files, of a split of TFDS that
            `source` names, and of datasets without a validation split,
            `hold_out` makes one. Defaults to `None`: all of a file, the
            split that `source` names, or else the training split.

    Returns:
        A `tf.data.Dataset` of `{"encoder_text": scalar string,
        "decoder_text": scalar string}`. Its length is known unless a file
        was split. Questions that their passage does not answer are left out,
        and a warning says how many.

    Raises:
        FileNotFoundError: if nothing has that name, or a dataset of TFDS is
            not prepared.
        IsADirectoryError: if a folder has that name.
        PermissionError: if a file may not be read.
        ValueError: if the source is of an unknown kind, has no such split, or
            a file is empty, is not UTF-8, has a wrong record or an empty
            target; the message names file and line.

    Examples:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "one.jsonl")
    >>> with open(path, "w") as file:
    ...     _ = file.write('{"src": ["un", "##like", "ly"], "tgt": "odd"}')
    >>> for record in load_pairs(path).as_numpy_iterator():
    ...     print(record["encoder_text"], record["decoder_text"])
    b'unlike ly' b'odd'

    Question generation:

    >>> path = os.path.join(folder.name, "one.json")
    >>> with open(path, "w") as file:
    ...     _ = file.write('''{"data": [{"paragraphs": [{
    ...         "context": "A fox ran.", "qas": [{
    ...             "id": "1", "question": "Who ran?",
    ...             "answers": [{"text": "fox", "answer_start": 2}]}]}]}]}''')
    >>> for record in load_pairs(path).as_numpy_iterator():
    ...     print(record["encoder_text"], record["decoder_text"])
    b'A fox ran. | fox' b'Who ran?'

    Reference:
        Bao et al., 2020, section 3.4 (summaries, question generation).
    """

    def load(one):
        if has_questions(one):
            return _pairs_of_questions(one, load_questions(one, split))
        scheme, name = split_scheme(one)
        if scheme == "tfds":
            return _load_tfds(one, name, split)
        if scheme == "docstrings":
            return _load_docstrings(one, name, split)
        return take_split(one, load_files(name, "pairs"), split)

    return load_each(source, split, load)


def _pairs_of_questions(source, questions):
    def is_answered(record):
        return tf.size(record["answer_texts"]) > 0

    def count(counts, record):
        return counts + tf.cast(tf.stack([True, is_answered(record)]), tf.int64)

    def to_pair(record):
        return {
            "encoder_text": tf.strings.join(
                [record["context"], record["answer_texts"][0]],
                separator=ANSWER_SEPARATOR,
            ),
            "decoder_text": record["question"],
        }

    counts = questions.reduce(tf.zeros([2], tf.int64), count)
    total, answered = counts.numpy().tolist()
    if not answered:
        raise ValueError(
            f"{source} has no question that its passage answers: there is no "
            "answer to ask for"
        )
    if answered < total:
        warnings.warn(
            f"{source}: {total - answered:,} of {total:,} questions have no "
            "answer in their passage and are left out",
            stacklevel=2,
        )
        questions = questions.filter(is_answered)
    pairs = questions.map(to_pair)
    return pairs.apply(tf.data.experimental.assert_cardinality(answered))


def _load_docstrings(source, name, split):
    if name not in _DOCSTRINGS:
        raise ValueError(
            f"{source!r} holds no pairs. Of the embedded corpus, pairs are "
            f"{', '.join(f'docstrings:{name}' for name in _DOCSTRINGS)} and "
            "docstrings:questions"
        )
    return _DOCSTRINGS[name](split or "train")


def _load_tfds(source, place, split):
    name, named = split_place(place)
    builder = open_builder(name)
    keys = find_text_keys(name, builder)
    chosen, is_whole = choose_split(name, builder, named, split)
    dataset = read_examples(name, builder, chosen, keys).map(
        lambda example: {
            "encoder_text": example[keys[0]],
            "decoder_text": example[keys[1]],
        }
    )
    return dataset if is_whole else take_split(source, dataset, split)


def find_text_keys(name, builder):
    """The features that hold the source and the target of a dataset.

    Args:
        name: string. The dataset, as `tfds.load` takes it.
        builder: its builder.

    Returns:
        A tuple of two strings, the dataset's own supervised keys.

    Raises:
        ValueError: if it has none, or they are not two texts.

    Example:

    >>> find_text_keys("xsum", open_builder("xsum"))
    ('document', 'summary')
    """
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items())
    keys = builder.info.supervised_keys
    if (
        not keys
        or len(keys) != 2
        or not all(
            isinstance(features.get(key), tfds.features.Text) for key in keys
        )
    ):
        raise ValueError(
            f"tfds:{name} is no dataset of pairs of texts: its supervised keys "
            f"must be two texts, as those of xsum are. It has {keys}; write "
            "what you want of it to a .tsv or .jsonl file"
        )
    return tuple(keys)
