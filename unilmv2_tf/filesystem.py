"""Files and folders that appear whole or not at all."""

import contextlib
import os
import shutil
import uuid


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path beside `path` that takes its place in the end.

    If the block fails, `path` is as it was before, and nothing is left over.

    Args:
        path: string or path. A file, or a folder, which is replaced as a
            whole.

    Yields:
        The temporary path, a string; nothing is there yet.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.filesystem import replacing
    >>> folder = tempfile.mkdtemp()
    >>> with replacing(os.path.join(folder, "a.txt")) as temporary:
    ...     with open(temporary, "w") as file:
    ...         _ = file.write("whole")
    >>> os.listdir(folder)
    ['a.txt']
    """
    path = os.fspath(path)
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        if os.path.isdir(temporary) and os.path.isdir(path):
            # A folder cannot be replaced in one step.
            old = f"{temporary}.old"
            os.rename(path, old)
            os.rename(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename == temporary:
            # The user knows the path that was asked for.
            error.filename = path
        if os.path.isdir(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
        elif os.path.exists(temporary):
            os.remove(temporary)
        raise


def write_text(path, text):
    """Writes a UTF-8 file, whole or not at all.

    Args:
        path: string or path.
        text: string.
    """
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="\n") as file,
    ):
        file.write(text)
