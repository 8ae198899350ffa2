"""Folders in the layout of TensorFlow Serving: `NAME/1`, `NAME/2`, ..."""

import contextlib
import errno
import os
import shutil
import uuid


def list_versions(path):
    """Lists the version numbers in a folder.

    Args:
        path: str or path. The folder above the versions.

    Returns:
        A sorted list of ints; empty if there is no such folder.

    Example:

    >>> list_versions("no/such/folder")
    []
    """
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return []
    # What else Python takes for digits, a server does not.
    return sorted(int(n) for n in names if n.isascii() and n.isdigit())


def newest_version(path):
    """Finds the SavedModel that a server would load.

    Args:
        path: str or path. A SavedModel, or the folder above its versions.

    Returns:
        The path of the SavedModel, a string.

    Raises:
        FileNotFoundError: if there is none.

    Example:

    >>> newest_version("no/such/folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: `folder` must be a SavedModel or the folder above its...
    """
    path = os.fspath(path)
    candidates = [path]
    if os.path.isdir(path):
        versions = list_versions(path)
        candidates += [os.path.join(path, str(v)) for v in versions[-1:]]
    for candidate in candidates:
        if os.path.isfile(os.path.join(candidate, "saved_model.pb")):
            return candidate
    raise FileNotFoundError(
        "`folder` must be a SavedModel or the folder above its versions. "
        f"Received: folder={path}, where there is no saved_model.pb. Write one "
        "with `export_model(task, folder)`."
    )


def publish_version(path, write, version=None):
    """Writes a version of a model, whole or not at all.

    The version is written beside the others under a name that is no number,
    which servers pass over, and then renamed. Whatever goes wrong before that
    leaves the versions as they were.

    Args:
        path: str or path. The folder above the versions; it is made if it does
            not exist.
        write: callable of one argument, the path of an empty folder, that
            fills it.
        version: int. Defaults to `None`: 1, or one more than the highest that
            there is.

    Returns:
        The path of the version, a string.

    Raises:
        ValueError: if `path` is no local folder above versions, or there is
            such a version already.
        NotADirectoryError: if `path` is a file or below a file.
        PermissionError: if `path` cannot be written.

    Example:

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     published = publish_version(folder, write=os.listdir)
    ...     os.path.basename(published), os.listdir(folder)
    ('1', ['1'])
    """
    path = os.fspath(path)
    _check_path(path)
    if version is not None:
        _check_version(path, version)
    is_new = not os.path.isdir(path)
    temporary = os.path.join(path, f"unfinished-{uuid.uuid4().hex}")
    try:
        _make_folder(path, temporary)
        write(temporary)
        return _rename(path, temporary, version)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_new:
            with contextlib.suppress(OSError):
                os.rmdir(path)
        raise


def _check_path(path):
    if "://" in path:
        raise ValueError(
            "`path` must be a local folder: elsewhere a version cannot appear "
            f"at once. Received: path={path}. Export to a local folder and "
            "copy the version from there."
        )
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise ValueError(
            "`path` must be the folder above the versions, but it holds a "
            f"SavedModel itself. Received: path={path}. Pass "
            f"{os.path.dirname(os.path.abspath(path))!r} for the next version, "
            "or a new folder."
        )


def _make_folder(path, temporary):
    try:
        os.makedirs(path, exist_ok=True)
        os.mkdir(temporary)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            "`path` must be a folder, or a name that is free. Received: "
            f"path={path}, which is a file or below a file. Choose another."
        ) from error
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise PermissionError(
            f"`path` must be a folder that can be written. Received: "
            f"path={path} ({error.strerror}). Choose another, or change its "
            "permissions."
        ) from error


def _check_version(path, version):
    if version < 1:
        raise ValueError(
            f"`version` must be at least 1. Received: version={version}"
        )
    if version in list_versions(path):
        raise ValueError(
            "`version` must be a new one: what a server may have loaded is "
            f"never changed. Received: version={version}, and {path} has "
            f"{', '.join(map(str, list_versions(path)))}. Leave it out for the "
            "next one."
        )


def _rename(path, temporary, number):
    while True:
        versions = list_versions(path)
        next_number = versions[-1] + 1 if versions else 1
        version = os.path.join(path, str(number or next_number))
        try:
            os.rename(temporary, version)
            return version
        except OSError as error:
            # Another export has just taken the number.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if number is not None:
                _check_version(path, number)
                raise
