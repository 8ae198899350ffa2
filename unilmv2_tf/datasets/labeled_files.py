"""TSV and JSON Lines files of labeled texts and pairs of texts.

Labels are classes or values, in a file either the ones or the others. In JSON
Lines, strings and integers are classes and numbers with a point are values. In
TSV, labels are values if all are numbers and at least one has a point or an
exponent, and classes otherwise.
"""

import json
import math
import re

import numpy as np

from unilmv2_tf.datasets.text_files import SPACE
from unilmv2_tf.datasets.text_files import check_columns
from unilmv2_tf.datasets.text_files import check_encodable
from unilmv2_tf.datasets.text_files import check_keys
from unilmv2_tf.datasets.text_files import extension_of
from unilmv2_tf.datasets.text_files import parse_object
from unilmv2_tf.datasets.text_files import read_records
from unilmv2_tf.datasets.text_files import text_of

KIND = "labeled examples"
TEXT_KEYS = {1: ("text",), 2: ("text_a", "text_b")}
_EXAMPLES = {
    1: '{"text": "...", "label": "..."}',
    2: '{"text_a": "...", "text_b": "...", "label": "..."}',
}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LARGEST = float(np.finfo(np.float32).max)


# The types of a label in a file.
_NAME, _WHOLE, _VALUE = "name", "integer", "decimal number"


def read_labeled_file(path):
    """Reads a file into a dict of columns, lists.

    The columns are `text`, or `text_a` and `text_b`, strings, and `label`:
    strings (classes) or floats (values).
    """
    parse = {".tsv": _parse_tsv, ".jsonl": _parse_json}[
        extension_of(path, KIND)
    ]
    # Numbers have no type in TSV; an integer in JSON names a class.
    class_types = (_NAME,) if parse is _parse_tsv else (_NAME, _WHOLE)
    rows, first_of_type = [], {}

    def check(line):
        texts, label, label_type = parse(line)
        if not rows and _looks_like_header(texts, label):
            raise ValueError(
                f"this looks like a header, and files of {KIND} have none. "
                "Remove it, for example with: tail -n +2"
            )
        if rows and len(texts) != len(rows[0]) - 1:
            raise ValueError(
                "a file holds texts or pairs, not both. This line has "
                f"{len(texts)}, the first one {len(rows[0]) - 1}"
            )
        first_of_type.setdefault(label_type, label)
        for other in class_types:
            if other in first_of_type and _VALUE in first_of_type:
                raise ValueError(
                    f"this file has the class {first_of_type[other]!r} as a "
                    f"label and the value {first_of_type[_VALUE]}: a file "
                    "holds classes or values, not both. In JSON a value has "
                    "a point (3.0), and strings and integers are classes; in "
                    "TSV all values must be numbers"
                )
        return *texts, label

    for row in read_records(path, check):
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} is empty: it has no {KIND}")
    *texts, labels = map(list, zip(*rows))
    if _VALUE in first_of_type:
        labels = [float(label) for label in labels]
    return {**dict(zip(TEXT_KEYS[len(texts)], texts)), "label": labels}


def sort_names(names):
    """Sorts class names: integers by their value, others by letters."""
    if all(_INTEGER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _looks_like_header(texts, label):
    return label.lower() in ("label", "labels") or texts[0].lower() == "text"


def _parse_tsv(line):
    columns = line.split("\t")
    if len(columns) not in (2, 3):
        raise ValueError(
            f"a TSV file of {KIND} has 2 columns (text, label) or 3 (text_a, "
            f"text_b, label), this line has {len(columns)}"
        )
    check_columns(columns)
    *texts, label = columns
    label = label.strip(SPACE.decode("ascii"))
    if _INTEGER.fullmatch(label):
        return texts, label, _WHOLE
    if _DECIMAL.fullmatch(label) or _NOT_FINITE.fullmatch(label):
        _check_range(float(label))
        return texts, label, _VALUE
    return texts, label, _NAME


def _parse_json(line):
    record = parse_object(line, f"{_EXAMPLES[1]} or {_EXAMPLES[2]}")
    num_texts = 2 if "text_a" in record or "text_b" in record else 1
    if num_texts == 2 and "text" in record:
        raise ValueError(
            "a line holds 'text', or 'text_a' and 'text_b', not all of them"
        )
    keys = TEXT_KEYS[num_texts]
    check_keys(record, (*keys, "label"), KIND, _EXAMPLES[num_texts])
    texts = [text_of(record, key) for key in keys]
    label = record["label"]
    if isinstance(label, str):
        label = label.strip(SPACE.decode("ascii"))
        if not label:
            raise ValueError("'label' is empty")
        check_encodable(label, "label")
        return texts, label, _NAME
    if isinstance(label, int) and not isinstance(label, bool):
        return texts, str(label), _WHOLE
    if isinstance(label, float):
        _check_range(label)
        return texts, repr(label), _VALUE
    raise ValueError(
        "'label' must be a string or an integer (a class) or a number with a "
        f"point (a value), not {json.dumps(label)[:60]}"
    )


def _check_range(value):
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise ValueError(
            f"the label {value} is not a finite number (of 32 bits). Leave "
            "the example out, or write its value"
        )
