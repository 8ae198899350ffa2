"""Examples in memory, as columns, for fine-tuning and evaluation."""

import dataclasses
import hashlib
import re

import numpy as np

from unilmv2_tf.datasets import load_labeled
from unilmv2_tf.datasets import load_pairs
from unilmv2_tf.datasets import load_questions
from unilmv2_tf.preprocessing.text_cleaning import is_blank
from unilmv2_tf.preprocessing.text_cleaning import plain_text

_WORD_OR_SIGN = re.compile(rb"[A-Za-z\x80-\xff]+|[0-9]+|[^\sA-Za-z0-9]")


@dataclasses.dataclass
class Examples:
    """Columns of equal length; `num_skipped` records had no target."""

    columns: dict[str, np.ndarray]
    num_skipped: int = 0

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name):
        return self.columns[name]

    def take(self, places):
        """The examples at some indices."""
        columns = {name: x[places] for name, x in self.columns.items()}
        return Examples(columns, self.num_skipped)

    def spread(self, number):
        """A number of the examples, evenly spread; all if `None`."""
        if number is None or number >= len(self):
            return self
        return self.take(np.arange(number) * len(self) // number)

    def sample(self, number):
        """A random number of the examples, the same ones in every run."""
        if number is None or number >= len(self):
            return self
        return self.take(
            np.random.default_rng(0).permutation(len(self))[:number]
        )

    def parts(self, size=1024):
        """Yields consecutive parts of the examples."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))

    def fingerprint(self):
        """A hash of all values in their order: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for column in self.columns.values():
            for value in column.tolist():
                digest.update(repr(value).encode() + b"\n")
        return digest.hexdigest()[:16]


def read_labeled(source, split=None, **options):
    """Reads labeled texts: `text` or `text_a` and `text_b`, `label`, `id`.

    Labels are names, "" where a benchmark withholds them, lists of names, or
    floats.
    """
    dataset = load_labeled(source, split, with_ids=True, **options)
    batches = list(dataset.ragged_batch(4096).as_numpy_iterator())
    columns = {
        key: np.concatenate([x[key] for x, _ in batches])
        for key in batches[0][0]
    }
    if dataset.element_spec[1].shape.rank == 1:
        rows = [row.tolist() for _, labels in batches for row in labels]
        lists = [[name.decode("utf-8") for name in row] for row in rows]
        return Examples({**columns, "label": _object_array(lists)})
    labels = np.concatenate([label for _, label in batches])
    if labels.dtype == object:
        labels = np.array([label.decode("utf-8") for label in labels], object)
    return Examples({**columns, "label": labels})


def read_pairs(source, split=None, **options):
    """Reads pairs: `encoder_text` and `decoder_text`.

    Pairs without a target, as corpora of TFDS may have them, are left out.
    """
    dataset = load_pairs(source, split, **options)
    batches = list(dataset.batch(4096).as_numpy_iterator())
    columns = {
        key: np.concatenate([np.array([], object), *(b[key] for b in batches)])
        for key in ("encoder_text", "decoder_text")
    }
    targets = columns["decoder_text"]
    has_target = np.array([not is_blank(x) for x in decoded(targets)], bool)
    if not has_target.any():
        raise ValueError(
            f"{source} must have pairs with a target. Received: "
            f"{len(targets):,} pairs, none with a target"
        )
    num_skipped = int((~has_target).sum())
    return Examples(columns, num_skipped).take(has_target)


def read_questions(source, split=None, **options):
    """Reads questions: `id`, `question`, `context` and their answers.

    `answer_texts` and `answer_starts` are lists, empty where the passage has
    no answer; starts are indices of characters.
    """
    names = ("id", "question", "context", "answer_texts", "answer_starts")
    columns = {name: [] for name in names}
    dataset = load_questions(source, split, **options)
    for record in dataset.as_numpy_iterator():
        for name in ("id", "question", "context"):
            columns[name].append(record[name].decode())
        texts = record["answer_texts"].tolist()
        columns["answer_texts"].append([text.decode() for text in texts])
        columns["answer_starts"].append(record["answer_starts"].tolist())
    return Examples({name: _object_array(x) for name, x in columns.items()})


def _object_array(values):
    return np.fromiter(values, object, len(values))


def has_label_lists(examples):
    """Whether a text may have any number of labels."""
    return isinstance(examples["label"][0], list)


def is_labeled(examples):
    """Whether all labels are known."""
    labels = examples["label"]
    if labels.dtype.kind == "f":
        return bool(np.isfinite(labels).all())
    return "" not in labels


def texts_of(examples):
    """The columns of labeled examples that a preprocessor takes."""
    return {
        key: column
        for key, column in examples.columns.items()
        if key.startswith("text")
    }


def input_texts(examples):
    """What a model is given, the texts of each example joined."""
    names = {"encoder_text", "question", "context", "text", "text_a", "text_b"}
    columns = [
        [
            x if isinstance(x, str) else x.decode("utf-8", "replace")
            for x in column
        ]
        for name, column in examples.columns.items()
        if name in names
    ]
    return list(map(" ".join, zip(*columns)))


def decoded(column):
    """Bytes as strings; corpora of TFDS promise nothing about encodings."""
    return [text.decode("utf-8", "replace") for text in column]


def readable(column):
    """Bytes as strings to be read or scored, WordPieces joined."""
    return list(map(plain_text, decoded(column)))


def evaluation_split(source):
    """The split of a source that is evaluated if none is named.

    `None` stands for all of a file, and for the split that a source names.

    >>> evaluation_split("tfds:glue/rte"), evaluation_split("reviews.tsv")
    ('validation', None)
    >>> evaluation_split("tfds:glue/mnli:validation_mismatched")
    """
    scheme, _, rest = str(source).partition(":")
    has_splits = scheme in ("docstrings", "tfds")
    return "validation" if has_splits and ":" not in rest else None


def approximate_lengths(texts):
    """The approximate number of tokens of texts, without a tokenizer.

    Counting words and signs predicts it better than bytes, and takes a
    fortieth of the time of tokenization.

    >>> approximate_lengths([b"Is it (1) or 22?", b""]).tolist()
    [8, 0]
    """
    return np.array([len(_WORD_OR_SIGN.findall(text)) for text in texts], int)
