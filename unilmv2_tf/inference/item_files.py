"""Items in, lines out: files that an interrupted run resumes, and streams.

An item is a dict, made of one line of the input, or of one question of SQuAD's
JSON.
"""

import contextlib
import hashlib
import json
import os
import select
import sys

from unilmv2_tf.datasets.record_files import COLUMN_NAMES
from unilmv2_tf.datasets.record_files import check_quotes
from unilmv2_tf.datasets.squad_files import read_squad_file
from unilmv2_tf.datasets.text_files import decode_line
from unilmv2_tf.datasets.text_files import find_files
from unilmv2_tf.datasets.text_files import fitting_records
from unilmv2_tf.datasets.text_files import open_file
from unilmv2_tf.datasets.text_files import parse_object
from unilmv2_tf.datasets.text_files import text_of
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.run_settings import changed_settings

# Stands for stdin or stdout where a file is expected.
STREAM = "-"
# A stream that delivers nothing for so long is waiting for its results.
PAUSE_SECONDS = 0.05
_READ_BYTES = 2**16


class ItemParser:
    """Makes items of the lines of a file or a stream.

    Args:
        columns: tuples of keys, the alternatives for what an item has. Of
            `src` the first column of TSV is taken.
        extension: `".txt"`, `".tsv"` or `".jsonl"`.
        may_be_empty: whether texts may be empty.
    """

    def __init__(self, columns, extension, may_be_empty):
        self.columns, self.extension = columns, extension
        self.may_be_empty = may_be_empty
        self.keys = None

    def __call__(self, line):
        line = decode_line(line)
        if self.extension == ".jsonl":
            item, keys = self._from_json(line)
        else:
            values = line.split("\t") if self.extension == ".tsv" else [line]
            if self.columns == (("src",),):
                values = values[:1]
            keys = self._keys_of_tsv(values)
            item = dict(zip(keys, values))
            names = {value.strip().lower() for value in values}
            is_first = self.extension == ".tsv" and self.keys is None
            if is_first and names <= COLUMN_NAMES:
                raise ValueError(
                    "this looks like a header, and files of texts have none. "
                    "Remove it, for example with: tail -n +2"
                )
        for key in keys:
            text_of(item, key, self.may_be_empty)
        if self.keys not in (None, keys):
            raise ValueError(
                f"all lines must have the same texts. This one has "
                f"{' and '.join(keys)}, the first one {' and '.join(self.keys)}"
            )
        self.keys = keys
        return item

    def _from_json(self, line):
        examples = [
            "{" + ", ".join(f'"{key}": "..."' for key in keys) + "}"
            for keys in self.columns
        ]
        item = parse_object(line, " or ".join(examples))
        for keys in self.columns:
            if set(keys) <= item.keys():
                return item, keys
        missing = next(key for key in self.columns[0] if key not in item)
        raise ValueError(
            f"the key {missing!r} is missing: a line is such as "
            f"{' or '.join(examples)}. Found: {', '.join(item) or 'no key'}"
        )

    def _keys_of_tsv(self, values):
        for keys in self.columns:
            if len(keys) == len(values):
                return keys
        known = [f"{len(keys)} ({', '.join(keys)})" for keys in self.columns]
        raise ValueError(
            f"the number of columns must be {' or '.join(known)}, this line "
            f"has {len(values)}. Remove the others, for example with: cut -f1"
        )


def read_items(path, columns, may_be_empty=False, skip_misfits=False):
    """Reads the items of a file, see `ItemParser`, or of SQuAD's JSON.

    Returns the checksum of the file and the list of items. JSON objects keep
    their other keys.
    """
    paths = find_files(path)
    if len(paths) > 1:
        raise ValueError(
            f"`input` must name one file. Received: {path}, which matches "
            f"{len(paths)}. Join them, for example with cat"
        )
    (path,) = paths
    known = [".txt"] if len(columns[0]) == 1 else [".json"]
    known += [".jsonl", ".tsv"]
    extension = os.path.splitext(path)[1].lower()
    if extension not in known:
        raise ValueError(
            f"`input` must end in {', '.join(known)}, or be - for stdin. "
            f"Received: input={path}"
        )
    with open_file(path) as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        lines = [
            (number, line)
            for number, line in enumerate(file, 1)
            if extension != ".jsonl" or line.strip()
        ]
    if extension == ".json":
        records = read_squad_file(path, False, skip_misfits)
        names = ("id", *columns[0])
        return checksum, [dict(zip(names, record)) for record in records]
    if extension == ".tsv":
        check_quotes(path, "Write it as JSON lines, or without quotes")
    parse = ItemParser(columns, extension, may_be_empty)
    items = fitting_records(path, "lines", lines, parse, skip_misfits)
    return checksum, [item for _, item in items]


def item_text(item, key):
    """The text of an item, of WordPieces one of `join_word_pieces`."""
    return text_of(item, key, may_be_empty=True)


def json_line(record):
    """A record as a line of JSON Lines."""
    line = json.dumps(record, ensure_ascii=False) + "\n"
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair under a key that is not read.
        line = json.dumps(record) + "\n"
    return line


def stream_items(descriptor, chunk_size, parse, skip_misfits=False):
    """Yields the lines of a pipe or terminal, in chunks of what has arrived.

    >>> reader, writer = os.pipe()
    >>> os.write(writer, b"one\\ntwo\\nthr")
    11
    >>> chunks = stream_items(reader, 9, lambda line: line.decode())
    >>> next(chunks)
    ['one', 'two']
    >>> os.close(writer)
    >>> next(chunks)
    ['thr']
    """
    items, number, rest, is_open = [], 0, b"", True
    while is_open:
        if items and not select.select([descriptor], [], [], PAUSE_SECONDS)[0]:
            yield items
            items = []
        data = os.read(descriptor, _READ_BYTES)
        is_open = bool(data)
        *lines, rest = (rest + data).split(b"\n")
        if rest and not is_open:
            lines.append(rest)
        for line in lines:
            number += 1
            try:
                items.append(parse(line))
            except ValueError as error:
                misfit = f"stdin:{number}: {error}"
                if skip_misfits:
                    print(f"skipped: {misfit}", file=sys.stderr)
                    continue
                # The lines before a wrong one still get their results.
                if items:
                    yield items
                raise ValueError(misfit) from None
            if len(items) == chunk_size:
                yield items
                items = []
    if items:
        yield items


def check_output(path, extensions, overwrite):
    """Checks that results can be written to a file."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"`output` must be a file. Received: {path}")
    if os.path.splitext(path)[1].lower() not in extensions:
        raise ValueError(
            f"`output` must end in {' or '.join(extensions)}, or be - for "
            f"stdout. Received: output={path}"
        )
    if os.path.exists(path) and not overwrite:
        raise ValueError(
            f"`output` exists. Received: output={path}. Choose another, or "
            "replace it with --overwrite true"
        )


class StdoutWriter:
    """Writes text to stdout at once, until the reader closes it."""

    num_done = 0
    resume_hint = ""

    def __init__(self):
        # Progress bars replace `sys.stdout` later.
        self._file = sys.stdout

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not BrokenPipeError:
            return False
        # Python would write the rest, and fail, at its exit.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._file.fileno())
        return True

    def write(self, text):
        self._file.write(text)
        self._file.flush()


class ResumableWriter:
    """Writes a line for each item to a file that appears when it is complete.

    Until then the lines are in `PATH.part`, and `PATH.part.json` has the
    settings that determine the results. If both exist, `num_done` items are
    done already. Finished items are kept in multiples of `chunk_size`, since
    random samplers depend on the items computed together. A stream, with
    `num_items` `None`, cannot be resumed.
    """

    resume_hint = "; they are kept, and the same command resumes after them"

    def __init__(self, path, settings, num_items, chunk_size, overwrite):
        self.path = path
        self._part, self._settings = f"{path}.part", f"{path}.part.json"
        self.num_done = 0
        if os.path.exists(self._part) and not overwrite:
            self._check_resumable(settings, num_items)
            self.num_done = self._keep_whole_chunks(num_items, chunk_size)
        else:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._part)
            write_text(self._settings, json.dumps(settings, indent=2) + "\n")
        self._file = open(self._part, "a", encoding="utf-8", newline="\n")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self._file.close()
        if kind is None:
            os.replace(self._part, self.path)
            os.remove(self._settings)

    def write(self, text):
        self._file.write(text)
        self._file.flush()

    def _check_resumable(self, settings, num_items):
        if num_items is None:
            fault = "results of an earlier run, and a stream cannot be resumed"
        elif not os.path.exists(self._settings):
            fault = (
                f"results, but {self._settings}, which records their settings, "
                "is missing"
            )
        elif changed := changed_settings(self._settings, settings):
            fault = (
                "results of a run with other settings, started with "
                f"{', '.join(changed)}"
            )
        else:
            return
        raise ValueError(
            f"{self._part} holds {fault}. Received: output={self.path}. Repeat "
            "the earlier command, choose another `output`, or start again with "
            "--overwrite true"
        )

    def _keep_whole_chunks(self, num_items, chunk_size):
        with open(self._part, "rb") as file:
            lines = [line for line in file if line.endswith(b"\n")]
        num_done = len(lines)
        if num_done < num_items:
            num_done -= num_done % chunk_size
        os.truncate(self._part, sum(map(len, lines[:num_done])))
        return num_done
