"""Pairs and labeled examples in TSV and JSON Lines files, as columns.

Labels are classes or values, in a file either the ones or the others. In JSON
Lines, strings and integers are classes and numbers with a point are values. In
TSV, labels are values if all are numbers and at least one has a point or an
exponent. Where all values are 0.0 and 1.0 they are classes. A `task` decides
otherwise.
"""

import collections
import contextlib
import csv
import io
import itertools
import json
import re
import sys
import warnings

import numpy as np

from unilmv2_tf.datasets.text_files import SPACE
from unilmv2_tf.datasets.text_files import check_columns
from unilmv2_tf.datasets.text_files import check_encodable
from unilmv2_tf.datasets.text_files import check_keys
from unilmv2_tf.datasets.text_files import decode_line
from unilmv2_tf.datasets.text_files import errors_at
from unilmv2_tf.datasets.text_files import extension_of
from unilmv2_tf.datasets.text_files import fitting_records
from unilmv2_tf.datasets.text_files import numbered_lines
from unilmv2_tf.datasets.text_files import open_file
from unilmv2_tf.datasets.text_files import parse_object
from unilmv2_tf.datasets.text_files import text_of

_LABELED = "labeled examples"
TEXT_KEYS = {1: ("text",), 2: ("text_a", "text_b")}
_EXAMPLES = {
    "pairs": '{"src": "...", "tgt": "..."}',
    1: '{"text": "...", "label": "..."}',
    2: '{"text_a": "...", "text_b": "...", "label": "..."}',
}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(
    r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|inf|infinity)",
    re.IGNORECASE,
)
_LARGEST = float(np.finfo(np.float32).max)
# Names of columns, which may be texts as well: all of a line must be such.
COLUMN_NAMES = frozenset(
    """abstract answer article body category class content context dialogue
    document gold_label headline highlights hypothesis id idx index input
    inputs label labels output outputs premise query question rating response
    review score sentence sentence1 sentence2 sentiment source src summary
    target targets text text_a text_b texts tgt title""".split()
)
_ID = re.compile(r"\S*[0-9]\S*")
_FEW_WORDS = 2
# A field in quotes with doubled quotes inside: no other format has that.
_ESCAPED = re.compile(
    r'(?:^|\t)"(?:[^"\t\n]|"")*""(?:[^"\t\n]|"")*"(?=\t|\r?$)', re.MULTILINE
)


def read_pairs_file(path, quoting=None, skip_misfits=False):
    """Reads the columns `encoder_text` and `decoder_text`, lists of strings."""

    def from_columns(columns):
        if len(columns) != 2:
            raise ValueError(
                f"a TSV file of pairs has 2 columns, this line has "
                f"{len(columns)}"
            )
        # Generating a target from an empty source is a valid task.
        check_columns(columns, num_optional=1)
        return columns

    def from_object(record):
        check_keys(record, ("src", "tgt"), "pairs", _EXAMPLES["pairs"])
        return text_of(record, "src", True), text_of(record, "tgt")

    pairs = _read(
        path, "pairs", from_columns, from_object, quoting, skip_misfits
    )
    sources, targets = zip(*(pair for _, pair in pairs))
    return {"encoder_text": list(sources), "decoder_text": list(targets)}


def read_labeled_file(path, task=None, quoting=None, skip_misfits=False):
    """Reads a file into a dict of columns, lists."""
    num_texts, are_lists = [], []

    def check(parsed):
        texts, label = parsed
        num_texts.append(len(texts))
        if len(texts) != num_texts[0]:
            raise ValueError(
                "a file holds texts or pairs, not both. This line has "
                f"{len(texts)}, the first one {num_texts[0]}"
            )
        are_lists.append(isinstance(label, list))
        if are_lists[-1] != are_lists[0]:
            raise ValueError("all lines of a file have 'labels', or none has")
        if isinstance(label, float) and not abs(label) <= _LARGEST:
            raise ValueError(
                f"the label {label} is not a finite number (of 32 bits). "
                "Leave the example out, or write its value"
            )
        if task == "regress" and not _is_number(label):
            raise ValueError(
                f"the label {label!r} is no number, which a regression needs"
            )
        return texts, label

    rows = _read(
        path,
        _LABELED,
        lambda columns: check(_labeled_columns(columns)),
        lambda record: check(_labeled_object(record)),
        quoting,
        skip_misfits,
    )
    texts = zip(*(texts for _, (texts, _) in rows))
    columns = dict(zip(TEXT_KEYS[num_texts[0]], map(list, texts)))
    labels = [(number, label) for number, (_, label) in rows]
    if isinstance(labels[0][1], list):
        return {**columns, "labels": [label for _, label in labels]}
    return {**columns, "label": _classes_or_values(path, labels, task)}


def _read(path, kind, from_columns, from_object, quoting, skip_misfits):
    """Reads pairs of line number and record, a function of a line's content."""
    if extension_of(path, kind) == ".jsonl":
        example = _EXAMPLES["pairs" if kind == "pairs" else 1]
        return fitting_records(
            path,
            kind,
            numbered_lines(path),
            lambda line: from_object(parse_object(decode_line(line), example)),
            skip_misfits,
        )
    if quoting is None:
        check_quotes(
            path,
            "Read it so with --quoting true; if the quotes belong to the "
            "texts, with --quoting false",
        )
    if quoting:
        lines, split = _quoted_lines(path), lambda columns: columns
    else:
        lines = numbered_lines(path)
        split = lambda line: decode_line(line).split("\t")  # noqa: E731
    rows = fitting_records(
        path, kind, lines, lambda line: from_columns(split(line)), skip_misfits
    )
    _check_first_line(path, kind, rows)
    return rows


def _quoted_lines(path):
    """Yields line number and columns of TSV with quotes."""
    lines = []
    with open_file(path) as file:
        for number, line in enumerate(file, 1):
            with errors_at(f"{path}:{number}"):
                lines.append(f"{decode_line(line)}\n")
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(lines, delimiter="\t", strict=True)
    number = 1
    try:
        for columns in reader:
            if any(map(str.strip, columns)):
                yield number, columns
            number = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}:{number}: not valid TSV with quotes: {error}. If quotes "
            "are characters like others, read it with --quoting false"
        ) from None


def check_quotes(path, remedy, max_bytes=-1):
    """Refuses TSV with quotes, as `csv` and pandas write it."""
    with open_file(path) as file:
        text = file.read(max_bytes).decode("utf-8", "replace")
    if not re.search(r'^"|\t"', text, re.MULTILINE):
        return
    lines = [line.split("\t") for line in text.split("\n") if line.strip()]
    is_quoted = _ESCAPED.search(text) or any(
        all(re.fullmatch('".*"\r?', field) for field in column)
        for column in zip(*(lines[1:] or lines))
    )
    if not is_quoted:
        file = io.StringIO(text, newline="")
        reader = csv.reader(file, delimiter="\t", strict=True)
        with contextlib.suppress(csv.Error):
            fields = itertools.chain.from_iterable(list(reader))
            is_quoted = any("\t" in x or "\n" in x for x in fields)
    if is_quoted:
        raise ValueError(
            f"{path} looks like TSV with quotes around texts, as csv and "
            f"pandas write it. {remedy}"
        )


def _check_first_line(path, kind, rows):
    """Refuses a header and a column of ids, or warns of what may be one."""
    fields = [
        row if kind == "pairs" else [*row[0], str(row[1])] for _, row in rows
    ]
    first, others = fields[0], fields[1:]
    place = f"{path}:{rows[0][0]}"
    names = [field.strip().lower() for field in first]
    is_header = all(name in COLUMN_NAMES for name in names)
    has_few_words = all(len(field.split()) <= _FEW_WORDS for field in first)
    num_longer = sum(
        any(len(text.split()) > _FEW_WORDS for text in row[:2])
        for row in others
    )
    stands_out = has_few_words and num_longer >= max(0.9 * len(others), 3)
    doubt = ""
    if kind == "pairs":
        if stands_out:
            doubt = f"it has few words ({' / '.join(first)}), the others have "
            doubt += "sentences"
    else:
        label, counts = first[-1], collections.Counter(x[-1] for x in others)
        is_header |= names[-1] in ("label", "labels") or names[0] == "text"
        if counts and label not in counts and max(counts.values()) > 1:
            doubt = f"it is the only one of class {label!r}"
            is_header |= stands_out
        if counts and not _is_number(label) and all(map(_is_number, counts)):
            doubt = f"its label is {label!r}, the others are numbers"
            # A mixture of classes and values is refused in any case.
            is_header |= stands_out or any(
                isinstance(label, float) for _, (_, label) in rows
            )
    # Texts of a pair, or the only one.
    num_texts = len(first) - (kind != "pairs")
    ids = [row[0] for row in others] if num_texts == 2 else []
    has_ids = len(set(ids)) == len(ids) > 2 and all(map(_ID.fullmatch, ids))
    if is_header:
        raise ValueError(
            f"{place}: this looks like a header, and files of {kind} have none"
            + (f": {doubt}" if doubt else "")
            + ". Remove it, for example with: tail -n +2. An example that only "
            "looks so can stand in any other line"
            + ". Column 1 looks like ids: cut -f2- removes it"
            * has_ids
        )
    if doubt:
        warnings.warn(
            f"{place}: {doubt}. If it is a header, remove it", stacklevel=2
        )
    if has_ids:
        warnings.warn(
            f"{path}: column 1 looks like ids, {ids[0]!r}, {ids[1]!r} and so "
            "on, and is read as texts. If it holds ids, remove it, for example "
            "with: cut -f2-",
            stacklevel=2,
        )


def _labeled_columns(columns):
    """Returns the texts and the label of a line of TSV."""
    if len(columns) not in (2, 3):
        raise ValueError(
            f"a TSV file of {_LABELED} has 2 columns (text, label) or 3 "
            f"(text_a, text_b, label), this line has {len(columns)}"
        )
    check_columns(columns)
    *texts, label = columns
    label = label.strip(SPACE.decode("ascii"))
    is_value = _is_number(label) and not _INTEGER.fullmatch(label)
    return texts, float(label) if is_value else label


def _labeled_object(record):
    """Returns the texts and the label, or labels, of a JSON object."""
    num_texts = 2 if "text_a" in record or "text_b" in record else 1
    if num_texts == 2 and "text" in record:
        raise ValueError(
            "a line holds 'text', or 'text_a' and 'text_b', not all of them"
        )
    keys = TEXT_KEYS[num_texts]
    if "labels" not in record:
        check_keys(record, (*keys, "label"), _LABELED, _EXAMPLES[num_texts])
        label = _json_label(record["label"], "label")
    elif "label" in record or not isinstance(record["labels"], list):
        raise ValueError(
            "'labels' must be a list of class names, as in "
            '{"text": "...", "labels": ["late", "loud"]}, without a \'label\' '
            f"beside it. Received: {json.dumps(record['labels'])[:60]}"
        )
    else:
        check_keys(record, keys, _LABELED, _EXAMPLES[num_texts])
        label = [_json_label(name, "labels") for name in record["labels"]]
        label = list(dict.fromkeys(map(_class_name, label)))
    return [text_of(record, key) for key in keys], label


def _json_label(label, key):
    if isinstance(label, str):
        label = label.strip(SPACE.decode("ascii"))
        if not label:
            raise ValueError(f"{key!r} is empty")
        check_encodable(label, key)
        return label
    if isinstance(label, int) and not isinstance(label, bool):
        return str(label)
    if isinstance(label, float):
        return label
    raise ValueError(
        f"{key!r} must be a string or an integer (a class) or a number with a "
        f"point (a value), not {json.dumps(label)[:60]}"
    )


def _classes_or_values(path, labels, task):
    """Returns labels as strings or as floats, as `task` or their kind says."""
    values = [label for _, label in labels if isinstance(label, float)]
    is_regression = task == "regress"
    if task is None and values:
        for number, label in labels:
            if not _is_number(label):
                raise ValueError(
                    f"{path}:{number}: this file has the class {label!r} as a "
                    f"label and the value {values[0]}: a file holds classes or "
                    "values, not both. Correct it, or give --task classify, "
                    "which makes classes of all"
                )
        is_regression = {float(label) for _, label in labels} - {0.0, 1.0}
        if not is_regression:
            warnings.warn(
                f"{path}: the labels 0.0 and 1.0 are taken for classes, 0 and "
                "1. For a regression give --task regress",
                stacklevel=2,
            )
    if is_regression:
        return [float(label) for _, label in labels]
    return [_class_name(label) for _, label in labels]


def _class_name(label):
    if isinstance(label, float):
        return str(int(label)) if label.is_integer() else repr(label)
    return label


def _is_number(label):
    return isinstance(label, float) or bool(
        isinstance(label, str) and _NUMBER.fullmatch(label)
    )


def sort_names(names):
    """Sorts class names: integers by their value, others by letters."""
    if all(_INTEGER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
