"""Finding and opening the files that a user names, and their lines."""

import codecs
import glob
import os
import stat

_EXTENSIONS = {
    "documents": (".txt", ".jsonl", ".tsv"),
    "pairs": (".jsonl", ".tsv"),
    "labelled examples": (".jsonl", ".tsv"),
    "questions": (".json",),
}
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


def extension_of(path, kind):
    """The extension of a file, lowercased.

    Args:
        path: string.
        kind: string. `"documents"`, `"pairs"`, `"labelled examples"` or
            `"questions"`.

    Returns:
        A string, for example `".tsv"`.

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
    others = [
        other for other, known in _EXTENSIONS.items() if extension in known
    ]
    if others:
        raise ValueError(
            f"{path} cannot hold {kind}: {extension} files hold "
            f"{' or '.join(others)}. Give a file that ends in {known}"
        )
    raise ValueError(
        f"{path} has the unknown extension {extension!r}. Files of {kind} end "
        f"in {known}"
    )


def decoded_lines(path, file):
    """The lines of a file, decoded and without their ends.

    Args:
        path: string, for the error.
        file: the file, opened for reading bytes.

    Yields:
        Pairs: the number of the line, from 1, and a string.

    Raises:
        ValueError: if a line is not UTF-8.

    Example:

    >>> import io
    >>> list(decoded_lines("a.txt", io.BytesIO(b"one\\r\\ntwo")))
    [(1, 'one'), (2, 'two')]
    """
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


def is_blank(text):
    """Whether a text has nothing but white space.

    Args:
        text: string.

    Returns:
        A bool.

    Example:

    >>> is_blank(" \\t"), is_blank("a")
    (True, False)
    """
    return not text.strip(SPACE.decode("ascii"))
