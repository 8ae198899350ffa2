"""Checksums of files."""

import hashlib


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
