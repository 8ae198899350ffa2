"""Checksums of files and folders."""

import hashlib
import os


def file_checksum(path):
    """The SHA-256 of a file.

    Args:
        path: str or path.

    Returns:
        A string of 64 hexadecimal digits.

    Example:

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     file_checksum(file.name)[:12]
    'e3b0c44298fc'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_checksum(path):
    """The SHA-256 of the names and the contents of a folder's files.

    Args:
        path: str or path.

    Returns:
        A string of 64 hexadecimal digits.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     folder_checksum(folder)[:12]
    'e3b0c44298fc'
    """
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(folder, name)
            line = f"{os.path.relpath(file, path)} {file_checksum(file)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
