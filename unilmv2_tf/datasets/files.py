"""Text, JSON-lines and TSV files as datasets of documents or pairs."""

import codecs
import glob
import json
import os
import stat

import numpy as np
import tensorflow as tf

# For each kind of record: the keys in JSON lines, and those of the dataset.
_JSON_KEYS = {"documents": ("text",), "pairs": ("src", "tgt")}
_KEYS = {"documents": ("text",), "pairs": ("encoder_text", "decoder_text")}
_EXTENSIONS = {
    "documents": (".txt", ".jsonl", ".tsv"),
    "pairs": (".jsonl", ".tsv"),
}
_LINES_AT_ONCE = 256
# The counts of the files that were checked, as long as they do not change.
_checked = {}
# What `tf.strings.strip` takes for white space: that of ASCII.
SPACE = b" \t\n\r\x0b\x0c"


def find_files(pattern):
    """The files that a path or a glob stands for, in sorted order.

    Args:
        pattern: string. `~` is the home; `**` matches folders of any depth.

    Returns:
        A list of paths, not empty.

    Raises:
        FileNotFoundError: if nothing matches.
        IsADirectoryError: if a folder is named.

    Example:

    >>> import os, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in ("b.txt", "a.txt"):
    ...     open(os.path.join(folder.name, name), "w").close()
    >>> paths = find_files(os.path.join(folder.name, "*.txt"))
    >>> [os.path.basename(path) for path in paths]
    ['a.txt', 'b.txt']
    """
    path = os.path.expanduser(pattern)
    # A name with brackets in it is a name first and a pattern second.
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


def join_word_pieces(text):
    """Joins a list of WordPieces to a text; a string stays as it is.

    Args:
        text: string or list of strings.

    Returns:
        A string. Tokenizing it anew gives the same pieces, with the
        vocabulary that they are from.

    Example:

    >>> join_word_pieces(["it", "un", "##fold", "##s", "."])
    'it unfolds .'
    """
    if isinstance(text, str):
        return text
    return " ".join(text).replace(" ##", "")


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
    extension = extension_of(path, kind)
    with open_file(path) as file:
        status = os.fstat(file.fileno())
        key = os.path.abspath(path), kind, status.st_size, status.st_mtime_ns
        if key not in _checked:
            lines = _lines(path, file)
            _checked[key] = _COUNTERS[extension](path, kind, lines)
    if not _checked[key]:
        raise ValueError(f"{path} is empty: it has no {kind}")
    return _checked[key]


def open_file(path):
    """Opens a regular file for reading bytes.

    Args:
        path: string.

    Returns:
        A binary file.

    Raises:
        FileNotFoundError: if there is no such file.
        PermissionError: if the file may not be read.
        ValueError: if it is not a regular file.
    """
    try:
        # Asked before opening: a pipe without a writer would never open.
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
            f"{path} leads nowhere: it was removed, or it is a broken link"
        ) from None


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


def extension_of(path, kind):
    """The extension of a file, lowercased.

    Args:
        path: string.
        kind: string. `"documents"` or `"pairs"`.

    Returns:
        A string, `".txt"`, `".jsonl"` or `".tsv"`.

    Raises:
        ValueError: if the extension is unknown, or not one for this kind.

    Example:

    >>> extension_of("news.TSV", "pairs")
    '.tsv'
    """
    extension = os.path.splitext(path)[1].lower()
    if extension in _EXTENSIONS[kind]:
        return extension
    known = ", ".join(_EXTENSIONS[kind])
    if extension in _READERS:
        raise ValueError(
            f"{path} cannot hold {kind}: {extension} files hold documents. "
            f"Give a file that ends in {known}"
        )
    raise ValueError(
        f"{path} has the unknown extension {extension!r}. Files of {kind} end "
        f"in {known}"
    )


def _lines(path, file):
    """Yields (number, line) with the line decoded, stripped at its end."""
    for number, line in enumerate(file, 1):
        line = line.rstrip(b"\r\n").removeprefix(codecs.BOM_UTF8)
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise utf8_error(f"{path}:{number}", error) from None


def utf8_error(place, error):
    """What is wrong with a line that is not UTF-8.

    Args:
        place: string. File and line.
        error: the `UnicodeDecodeError` of decoding the line.

    Returns:
        A ValueError.
    """
    return ValueError(
        f"{place}: not valid UTF-8: byte {error.start + 1} of the line is "
        f"0x{error.object[error.start]:02x}. Convert the file, for example "
        "with: iconv -f LATIN1 -t UTF-8"
    )


def is_blank_line(line):
    """Whether a line of a file has nothing but white space.

    Args:
        line: bytes.

    Returns:
        A bool.

    Example:

    >>> is_blank_line(b" \\t\\r\\n"), is_blank_line(b".")
    (True, False)
    """
    return not line.removeprefix(codecs.BOM_UTF8).strip(SPACE)


def _is_blank(line):
    return not line.strip(SPACE.decode("ascii"))


def _count_txt(path, kind, lines):
    count, inside = 0, False
    for _, line in lines:
        if _is_blank(line):
            inside = False
        elif not inside:
            inside = True
            count += 1
    return count


def _count_jsonl(path, kind, lines):
    count = 0
    for number, line in lines:
        if not _is_blank(line):
            parse_json(line, kind, f"{path}:{number}")
            count += 1
    return count


def _count_tsv(path, kind, lines):
    count = 0
    for number, line in lines:
        if not _is_blank(line):
            parse_tsv(line, kind, f"{path}:{number}")
            count += 1
    return count


def parse_tsv(line, kind, place):
    """The columns of one line of TSV.

    Args:
        line: string.
        kind: string. `"documents"` or `"pairs"`.
        place: string. File and line, for the error.

    Returns:
        A list of strings.

    Raises:
        ValueError: if there are too few or too many columns, or empty ones.

    Example:

    >>> parse_tsv("one\\ttwo", "pairs", "a.tsv:1")
    ['one', 'two']
    """
    columns = line.split("\t")
    wanted = len(_KEYS[kind])
    if len(columns) != wanted:
        raise ValueError(
            f"{place}: a TSV file of {kind} has {wanted} "
            f"column{'s' if wanted > 1 else ''}, this line has "
            f"{len(columns)}"
        )
    for position, column in enumerate(columns, 1):
        if _is_blank(column):
            raise ValueError(f"{place}: column {position} is empty")
    return columns


def parse_json(line, kind, place):
    """The texts of one line of JSON.

    Args:
        line: string.
        kind: string. `"documents"` or `"pairs"`.
        place: string. File and line, for the error.

    Returns:
        A list of strings.

    Raises:
        ValueError: if the line is not JSON, or lacks a text.

    Example:

    >>> parse_json('{"text": ["un", "##like", "ly"]}', "documents", "a:1")
    ['unlike ly']
    """
    keys = _JSON_KEYS[kind]
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: not valid JSON: {error}") from None
    example = "{" + ", ".join(f'"{key}": "..."' for key in keys) + "}"
    if not isinstance(record, dict):
        raise ValueError(
            f"{place}: a line must be an object such as {example}, this one "
            f"is of type {type(record).__name__}"
        )
    texts = []
    for key in keys:
        if key not in record:
            raise ValueError(
                f"{place}: the key {key!r} is missing. A line of {kind} is "
                f"such as {example}. Found: {', '.join(record) or 'no key'}"
            )
        value = record[key]
        if not isinstance(value, str) and not (
            isinstance(value, list)
            and all(isinstance(piece, str) for piece in value)
        ):
            raise ValueError(
                f"{place}: {key!r} must be a string or a list of WordPieces, "
                f"not {json.dumps(value)[:60]}"
            )
        text = join_word_pieces(value)
        if _is_blank(text):
            raise ValueError(f"{place}: {key!r} is empty")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(
                f"{place}: {key!r} has half of a surrogate pair (\\ud800 to "
                "\\udfff), which is no character"
            ) from None
        texts.append(text)
    return texts


def _without_mark(lines):
    # Files that were concatenated have byte order marks in their middle.
    mark = codecs.BOM_UTF8.decode("utf-8")
    return tf.strings.regex_replace(lines, f"^{mark}", "")


def _batches_of_full_lines(path):
    def keep_full(lines):
        lines = _without_mark(lines)
        full = tf.strings.length(tf.strings.strip(lines)) > 0
        return tf.boolean_mask(lines, full)

    return tf.data.TextLineDataset(path).batch(_LINES_AT_ONCE).map(keep_full)


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
    keys = _KEYS[kind]

    def parse(lines):
        rows = [parse_json(line.decode("utf-8"), kind, path) for line in lines]
        texts = [text.encode("utf-8") for row in rows for text in row]
        return np.array(texts, object).reshape(len(rows), len(keys))

    def to_record(lines):
        columns = tf.numpy_function(parse, [lines], tf.string, stateful=False)
        columns.set_shape((None, len(keys)))
        return dict(zip(keys, tf.unstack(columns, axis=1)))

    return _batches_of_full_lines(path).map(to_record).unbatch()


def _read_tsv(path, kind):
    keys = _KEYS[kind]

    def to_record(lines):
        columns = tf.strings.split(lines, "\t").to_tensor(
            shape=(None, len(keys))
        )
        return dict(zip(keys, tf.unstack(columns, axis=1)))

    return _batches_of_full_lines(path).map(to_record).unbatch()


_COUNTERS = {".txt": _count_txt, ".jsonl": _count_jsonl, ".tsv": _count_tsv}
_READERS = {".txt": _read_txt, ".jsonl": _read_jsonl, ".tsv": _read_tsv}
