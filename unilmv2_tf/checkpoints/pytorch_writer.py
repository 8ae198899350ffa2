"""`pytorch_model.bin` written with the standard library and NumPy."""

import pickle
import zipfile

import numpy as np

_STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
_FOLDER = "pytorch_model"
_START = pickle.PROTO + b"\x02"
# PyTorch maps storages into memory, and wants them to begin so.
_ALIGNMENT = 64


def _plain(value):
    """The operations that push a number, a string or a tuple of numbers."""
    return pickle.dumps(value, protocol=2)[len(_START) : -len(pickle.STOP)]


def _global(module, name):
    # By hand: a pickler writes no name that it cannot import.
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _row_major_strides(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def _tensor(name, key, values):
    dtype = str(values.dtype)
    if dtype not in _STORAGES:
        raise ValueError(
            f"PyTorch has no dtype {dtype}, that of {name!r}. Cast it to one "
            f"of {', '.join(_STORAGES)}."
        )
    shape = tuple(int(size) for size in values.shape)
    storage = (
        _plain("storage")
        + _global("torch", _STORAGES[dtype])
        + b"".join(map(_plain, (str(key), "cpu", int(values.size))))
    )
    no_hooks = (
        _global("collections", "OrderedDict")
        + pickle.EMPTY_TUPLE
        + pickle.REDUCE
    )
    return (
        _global("torch._utils", "_rebuild_tensor_v2")
        + pickle.MARK
        + (pickle.MARK + storage + pickle.TUPLE + pickle.BINPERSID)
        + b"".join(map(_plain, (0, shape, _row_major_strides(shape), False)))
        + no_hooks
        + pickle.TUPLE
        + pickle.REDUCE
    )


def _pickled(tensors):
    entries = b"".join(
        _plain(name) + _tensor(name, key, values)
        for key, (name, values) in enumerate(tensors.items())
    )
    return (
        _START
        + (pickle.EMPTY_DICT + pickle.MARK + entries + pickle.SETITEMS)
        + pickle.STOP
    )


def _write_aligned(archive, file, name, content):
    member = zipfile.ZipInfo(name)
    header = 30 + len(name)
    # The extra field: two bytes of identifier, two of length, padding.
    padding = -(file.tell() + header + 4) % _ALIGNMENT
    member.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
    archive.writestr(member, content)


def write_pytorch_file(path, tensors):
    """Writes tensors as `torch.save` of PyTorch 1.6 or newer does.

    `torch.load(path, weights_only=True)` reads it as a dictionary of tensors.
    PyTorch is not needed to write it.

    Args:
        path: str or path. The file.
        tensors: dict from names to NumPy arrays of a dtype that PyTorch has.

    Raises:
        ValueError: if a dtype is not one of PyTorch's.

    Example:

    >>> import tempfile
    >>> from unilmv2_tf.checkpoints.pytorch_file import read_pytorch_file
    >>> path = tempfile.mkdtemp() + "/pytorch_model.bin"
    >>> write_pytorch_file(path, {"bias": np.zeros(3, "float32")})
    >>> read_pytorch_file(path)
    {'bias': array([0., 0., 0.], dtype=float32)}
    """
    pickled = _pickled(tensors)
    with (
        open(path, "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        archive.writestr(f"{_FOLDER}/data.pkl", pickled)
        archive.writestr(f"{_FOLDER}/byteorder", "little")
        for key, values in enumerate(tensors.values()):
            content = np.ascontiguousarray(values)
            if content.dtype.byteorder == ">":
                content = content.astype(content.dtype.newbyteorder("<"))
            _write_aligned(
                archive,
                file,
                f"{_FOLDER}/data/{key}",
                content.reshape(-1).view(np.uint8).tobytes(),
            )
        archive.writestr(f"{_FOLDER}/version", "3\n")
