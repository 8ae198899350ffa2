"""Text, JSON Lines and TSV files: finding and opening them, lines, documents.

Files are UTF-8. Blank lines between records, byte order marks and Windows line
ends are accepted everywhere. Texts in JSON Lines are strings, or lists of
WordPieces, which become texts of `join_word_pieces`.
"""

import codecs
import contextlib
import glob
import json
import math
import os
import stat
import warnings

from unilmv2_tf.preprocessing.text_cleaning import is_blank
from unilmv2_tf.preprocessing.text_cleaning import join_word_pieces

EXTENSIONS = {
    "documents": (".txt", ".jsonl", ".tsv"),
    "pairs": (".jsonl", ".tsv"),
    "labeled examples": (".jsonl", ".tsv"),
    "questions": (".json",),
}
# ASCII white space, which is what `tf.strings.strip` removes.
SPACE = b" \t\n\r\x0b\x0c"
# Longer documents are read as several texts, so that memory stays bounded.
MAX_TEXT_BYTES = 1_000_000
_MISFITS_SHOWN = 5


def find_files(pattern):
    """Returns the sorted paths that a path or a glob (`**` too) matches."""
    path = os.path.expanduser(pattern)
    # A file whose name has brackets takes precedence over the pattern.
    if os.path.lexists(path):
        paths = [path]
    else:
        paths = sorted(glob.glob(path, recursive=True))
    if not paths:
        raise FileNotFoundError(
            f"No file matches {pattern!r} (looked in "
            f"{os.path.dirname(os.path.abspath(path))}). Check the spelling, "
            "or the pattern and its quotes"
        )
    for path in paths:
        if os.path.isdir(path):
            raise IsADirectoryError(
                f"{path} is a folder: name the files in it, for example "
                f"'{os.path.join(path, '*.txt')}'"
            )
    return paths


def open_file(path):
    """Opens a regular file for reading bytes."""
    try:
        # Checked before opening: opening a pipe without a writer blocks.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError(
                f"{path} is not a regular file. Files are read more than "
                "once: write the stream to a file first"
            )
        return open(path, "rb")
    except PermissionError:
        raise PermissionError(
            f"{path} may not be read by this user: change its permissions"
        ) from None
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} does not exist: it was removed, or it is a broken link"
        ) from None


def extension_of(path, kind):
    """Returns the lowercase extension, checked for a kind of `EXTENSIONS`."""
    extension = os.path.splitext(path)[1].lower()
    known = ", ".join(EXTENSIONS[kind])
    if extension in EXTENSIONS[kind]:
        return extension
    others = [kind for kind, known in EXTENSIONS.items() if extension in known]
    if others:
        raise ValueError(
            f"{path} cannot hold {kind}: {extension} files hold "
            f"{' or '.join(others)}. Give a file that ends in {known}"
        )
    raise ValueError(
        f"{path} has the unknown extension {extension!r}. Files of {kind} end "
        f"in {known}"
    )


def _is_blank_line(line):
    return not line.removeprefix(codecs.BOM_UTF8).strip(SPACE)


@contextlib.contextmanager
def errors_at(place):
    """Names a place, file and line, in the ValueErrors of a block."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def decode_line(line):
    """Decodes a line without its end and byte order mark."""
    line = line.rstrip(b"\r\n").removeprefix(codecs.BOM_UTF8)
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not valid UTF-8: byte {error.start + 1} of the line is "
            f"0x{line[error.start]:02x}. Convert the file, for example with: "
            "iconv -f LATIN1 -t UTF-8"
        ) from None


def numbered_lines(path):
    """Yields number and bytes of the lines that are not blank."""
    with open_file(path) as file:
        for number, line in enumerate(file, 1):
            if not _is_blank_line(line):
                yield number, line


def fitting_records(path, kind, records, parse, skip_misfits=False):
    """Parses records, pairs of a line number (or a place) and what `parse`
    takes. Those that raise a ValueError are named in one, or left out."""
    fitting, misfits = [], []
    for place, record in records:
        try:
            fitting.append((place, parse(record)))
        except ValueError as error:
            place = f":{place}" if isinstance(place, int) else f", {place}"
            misfits.append(f"{place}: {error}")
    total = len(fitting) + len(misfits)
    if misfits and not skip_misfits:
        if len(misfits) == 1:
            raise ValueError(f"{path}{misfits[0]}")
        shown = "; ".join(
            place[1:].strip() for place in misfits[:_MISFITS_SHOWN]
        )
        more = len(misfits) - _MISFITS_SHOWN
        raise ValueError(
            f"{path}: {len(misfits):,} of {total:,} {kind} do not fit: {shown}"
            + (f"; and {more:,} more" if more > 0 else "")
            + ". Correct them, or leave them out with --skip_misfits true"
        )
    if not fitting:
        raise ValueError(
            f"{path} is empty: it has no {kind}"
            + (f" that fit, of {total:,}" if total else "")
        )
    if misfits:
        warnings.warn(
            f"{path}: {len(misfits):,} of {total:,} {kind} do not fit and are "
            f"left out, the first: {misfits[0][1:].strip()}",
            stacklevel=2,
        )
    return fitting


def line_place(path, position):
    """Returns `path:line` for the line that holds a byte of a file."""
    number = 1
    with open(path, "rb") as file:
        while block := file.read(min(position, 2**20)):
            number += block.count(b"\n")
            position -= len(block)
    return f"{path}:{number}"


def _read_lines(path, start=0, end=None, max_bytes=-1):
    """Yields position and bytes of the lines that begin in a range."""
    with open_file(path) as file:
        file.seek(start)
        while (end is None or start < end) and (
            line := file.readline(max_bytes)
        ):
            if len(line) == max_bytes and not line.endswith(b"\n"):
                line = line[: _cut_place(line, 0, max_bytes)]
                file.seek(start + len(line))
            yield start, line
            start += len(line)


def _cut_place(text, begin, end):
    """Where to cut: before white space, or else between characters."""
    middle = (begin + end) // 2
    space = max(text.rfind(b" ", middle, end), text.rfind(b"\n", middle, end))
    while space > middle and text[space - 1] in SPACE:
        space -= 1
    if space > middle:
        return space
    # The first byte of a character of several bytes begins with 11, others
    # with 10.
    last = end - 1
    while text[last] & 0xC0 == 0x80 and last > end - 4:
        last -= 1
    return last if text[last] >= 0xC0 else end


def read_texts(path, start=0, end=None):
    """Yields the documents of a range of a file as `(bytes, is_start)`."""
    extension = extension_of(path, "documents")
    if extension == ".txt":
        yield from _read_paragraphs(path, start, end)
        return
    parse = _json_document if extension == ".jsonl" else _table_document
    for position, line in _read_lines(path, start, end):
        if not _is_blank_line(line):
            try:
                text = parse(decode_line(line))
            except ValueError as error:
                place = line_place(path, position)
                raise ValueError(f"{place}: {error}") from None
            yield from cut_text(text.encode("utf-8"))


def _json_document(line):
    example = '{"text": "..."}'
    record = parse_object(line, example)
    check_keys(record, ["text"], "documents", example)
    return text_of(record, "text")


def _table_document(line):
    columns = line.count("\t") + 1
    if columns > 1:
        raise ValueError(
            f"a TSV file of documents has 1 column, this line has {columns}"
        )
    return line


def read_documents(path):
    """Yields the documents of a file as whole texts, bytes."""
    document = []
    for text, is_start in read_texts(path):
        if is_start and document:
            yield b"".join(document)
            document = []
        document.append(text)
    if document:
        yield b"".join(document)


def cut_text(text):
    """Yields a text in pieces of at most `MAX_TEXT_BYTES`, with `is_start`."""
    place = 0
    while place < len(text):
        end = len(text)
        if end - place > MAX_TEXT_BYTES:
            end = _cut_place(text, place, place + MAX_TEXT_BYTES)
        yield text[place:end], place == 0
        place = end


def document_boundary(path, position, limit=math.inf):
    """Returns the first boundary of documents at or after a position > 0."""
    is_text = extension_of(path, "documents") == ".txt"
    is_line_start = False
    for start, line in _read_lines(
        path, position - 1, max_bytes=MAX_TEXT_BYTES
    ):
        position = start + len(line)
        is_line_end = line.endswith(b"\n")
        is_separator = is_line_start and _is_blank_line(line)
        is_boundary = is_separator or not is_text or position > limit
        if is_line_end and is_boundary:
            break
        is_line_start = is_line_end
    return position


def _read_paragraphs(path, start, end):
    """Yields the documents between blank lines of a text file."""
    lines, size, is_start, is_blank_line = [], 0, True, True
    for position, line in _read_lines(path, start, end, MAX_TEXT_BYTES):
        text = line.removeprefix(codecs.BOM_UTF8).strip(SPACE)
        if text:
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                with errors_at(line_place(path, position)):
                    decode_line(line)
            lines.append(text)
            size += len(text)
            is_blank_line = False
        is_line_end = line.endswith(b"\n")
        is_document_end = is_line_end and is_blank_line
        is_full = size >= MAX_TEXT_BYTES or not is_line_end
        if lines and (is_document_end or is_full):
            yield b"\n".join(lines), is_start
            lines, size, is_start = [], 0, False
        is_start = is_start or is_document_end
        is_blank_line = is_blank_line or is_line_end
    if lines:
        yield b"\n".join(lines), is_start


def check_columns(columns, num_optional=0):
    """Raises an error for an empty column after the first `num_optional`."""
    for number, column in enumerate(columns, 1):
        if number > num_optional and is_blank(column):
            raise ValueError(f"column {number} is empty")


def parse_object(line, example):
    """Parses a JSON object; `example` shows one in the error."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(
            f"a line must be an object such as {example}, this one is of type "
            f"{type(record).__name__}"
        )
    return record


def check_keys(record, keys, kind, example):
    """Raises an error for a missing key."""
    for key in keys:
        if key not in record:
            raise ValueError(
                f"the key {key!r} is missing. A line of {kind} is such as "
                f"{example}. Found: {', '.join(record) or 'no key'}"
            )


def text_of(record, key, may_be_empty=False):
    """Returns the text under a key of a JSON object, see `join_word_pieces`."""
    text = record[key]
    if isinstance(text, list) and all(isinstance(x, str) for x in text):
        text = join_word_pieces(text)
    if not isinstance(text, str):
        raise ValueError(
            f"{key!r} must be a string or a list of WordPieces, not "
            f"{json.dumps(text)[:60]}"
        )
    if is_blank(text) and not may_be_empty:
        raise ValueError(f"{key!r} is empty")
    check_encodable(text, key)
    return text


def check_encodable(text, key):
    """Raises an error for a string that UTF-8 cannot represent."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(
            f"{key!r} has half of a surrogate pair (\\ud800 to \\udfff), which "
            "is no character"
        ) from None
