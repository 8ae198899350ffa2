"""The grammar of data arguments: from what a user names to a dataset.

| source | documents | pairs |
|---|---|---|
| `PATH.txt` | separated by empty lines | |
| `PATH.jsonl` | `{"text": ...}` a line | `{"src": ..., "tgt": ...}` a line |
| `PATH.tsv` | one column | two columns |
| `tfds:NAME/CONFIG:SPLIT` | examples with a text | |
| `docstrings:` | docstrings | |
| `docstrings:arguments` | | descriptions and names of arguments |
| `docstrings:summaries` | | bodies and summary lines of docstrings |

A path may hold `*`, `?`, `[...]` and `**`; what it matches is read in sorted
order. Texts under `src`, `tgt` and `text` are strings or lists of WordPieces,
which are joined. TSV files have no header and no quotes. Empty lines between
records, a byte order mark and Windows line ends are accepted everywhere.

Corpora of TensorFlow Datasets must be prepared (`tfds build NAME`); the split
may be a slice (`train[:10%]`), and is `train` if none is named.

Files are read as they are consumed, so that memory does not grow with them.
Before that, each is read through once (see `reading.check_file`), so that what
is wrong with a file is said before training starts and not in its third hour.
"""

import os
import re

import tensorflow as tf

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import files
from unilmv2_tf.datasets import reading
from unilmv2_tf.datasets import tfds_texts
from unilmv2_tf.datasets.docstring_pairs import SPLITS

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_SCHEMES = ("docstrings", "tfds")
_BUCKETS = 1_000_000
# What decides where a document goes.
HASHED_BYTES = 65536
_DOCSTRINGS = {
    "documents": {"": docstrings.documents},
    "pairs": {
        "arguments": docstrings.argument_pairs,
        "summaries": docstrings.summary_pairs,
    },
}


def load_documents(source, split=None):
    """Texts for pre-training, from files or from the embedded corpus.

    Args:
        source: string, path or a list of them. `PATH.txt`, `PATH.jsonl`,
            `PATH.tsv` (globs are accepted), `tfds:NAME/CONFIG:SPLIT` or
            `docstrings:`. Several sources are read one after the other.
        split: string. `"train"` or `"validation"`. Of files and corpora of
            TFDS, `hold_out` makes one. Defaults to `None`: all of them, and
            the training split of the embedded corpus.

    Returns:
        A `tf.data.Dataset` of `{"text": scalar string}`. Its length is known
        unless a file was split.

    Raises:
        FileNotFoundError: if nothing has that name.
        IsADirectoryError: if a folder has that name.
        PermissionError: if a file may not be read.
        ValueError: if the source is of an unknown kind, a file is empty, is
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
    return _load(source, split, "documents")


def load_pairs(source, split=None):
    """Pairs of texts for sequence-to-sequence training and evaluation.

    Args:
        source: string, path or a list of them. `PATH.jsonl`, `PATH.tsv`
            (globs are accepted), `docstrings:arguments` or
            `docstrings:summaries`. Several sources are read one after the
            other.
        split: string. `"train"` or `"validation"`. Of files, which have no
            split of their own, `hold_out` makes one. Defaults to `None`: all
            of the files, and the training split of the embedded corpus.

    Returns:
        A `tf.data.Dataset` of `{"encoder_text": scalar string,
        "decoder_text": scalar string}`. Its length is known unless a file
        was split.

    Raises:
        FileNotFoundError: if nothing has that name.
        IsADirectoryError: if a folder has that name.
        PermissionError: if a file may not be read.
        ValueError: if the source is of an unknown kind, a file is empty, is
            not UTF-8 or has a wrong record; the message names file and line.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "one.jsonl")
    >>> with open(path, "w") as file:
    ...     _ = file.write('{"src": ["un", "##like", "ly"], "tgt": "odd"}')
    >>> for record in load_pairs(path).as_numpy_iterator():
    ...     print(record["encoder_text"], record["decoder_text"])
    b'unlike ly' b'odd'
    """
    return _load(source, split, "pairs")


def hold_out(dataset, share=0.05):
    """Splits a dataset in two, by the words of its records and not by chance.

    The first text of a record (`text`, `encoder_text`) decides where it goes:
    records with equal inputs stay together, and a record stays where it is
    when others are added to the file.

    Args:
        dataset: a `tf.data.Dataset` of dictionaries of scalar strings, as
            `load_documents` and `load_pairs` return.
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
    keys = list(dataset.element_spec)
    key = next((key for key in ("text", "encoder_text") if key in keys), None)
    if key is None:
        raise ValueError(
            "`dataset` must hold dictionaries with the key 'text' or "
            f"'encoder_text'. Received: dataset.element_spec={keys}"
        )

    def held(record):
        return is_held_out(record[key], share)

    parts = {
        "train": dataset.filter(lambda record: not held(record)),
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


def split_scheme(source):
    """Takes the scheme off a source.

    Args:
        source: string or path.

    Returns:
        A tuple of the scheme and what follows it; the scheme of a path is
        `""`.

    Raises:
        ValueError: if `source` is neither a string nor a path, or has an
            unknown scheme.

    Example:

    >>> split_scheme("tfds:wiki40b/en:train"), split_scheme("a.txt")
    (('tfds', 'wiki40b/en:train'), ('', 'a.txt'))
    """
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            "`source` must be a string, a path or a list of them. "
            f"Received: source={source!r} of type {type(source).__name__}"
        )
    source = os.fspath(source)
    scheme = _SCHEME.fullmatch(source)
    if not scheme or os.path.exists(source):
        return "", source
    if scheme[1] not in _SCHEMES:
        raise ValueError(
            f"{source!r} begins with the unknown scheme '{scheme[1]}:'. Known: "
            "docstrings: (documents), docstrings:arguments and "
            "docstrings:summaries (pairs), tfds:NAME/CONFIG:SPLIT (documents), "
            "and paths that end in .txt, .jsonl or .tsv"
        )
    return scheme[1], scheme[2]


def _load(source, split, kind):
    if split is not None and split not in SPLITS:
        raise ValueError(
            "`split` must be 'train', 'validation' or None. "
            f"Received: split={split!r}"
        )
    sources = list(source) if isinstance(source, list | tuple) else [source]
    if not sources:
        raise ValueError(
            "`source` must name at least one file or corpus. Received: "
            f"source={source!r}"
        )
    datasets = [_load_one(one, split, kind) for one in sources]
    joined = datasets[0]
    for dataset in datasets[1:]:
        joined = joined.concatenate(dataset)
    return joined


def _load_one(source, split, kind):
    scheme, name = split_scheme(source)
    if scheme == "docstrings":
        return _load_docstrings(source, name, split, kind)
    if scheme == "tfds":
        dataset = _load_tfds(source, name, kind)
    else:
        dataset = _load_files(name, kind)
    if split is None:
        return dataset
    try:
        return hold_out(dataset)[SPLITS.index(split)]
    except ValueError as error:
        raise ValueError(f"{source} cannot be split: {error}") from None


def _load_files(source, kind):
    paths = files.find_files(source)
    counts = [reading.check_file(path, kind) for path in paths]
    dataset = None
    for path in paths:
        records = reading.read_file(path, kind)
        dataset = records if dataset is None else dataset.concatenate(records)
    return dataset.apply(tf.data.experimental.assert_cardinality(sum(counts)))


def _load_tfds(source, name, kind):
    if kind != "documents":
        raise ValueError(
            f"{source!r} holds no {kind}: corpora of TFDS are read as documents"
        )
    joined = None
    for part in tfds_texts.find_slices(name):
        texts = tfds_texts.read_texts(part)
        joined = texts if joined is None else joined.concatenate(texts)
    return joined.map(lambda text: {"text": text})


def _load_docstrings(source, name, split, kind):
    load = _DOCSTRINGS[kind].get(name)
    if load is None:
        known = [f"docstrings:{name}" for name in _DOCSTRINGS[kind]]
        raise ValueError(
            f"{source!r} holds no {kind}. Of the embedded corpus, {kind} are "
            f"{' and '.join(known)}"
        )
    return load(split or "train")
