"""`model.safetensors`, and a checksum that it may hold."""

import functools
import hashlib
import os

import ml_dtypes
import numpy as np
from safetensors import SafetensorError
from safetensors import safe_open
from safetensors.numpy import save_file

from unilmv2_tf.checkpoints.lazy_array import LazyArray

# Under this key of its metadata a .safetensors file may hold its `digest`.
DIGEST_KEY = "unilmv2_tf.sha256"
_SAFETENSORS_DTYPES = {
    code: np.dtype(dtype)
    for code, dtype in {
        "F32": np.float32,
        "F16": np.float16,
        "BF16": ml_dtypes.bfloat16,
        "F64": np.float64,
        "I64": np.int64,
        "I32": np.int32,
        "I16": np.int16,
        "I8": np.int8,
        "U8": np.uint8,
        "BOOL": np.bool_,
    }.items()
}


def open_safetensors(path):
    """Lists the tensors of a `.safetensors` file, to be read when wanted.

    Args:
        path: path.

    Returns:
        A dict from names to `LazyArray`s.

    Raises:
        ValueError: if the file is damaged, a tensor has an unsupported dtype,
            or the tensors are not those whose `digest` the file notes.

    Example:

    >>> import pathlib
    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_file({"bias": np.zeros(3, "float32")}, path)
    >>> list(open_safetensors(path))
    ['bias']
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}
            described = {
                name: (part.get_shape(), part.get_dtype())
                for name, part in slices.items()
            }
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a readable .safetensors file ({error}). It is "
            "damaged or of another format; download it again."
        ) from error
    tensors = {}
    for name, (shape, code) in described.items():
        if code not in _SAFETENSORS_DTYPES:
            raise ValueError(
                f"{path}: tensor {name!r} has dtype {code}; accepted are "
                f"{sorted(_SAFETENSORS_DTYPES)}. Cast it and save it again."
            )
        tensors[name] = LazyArray(
            shape,
            _SAFETENSORS_DTYPES[code],
            functools.partial(_read, path, name),
            functools.partial(_stream, path, name, *shape[:1]),
        )
    _check_digest(path, tensors, metadata.get(DIGEST_KEY))
    return tensors


def _read(path, name):
    # The file is opened for each tensor, or else all of it would end up in
    # the memory of this process, page by page.
    with safe_open(path, framework="numpy") as file:
        return file.get_tensor(name)


def _stream(path, name, total_rows, num_rows):
    for start in range(0, total_rows, num_rows):
        stop = min(start + num_rows, total_rows)
        with safe_open(path, framework="numpy") as file:
            yield file.get_slice(name)[start:stop]


def _check_digest(path, tensors, expected):
    if expected is None:
        return
    found = digest(tensors)
    if found != expected:
        raise ValueError(
            f"{path}: the tensors are not those that were written: their "
            f"SHA-256 is {found[:12]}..., the file notes {expected[:12]}... "
            "It was damaged or edited; copy or download it again, or, if the "
            "change is wanted, save the tensors without the note "
            f"{DIGEST_KEY!r} in the file's metadata."
        )


def write_safetensors(path, tensors):
    """Writes a `.safetensors` file that notes the `digest` of its tensors.

    Args:
        path: str or path.
        tensors: dict from names to NumPy arrays.

    Example:

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/model.safetensors"
    >>> write_safetensors(path, {"bias": np.zeros(3, "float32")})
    >>> list(open_safetensors(path))
    ['bias']
    """
    # Others look for the format before they read.
    metadata = {"format": "pt", DIGEST_KEY: digest(tensors)}
    save_file(tensors, path, metadata)
    # The library makes files that nobody else may read.
    os.chmod(path, 0o644)


def digest(tensors):
    """The SHA-256 of named tensors, whatever the file format.

    Args:
        tensors: dict from names to NumPy arrays or `LazyArray`s.

    Returns:
        A string of 64 hexadecimal digits, a function of names, dtypes, shapes
        and values, and not of the order.

    Example:

    >>> digest({"bias": np.zeros(3, "float32")})[:12]
    '89ec6c3463a4'
    """
    result = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name]
        result.update(f"{name} {values.dtype} {values.shape} ".encode())
        parts = values.chunks() if isinstance(values, LazyArray) else (values,)
        for part in parts:
            part = np.asarray(part, order="C")
            result.update(part.reshape(-1).view(np.uint8))
    return result.hexdigest()
