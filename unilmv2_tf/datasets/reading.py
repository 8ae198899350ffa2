"""Text, JSON-lines and TSV files as datasets of documents or pairs."""

import codecs
import os

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets.files import decoded_lines
from unilmv2_tf.datasets.files import extension_of
from unilmv2_tf.datasets.files import is_blank
from unilmv2_tf.datasets.files import open_file
from unilmv2_tf.datasets.parsers import KEYS
from unilmv2_tf.datasets.parsers import parse_json
from unilmv2_tf.datasets.parsers import parse_tsv

_LINES_AT_ONCE = 256
# What was learned of the files that were checked, as long as they stay as
# they are.
_checked = {}


def check_file(path, kind):
    """Reads a file through once and raises an error for what is wrong in it.

    The work of a streamed pass: UTF-8 is decoded, JSON is parsed, columns are
    counted, nothing is kept. Errors inside a dataset reach the user late and
    wrapped in TensorFlow's own; these come early and name file and line.

    Args:
        path: string.
        kind: string. `"documents"` or `"pairs"`.

    Returns:
        The number of records, at least 1.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if the file may not be read.
        ValueError: if the extension is unknown, or the file is empty, is not
            a regular one, is not UTF-8 or has a wrong record.
    """
    count = _COUNTERS[extension_of(path, kind)]
    counted = check_once(path, kind, count)
    if not counted:
        raise ValueError(f"{path} is empty: it has no {kind}")
    return counted


def check_once(path, kind, check):
    """What a check of a file's lines gives, remembered until the file changes.

    Args:
        path: string.
        kind: string. The kind of its records.
        check: callable of the path, the kind and pairs of number and line.

    Returns:
        What `check` returns.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if the file may not be read.
        ValueError: if it is not a regular one or not UTF-8, or `check` says
            so.
    """
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        key = os.path.abspath(path), kind, status.st_size, status.st_mtime_ns
        if key not in _checked:
            _checked[key] = check(path, kind, decoded_lines(path, file))
    return _checked[key]


def read_file(path, kind):
    """A checked file as a dataset.

    Reading is done by TensorFlow, line by line; the position of an iterator
    can be saved in a `tf.train.Checkpoint`.

    Args:
        path: string. A file that `check_file` accepts.
        kind: string. `"documents"` or `"pairs"`.

    Returns:
        A `tf.data.Dataset` of dictionaries of scalar strings, with the keys
        `text` or `encoder_text` and `decoder_text`.

    Raises:
        ValueError: if the extension is unknown.
    """
    return _READERS[extension_of(path, kind)](path, kind)


def batches_of_full_lines(path):
    """The lines of a file that are not blank.

    Args:
        path: string.

    Returns:
        A `tf.data.Dataset` of string tensors of shape `(lines,)`, of at most
        256 lines, perhaps of none.
    """

    def keep_full(lines):
        lines = _without_mark(lines)
        full = tf.strings.length(tf.strings.strip(lines)) > 0
        return tf.boolean_mask(lines, full)

    return tf.data.TextLineDataset(path).batch(_LINES_AT_ONCE).map(keep_full)


def _without_mark(lines):
    # Files that were concatenated have byte order marks in their middle.
    mark = codecs.BOM_UTF8.decode("utf-8")
    return tf.strings.regex_replace(lines, f"^{mark}", "")


def _count_txt(path, kind, lines):
    count, inside = 0, False
    for _, line in lines:
        if is_blank(line):
            inside = False
        elif not inside:
            inside = True
            count += 1
    return count


def _count_jsonl(path, kind, lines):
    count = 0
    for number, line in lines:
        if not is_blank(line):
            parse_json(line, kind, f"{path}:{number}")
            count += 1
    return count


def _count_tsv(path, kind, lines):
    count = 0
    for number, line in lines:
        if not is_blank(line):
            parse_tsv(line, kind, f"{path}:{number}")
            count += 1
    return count


def _read_txt(path, kind):
    # Empty lines at the end push the last document out of the scan.
    lines = tf.data.TextLineDataset(path).concatenate(
        tf.data.Dataset.from_tensor_slices(["", ""])
    )

    def cut(rest, lines):
        lines = tf.strings.strip(_without_mark(lines))
        lines = tf.strings.reduce_join(lines, separator="\n")
        pieces = tf.strings.split(rest + lines, "\n\n")
        return pieces[-1] + "\n", tf.strings.strip(pieces[:-1])

    return (
        lines.batch(_LINES_AT_ONCE)
        .scan(tf.constant(""), cut)
        .unbatch()
        .filter(lambda text: tf.strings.length(text) > 0)
        .map(lambda text: {"text": text})
    )


def _read_jsonl(path, kind):
    keys = KEYS[kind]

    def parse(lines):
        rows = [parse_json(line.decode("utf-8"), kind, path) for line in lines]
        texts = [text.encode("utf-8") for row in rows for text in row]
        return np.array(texts, object).reshape(len(rows), len(keys))

    def to_record(lines):
        columns = tf.numpy_function(parse, [lines], tf.string, stateful=False)
        columns.set_shape((None, len(keys)))
        return dict(zip(keys, tf.unstack(columns, axis=1)))

    return batches_of_full_lines(path).map(to_record).unbatch()


def _read_tsv(path, kind):
    keys = KEYS[kind]

    def to_record(lines):
        columns = tf.strings.split(lines, "\t").to_tensor(
            shape=(None, len(keys))
        )
        return dict(zip(keys, tf.unstack(columns, axis=1)))

    return batches_of_full_lines(path).map(to_record).unbatch()


_COUNTERS = {".txt": _count_txt, ".jsonl": _count_jsonl, ".tsv": _count_tsv}
_READERS = {".txt": _read_txt, ".jsonl": _read_jsonl, ".tsv": _read_tsv}
