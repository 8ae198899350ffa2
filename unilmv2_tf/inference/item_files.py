"""Items in, results out: files that an interrupted run resumes, and streams.

An item is a dict, made of one line of the input. A command reads items with
`read_items` or `stream_items`, opens a writer, and calls `process_items`.
"""

import contextlib
import hashlib
import io
import json
import os
import select
import sys

from unilmv2_tf.datasets.text_files import decode_line
from unilmv2_tf.datasets.text_files import decoded_lines
from unilmv2_tf.datasets.text_files import errors_at
from unilmv2_tf.datasets.text_files import extension_of
from unilmv2_tf.datasets.text_files import find_files
from unilmv2_tf.datasets.text_files import is_blank
from unilmv2_tf.datasets.text_files import open_file
from unilmv2_tf.datasets.text_files import parse_object
from unilmv2_tf.datasets.text_files import text_of
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.progress import Progress
from unilmv2_tf.run_settings import changed_settings

# Stands for stdin or stdout where a file is expected.
STREAM = "-"
OUTPUT_EXTENSIONS = (".txt", ".jsonl")
# A stream that delivers nothing for so long is waiting for its results.
PAUSE_SECONDS = 0.05
_READ_BYTES = 2**16


def read_items(path, key="src"):
    """Reads a file of texts: one a line (.txt), first column (.tsv), or `key`
    of JSON objects (.jsonl; a string or a list of WordPieces).

    Returns the checksum of the file, and the items: dicts with `key`, and with
    whatever else a JSON object holds.
    """
    paths = find_files(path)
    if len(paths) > 1:
        raise ValueError(
            f"`input` must name one file. Received: {path}, which matches "
            f"{len(paths)}. Join them, for example with cat"
        )
    extension = extension_of(paths[0], "documents")
    with open_file(paths[0]) as file:
        data = file.read()
    items = []
    for number, line in decoded_lines(paths[0], io.BytesIO(data)):
        if extension != ".jsonl":
            text = line.partition("\t")[0] if extension == ".tsv" else line
            items.append({key: text})
        elif not is_blank(line):
            with errors_at(f"{paths[0]}:{number}"):
                items.append(_json_item(line, key))
    return hashlib.sha256(data).hexdigest(), items


def _json_item(line, key):
    item = parse_object(line, f'{{"{key}": "..."}}')
    if key not in item:
        raise ValueError(
            f"the key {key!r} is missing. Found: {', '.join(item) or 'no key'}"
        )
    item_text(item, key)
    return item


def item_text(item, key="src"):
    """The text of an item; WordPieces are joined.

    >>> item_text({"src": ["un", "##folds"]})
    'unfolds'
    """
    return text_of(item, key, may_be_empty=True)


def stream_items(descriptor, chunk_size, key="src"):
    """Yields the lines of a pipe or terminal, in chunks of what has arrived.

    >>> reader, writer = os.pipe()
    >>> os.write(writer, b"one\\ntwo\\nthr")
    11
    >>> chunks = stream_items(reader, chunk_size=9)
    >>> next(chunks)
    [{'src': 'one'}, {'src': 'two'}]
    >>> os.close(writer)
    >>> next(chunks)
    [{'src': 'thr'}]
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
                text = decode_line(line)
            except ValueError as error:
                # The lines before a wrong one still get their results.
                if items:
                    yield items
                raise ValueError(f"stdin:{number}: {error}") from None
            items.append({key: text})
            if len(items) == chunk_size:
                yield items
                items = []
    if items:
        yield items


def check_output(path, overwrite):
    """Checks that results can be written to a file."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"`output` must be a file. Received: {path}")
    if os.path.splitext(path)[1].lower() not in OUTPUT_EXTENSIONS:
        raise ValueError(
            f"`output` must end in {' or '.join(OUTPUT_EXTENSIONS)}, or be - "
            f"for stdout. Received: output={path}"
        )
    if os.path.exists(path) and not overwrite:
        raise ValueError(
            f"`output` exists. Received: output={path}. Choose another, or "
            "replace it with --overwrite true"
        )


class StdoutWriter:
    """Writes results to stdout at once, until the reader closes it.

    `format_lines` makes text of an item and its result.
    """

    num_done = 0
    resume_hint = ""

    def __init__(self, format_lines):
        self.format_lines = format_lines
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

    def write(self, items, results):
        self._file.write("".join(map(self.format_lines, items, results)))
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

    def __init__(
        self, path, format_line, settings, num_items, chunk_size, overwrite
    ):
        self.path = path
        self.format_line = format_line
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

    def write(self, items, results):
        self._file.write("".join(map(self.format_line, items, results)))
        self._file.flush()

    def _check_resumable(self, settings, num_items):
        remedy = (
            "Delete them, choose another `output`, or start again with "
            "--overwrite true"
        )
        received = f"Received: output={self.path}"
        if num_items is None:
            raise ValueError(
                f"{self._part} holds results of an earlier run, and a stream "
                f"cannot be resumed. {received}. {remedy}"
            )
        if not os.path.exists(self._settings):
            raise ValueError(
                f"{self._part} holds results, but {self._settings}, which "
                f"records their settings, is missing. {received}. {remedy}"
            )
        changed = changed_settings(self._settings, settings)
        if changed:
            raise ValueError(
                f"{self._part} holds results of a run with other settings. "
                f"{received}, started with {', '.join(changed)}. Repeat these "
                f"to resume. {remedy}"
            )

    def _keep_whole_chunks(self, num_items, chunk_size):
        with open(self._part, "rb") as file:
            lines = [line for line in file if line.endswith(b"\n")]
        num_done = len(lines)
        if num_done < num_items:
            num_done -= num_done % chunk_size
        os.truncate(self._part, sum(map(len, lines[:num_done])))
        return num_done


def process_items(chunks, process, writer, num_items, label):
    """Writes `process(items, index of the first)` for each chunk of items.

    Chunks that an interrupted run has finished are skipped. Returns the number
    of items.
    """
    index = 0
    is_file = isinstance(writer, ResumableWriter)
    progress = Progress(
        label,
        num_items,
        start_step=writer.num_done,
        unit="texts",
        step_unit="texts",
        # A bar would disturb results on the same terminal.
        is_shown=is_file or (sys.stderr.isatty() and not sys.stdout.isatty()),
    )
    try:
        with progress:
            for items in chunks:
                if index >= writer.num_done:
                    writer.write(items, process(items, index))
                    progress.advance(steps=len(items))
                index += len(items)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted after {index} results{writer.resume_hint}"
        ) from None
    return index
