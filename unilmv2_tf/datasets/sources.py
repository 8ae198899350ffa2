"""The grammar of data arguments: from what a user names to a dataset.

| source | documents |
|---|---|
| `PATH.txt` | separated by empty lines |
| `PATH.jsonl` | `{"text": ...}` a line |
| `PATH.tsv` | one column |
| `tfds:NAME/CONFIG:SPLIT` | examples with a text |
| `docstrings:` | docstrings |

Pairs of texts, labelled texts and questions have their own tables: see
`pairs.py`, `labelled.py` and `questions.py`.

A path may hold `*`, `?`, `[...]` and `**`; what it matches is read in sorted
order. Texts are strings or lists of WordPieces, which are joined. TSV files
have no header and no quotes. Empty lines between records, a byte order mark and
Windows line ends are accepted everywhere.

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
from unilmv2_tf.datasets.holding_out import take_split

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_SCHEMES = ("docstrings", "tfds")


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

    def load(one):
        scheme, name = split_scheme(one)
        if scheme == "docstrings":
            return _load_docstrings(one, name, split)
        if scheme == "tfds":
            return take_split(one, _load_tfds(name), split)
        return take_split(one, load_files(name, "documents"), split)

    return load_each(source, split, load)


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
            "docstrings: and docstrings:KIND (the embedded corpus), "
            "tfds:NAME/CONFIG:SPLIT, and paths that end in .txt, .jsonl, .tsv "
            "or .json"
        )
    return scheme[1], scheme[2]


def load_each(source, split, load):
    """Loads sources and reads them one after the other.

    Args:
        source: string, path or a list of them.
        split: `"train"`, `"validation"` or `None`.
        load: callable. From one source to a dataset.

    Returns:
        A `tf.data.Dataset`.

    Raises:
        ValueError: if there is no source, no such split, or the sources'
            records are of different kinds.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(
            "`split` must be 'train', 'validation' or None. "
            f"Received: split={split!r}"
        )
    sources = list_sources(source)
    datasets = [load(one) for one in sources]
    joined = datasets[0]
    for one, dataset in zip(sources[1:], datasets[1:]):
        if dataset.element_spec != joined.element_spec:
            raise ValueError(
                "`source` must name sources of one kind of record. Received: "
                f"{sources[0]} with {_kind_of(joined)}, "
                f"{one} with {_kind_of(dataset)}"
            )
        joined = joined.concatenate(dataset)
    return joined


def list_sources(source):
    """One source or a list of them as a list.

    Args:
        source: string, path or a list of them.

    Returns:
        A list, not empty.

    Raises:
        ValueError: if the list is empty.

    Example:

    >>> list_sources("a.txt")
    ['a.txt']
    """
    sources = list(source) if isinstance(source, list | tuple) else [source]
    if not sources:
        raise ValueError(
            "`source` must name at least one file or corpus. Received: "
            f"source={source!r}"
        )
    return sources


def load_files(pattern, kind):
    """Reads the files that a path or a glob stands for, checked.

    Args:
        pattern: string.
        kind: string. `"documents"` or `"pairs"`.

    Returns:
        A `tf.data.Dataset` of known length.

    Raises:
        FileNotFoundError: if nothing matches.
        IsADirectoryError: if a folder has that name.
        PermissionError: if a file may not be read.
        ValueError: if a file is empty, is not UTF-8 or has a wrong record.
    """
    paths = files.find_files(pattern)
    counts = [reading.check_file(path, kind) for path in paths]
    dataset = None
    for path in paths:
        records = reading.read_file(path, kind)
        dataset = records if dataset is None else dataset.concatenate(records)
    return dataset.apply(tf.data.experimental.assert_cardinality(sum(counts)))


def _kind_of(dataset):
    """For an error: the names of a record's parts and the type of its label."""
    spec = dataset.element_spec
    record, *label = spec if isinstance(spec, tuple) else (spec,)
    kinds = [f"labels of type {spec.dtype.name}" for spec in label]
    return " and ".join([", ".join(record), *kinds])


def _load_tfds(name):
    joined = None
    for part in tfds_texts.find_slices(name):
        texts = tfds_texts.read_texts(part)
        joined = texts if joined is None else joined.concatenate(texts)
    return joined.map(lambda text: {"text": text})


def _load_docstrings(source, name, split):
    if name:
        raise ValueError(
            f"{source!r} holds no documents. Of the embedded corpus, documents "
            "are docstrings:"
        )
    return docstrings.documents(split or "train")
