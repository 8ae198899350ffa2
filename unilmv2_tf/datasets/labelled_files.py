"""TSV and JSON-lines files of labelled texts and pairs."""

import dataclasses
import json
import math
import re

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets.files import SPACE
from unilmv2_tf.datasets.files import extension_of
from unilmv2_tf.datasets.files import is_blank
from unilmv2_tf.datasets.parsers import check_columns
from unilmv2_tf.datasets.parsers import check_encodable
from unilmv2_tf.datasets.parsers import parse_object
from unilmv2_tf.datasets.parsers import text_of
from unilmv2_tf.datasets.reading import batches_of_full_lines
from unilmv2_tf.datasets.reading import check_once

KIND = "labelled examples"
TEXT_KEYS = {1: ("text",), 2: ("text_a", "text_b")}
_EXAMPLE = '{"text": "...", "label": "..."}'
_PAIR_EXAMPLE = '{"text_a": "...", "text_b": "...", "label": "..."}'
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LARGEST = float(np.finfo(np.float32).max)
# What a label is: a class's name, an integer, a number with a point.
_NAME, _WHOLE, _VALUE = "name", "integer", "decimal number"


@dataclasses.dataclass(frozen=True)
class LabelledFile:
    """What one pass through a file of labelled examples shows.

    Args:
        count: int. The number of examples.
        num_texts: int. 1 for texts, 2 for pairs.
        label_names: tuple of strings, sorted (integers by their value). `None`
            if the labels are numbers to be predicted.
    """

    count: int
    num_texts: int
    label_names: tuple | None


def check_labelled_file(path):
    """Reads a file through once and raises an error for what is wrong in it.

    Args:
        path: string. A file that ends in .tsv or .jsonl.

    Returns:
        A `LabelledFile`.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if the file may not be read.
        ValueError: if the extension is unknown, or the file is empty, is not
            UTF-8, has a wrong record or mixes texts and pairs, or classes and
            values; the message names file and line.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "reviews.tsv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("A delight.\\tgood\\nI left early.\\tbad\\n")
    >>> check_labelled_file(path)
    LabelledFile(count=2, num_texts=1, label_names=('bad', 'good'))
    """
    extension_of(path, KIND)
    found = check_once(path, KIND, _scan)
    if not found.count:
        raise ValueError(f"{path} is empty: it has no {KIND}")
    return found


def read_labelled_file(path):
    """A checked file as a dataset.

    Args:
        path: string. A file that `check_labelled_file` accepts.

    Returns:
        A `tf.data.Dataset` of pairs: a dictionary of scalar strings `text`, or
        `text_a` and `text_b`; a scalar label, a string or float32.
    """
    found = check_labelled_file(path)
    keys = TEXT_KEYS[found.num_texts]
    num_columns = len(keys) + 1
    split = {".tsv": _split_tsv, ".jsonl": _split_jsonl}
    columns_of = split[extension_of(path, KIND)]

    def to_records(lines):
        *texts, labels = tf.unstack(columns_of(lines, num_columns), axis=1)
        if found.label_names is None:
            labels = tf.strings.to_number(labels)
        return dict(zip(keys, texts)), labels

    return (
        batches_of_full_lines(path)
        .map(to_records)
        .unbatch()
        .apply(tf.data.experimental.assert_cardinality(found.count))
    )


def sort_names(names):
    """Class names in canonical order: integers by value, others by letters.

    Args:
        names: strings.

    Returns:
        A tuple of strings.

    Example:

    >>> sort_names({"10", "9"}), sort_names({"b", "10", "a"})
    (('9', '10'), ('10', 'a', 'b'))
    """
    if all(_INTEGER.fullmatch(name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _scan(path, kind, lines):
    parse = {".tsv": _parse_tsv, ".jsonl": _parse_json}[
        extension_of(path, kind)
    ]
    count, num_texts, names = 0, None, set()
    seen = {}
    for number, line in lines:
        if is_blank(line):
            continue
        place = f"{path}:{number}"
        texts, label, label_kind = parse(line, place)
        if not count:
            _check_no_header(texts, label, place)
        num_texts = num_texts or len(texts)
        if len(texts) != num_texts:
            raise ValueError(
                f"{place}: a file holds texts or pairs, not both. This line "
                f"has {len(texts)}, the first one {num_texts}"
            )
        seen.setdefault(label_kind, (place, label))
        _check_kinds(seen, is_typed=path.lower().endswith(".jsonl"))
        names.add(label)
        count += 1
    is_regression = _VALUE in seen
    return LabelledFile(
        count, num_texts or 1, None if is_regression else sort_names(names)
    )


def _check_no_header(texts, label, place):
    if label.lower() in ("label", "labels") or texts[0].lower() == "text":
        raise ValueError(
            f"{place}: this looks like a header, and files of {KIND} have "
            "none. Take it off, for example with: tail -n +2"
        )


def _check_kinds(seen, is_typed):
    """Numbers in TSV have no type; in JSON an integer names a class."""
    others = (_NAME, _WHOLE) if is_typed else (_NAME,)
    for other in others:
        if other in seen and _VALUE in seen:
            (first, class_name), (second, value) = seen[other], seen[_VALUE]
            raise ValueError(
                f"{first} has the class {class_name!r} as its label, {second} "
                f"the value {value}: a file holds classes or values, not "
                "both. In JSON a value has a point (3.0), and strings and "
                "integers are classes; in TSV all values must be numbers"
            )


def _parse_tsv(line, place):
    columns = line.split("\t")
    if len(columns) not in (2, 3):
        raise ValueError(
            f"{place}: a TSV file of {KIND} has 2 columns (text, label) or 3 "
            f"(text_a, text_b, label), this line has {len(columns)}"
        )
    check_columns(columns, place)
    *texts, label = columns
    label = label.strip(SPACE.decode("ascii"))
    if _NO_NUMBER.fullmatch(label):
        raise _not_finite(label, place)
    if _INTEGER.fullmatch(label):
        return texts, label, _WHOLE
    if _DECIMAL.fullmatch(label):
        _check_range(float(label), place)
        return texts, label, _VALUE
    return texts, label, _NAME


def _parse_json(line, place):
    record = parse_object(line, f"{_EXAMPLE} or {_PAIR_EXAMPLE}", place)
    is_pair = "text_a" in record or "text_b" in record
    keys = TEXT_KEYS[1 + is_pair]
    if is_pair and "text" in record:
        raise ValueError(
            f"{place}: a line holds 'text', or 'text_a' and 'text_b', not all "
            "of them"
        )
    for key in (*keys, "label"):
        if key not in record:
            raise ValueError(
                f"{place}: the key {key!r} is missing. A line of {KIND} is "
                f"such as {_PAIR_EXAMPLE if is_pair else _EXAMPLE}. Found: "
                f"{', '.join(record) or 'no key'}"
            )
    texts = [text_of(record, key, place) for key in keys]
    return texts, *_json_label(record["label"], place)


def _json_label(label, place):
    if isinstance(label, str):
        label = label.strip(SPACE.decode("ascii"))
        if not label:
            raise ValueError(f"{place}: 'label' is empty")
        check_encodable(label, "label", place)
        return label, _NAME
    if isinstance(label, int) and not isinstance(label, bool):
        return str(label), _WHOLE
    if isinstance(label, float):
        _check_range(label, place)
        return repr(label), _VALUE
    raise ValueError(
        f"{place}: 'label' must be a string or an integer (a class) or a "
        f"number with a point (a value), not {json.dumps(label)[:60]}"
    )


def _check_range(value, place):
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise _not_finite(value, place)


def _not_finite(label, place):
    return ValueError(
        f"{place}: the label {label} is not a finite number (of 32 bits). "
        "Leave the example out, or write its value"
    )


def _split_tsv(lines, num_columns):
    columns = tf.strings.split(lines, "\t").to_tensor(shape=(None, num_columns))
    texts, labels = columns[:, :-1], columns[:, -1:]
    return tf.concat([texts, tf.strings.strip(labels)], axis=1)


def _split_jsonl(lines, num_columns):
    def parse(lines):
        rows = []
        for line in lines:
            texts, label, _ = _parse_json(line.decode("utf-8"), "")
            rows += [value.encode("utf-8") for value in (*texts, label)]
        return np.array(rows, object).reshape(len(lines), num_columns)

    columns = tf.numpy_function(parse, [lines], tf.string, stateful=False)
    columns.set_shape((None, num_columns))
    return columns
