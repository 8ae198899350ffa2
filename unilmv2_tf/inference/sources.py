"""The texts that are answered: lines of a file, or of a stream."""

import collections
import os
import select

from unilmv2_tf.datasets.files import decoded_lines
from unilmv2_tf.datasets.files import extension_of
from unilmv2_tf.datasets.files import find_files
from unilmv2_tf.datasets.files import is_blank
from unilmv2_tf.datasets.files import open_file
from unilmv2_tf.datasets.parsers import parse_object
from unilmv2_tf.datasets.parsers import text_of

# A pipe that gives nothing for so long has paused.
PAUSE_SECONDS = 0.05
_READ_BYTES = 2**16


def find_source_file(path):
    """The file of sources that a user names.

    Args:
        path: string.

    Returns:
        A path.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not one file of a known extension.
    """
    paths = find_files(path)
    if len(paths) > 1:
        raise ValueError(
            f"`input` must name one file. Received: {path}, which matches "
            f"{len(paths)}. Join them, for example with cat"
        )
    extension_of(paths[0], "documents")
    return paths[0]


def read_sources(path):
    """The sources of a file, one by one.

    A line of `.txt` is a text, empty or not; of `.tsv`, its first column is
    one. A line of `.jsonl` has it under `src`, as a string or a list of
    WordPieces; its blank lines are skipped.

    Args:
        path: string. What `find_source_file` returns.

    Yields:
        Dicts with `src`; those of `.jsonl` as they are in the file.

    Raises:
        ValueError: if a line is not UTF-8, or holds no source.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "sources.jsonl")
    >>> with open(path, "w") as file:
    ...     _ = file.write('{"id": 7, "src": "the fox"}')
    >>> list(read_sources(path))
    [{'id': 7, 'src': 'the fox'}]
    """
    parse = _PARSERS[extension_of(path, "documents")]
    with open_file(path) as file:
        for number, line in decoded_lines(path, file):
            record = parse(line, f"{path}:{number}")
            if record is not None:
                yield record


def read_lines(lines):
    """The sources of a stream, one by one: each of its lines.

    Args:
        lines: iterable of bytes.

    Yields:
        Dicts with `src`.

    Raises:
        ValueError: if a line is not UTF-8.

    Example:

    >>> list(read_lines([b"the fox\\n", b"\\n"]))
    [{'src': 'the fox'}, {'src': ''}]
    """
    for _, line in decoded_lines("stdin", lines):
        yield {"src": line}


def in_chunks(records, size, is_ready=lambda: True):
    """Groups records, and waits for none.

    Args:
        records: iterable.
        size: int. The most that are in one chunk.
        is_ready: callable that tells whether the next record is there already.
            Defaults to one that says yes.

    Yields:
        Lists, not empty.

    Example:

    >>> list(in_chunks("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    chunk = []
    try:
        for record in records:
            chunk.append(record)
            if len(chunk) == size or not is_ready():
                yield chunk
                chunk = []
    except ValueError:
        # What came before a wrong line is answered.
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


class StreamedLines:
    """The lines of a pipe or terminal, and whether the next one is there.

    Args:
        descriptor: int. The file descriptor; nothing else may read from it.

    Example:

    >>> import os
    >>> reader, writer = os.pipe()
    >>> lines = StreamedLines(reader)
    >>> os.write(writer, b"one\\ntwo\\nthr")
    11
    >>> [(next(iter(lines)), lines.is_ready()) for _ in range(2)]
    [(b'one\\n', True), (b'two\\n', False)]
    >>> os.close(writer)
    >>> list(lines)
    [b'thr']
    """

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self._lines = collections.deque()
        self._begun = b""
        self._has_ended = False

    def __iter__(self):
        while True:
            while not self._lines and not self._has_ended:
                self._read()
            if not self._lines:
                return
            yield self._lines.popleft()

    def is_ready(self):
        """Whether the next line, or the end, is there or comes at once.

        Returns:
            A bool.
        """
        while not self._lines and not self._has_ended:
            if not select.select([self.descriptor], [], [], PAUSE_SECONDS)[0]:
                return False
            self._read()
        return True

    def _read(self):
        data = os.read(self.descriptor, _READ_BYTES)
        *lines, self._begun = (self._begun + data).split(b"\n")
        self._lines.extend(line + b"\n" for line in lines)
        if not data:
            self._has_ended = True
            if self._begun:
                self._lines.append(self._begun)


def _parse_txt(line, place):
    return {"src": line}


def _parse_tsv(line, place):
    return {"src": line.partition("\t")[0]}


def _parse_jsonl(line, place):
    if is_blank(line):
        return None
    record = parse_object(line, '{"src": "..."}', place)
    if "src" not in record:
        raise ValueError(
            f"{place}: the key 'src' is missing. Found: "
            f"{', '.join(record) or 'no key'}"
        )
    source_text(record, place)
    return record


def source_text(record, place="source"):
    """The text of a source.

    Args:
        record: dict with `src`.
        place: string. File and line, for the error. Defaults to `"source"`.

    Returns:
        A string; WordPieces are joined.

    Raises:
        ValueError: if it is neither a string nor a list of WordPieces.

    Example:

    >>> source_text({"src": ["un", "##folds"]})
    'unfolds'
    """
    return text_of(record, "src", place, may_be_empty=True)


_PARSERS = {".txt": _parse_txt, ".tsv": _parse_tsv, ".jsonl": _parse_jsonl}
