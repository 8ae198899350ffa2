"""`pytorch_model.bin` read and written without PyTorch.

The file is a zip archive with a pickle, and a pickle is a program: it may
import any function and call it. The unpickler here resolves eleven names to
inert stand-ins and imports nothing, so no code of a file can run.
"""

import collections
import pathlib
import pickle
import zipfile
from typing import NamedTuple

import ml_dtypes  # noqa: F401 (it names bfloat16 for NumPy)
import numpy as np

_STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
# PyTorch before 1.6 began its files with this number, pickled.
_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LFS_START = b"version https://git-lfs"
_SAVE_AGAIN = (
    "With PyTorch installed, save it again: `torch.save(torch.load(path, "
    'map_location="cpu", weights_only=True), new_path)`.'
)


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


class _WeightsUnpickler(pickle.Unpickler):
    """Unpickles a state dict into `_Tensor`s; storages are read later."""

    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _STORAGES:
            # A string, because the operation BUILD cannot change one.
            return _STORAGES[name]
        raise ValueError(
            "A checkpoint may refer to tensors, their storages and "
            f"OrderedDict only. Received one that asks for `{module}.{name}`; "
            "it was refused and nothing was run. Save the weights alone, "
            "`torch.save(model.state_dict(), path)`, or as .safetensors."
        )

    def _rebuild_tensor(self, storage, offset, shape, strides, *_):
        return _Tensor(storage, offset, shape, strides)

    def persistent_load(self, pid):
        kind, dtype, key, _, _ = pid
        if kind != "storage" or dtype not in _STORAGES.values():
            raise ValueError(f"{pid!r:.200} describes no storage")
        return _Storage(dtype, key)


def _check_start(path):
    with path.open("rb") as file:
        start = file.read(len(_LFS_START))
    if start.startswith(b"PK\x03\x04"):
        return
    if not start:
        found, remedy = "an empty file", "Download it again."
    elif start.startswith(_LEGACY_START):
        found, remedy = "the format of PyTorch before 1.6", _SAVE_AGAIN
    elif start.startswith(b"\x80"):
        found, remedy = "a bare pickle, which is not read", _SAVE_AGAIN
    elif start.startswith(_LFS_START):
        found = "a Git LFS pointer instead of the file"
        remedy = "Fetch the file with `git lfs pull`."
    else:
        found = f"a file that begins with {start[:8]!r}"
        remedy = "Check the path, or download it again."
    raise ValueError(
        "A PyTorch file must be a zip archive (PyTorch 1.6 or newer). "
        f"Received: {found}. {remedy}"
    )


def _check_state_dict(content):
    if not isinstance(content, dict):
        raise ValueError(
            "A checkpoint must hold a dictionary from names to tensors. "
            f"Received: {type(content).__name__}. Save `model.state_dict()`."
        )
    for name, value in content.items():
        if not isinstance(value, _Tensor):
            kind = "dict" if isinstance(value, dict) else type(value).__name__
            raise ValueError(
                f"Every entry must be a tensor. Received: {kind} under "
                f"{name!r}. From a training checkpoint save just the "
                "dictionary of weights it contains, "
                '`torch.save(checkpoint["model"], path)`.'
            )


def _make_array(tensor, content):
    """A view of the bytes of a storage; NumPy checks its extent."""
    dtype = np.dtype(tensor.storage.dtype)
    return np.ndarray(
        tensor.shape,
        dtype,
        buffer=content,
        offset=tensor.offset * dtype.itemsize,
        strides=[step * dtype.itemsize for step in tensor.strides],
    )


def _read_archive(archive):
    members = archive.namelist()
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(
            "A PyTorch file must hold one member NAME/data.pkl. Received: "
            f"{len(pickles)} of them; this is another kind of zip archive."
        )
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in members:
        order = archive.read(f"{folder}byteorder")
        if order != b"little":
            raise ValueError(f"Byte order must be little. Received: {order}")
    with archive.open(pickles[0]) as file:
        content = _WeightsUnpickler(file).load()
    _check_state_dict(content)
    storages, arrays = {}, {}
    for name, tensor in content.items():
        try:
            key = tensor.storage.key
            if key not in storages:
                storages[key] = archive.read(f"{folder}data/{key}")
            arrays[name] = _make_array(tensor, storages[key])
        except Exception as error:
            raise ValueError(
                f"Tensor {name!r} cannot be read ({error}): the file is "
                "truncated or damaged. Download it again."
            ) from error
    return arrays


def read_pytorch_file(path):
    """Reads what `torch.save(model.state_dict(), path)` writes.

    Nothing in the file is executed. Tensors that share a storage share their
    memory, and are read-only.
    """
    path = pathlib.Path(path)
    try:
        _check_start(path)
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    # zipfile and pickle raise nearly any exception, depending on the damage.
    except Exception as error:
        raise ValueError(
            f"{path}: the archive is truncated or damaged "
            f"({type(error).__name__}: {error}). Download it again."
        ) from error


# === Writing ===

_FOLDER = "pytorch_model"
_START = pickle.PROTO + b"\x02"


def _plain(value):
    """The operations that push a number, a string or a tuple of numbers."""
    return pickle.dumps(value, protocol=2)[len(_START) : -len(pickle.STOP)]


def _global(module, name):
    # By hand: a pickler writes no name that it cannot import.
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _pickle_tensor(name, key, values):
    names = {dtype: storage for storage, dtype in _STORAGES.items()}
    dtype = str(values.dtype)
    if dtype not in names:
        raise ValueError(
            f"{name!r} must have a dtype of PyTorch to be written: one of "
            f"{', '.join(names)}. Received: {dtype}"
        )
    strides = [step // values.itemsize for step in values.strides]
    storage = (
        _plain("storage")
        + _global("torch", names[dtype])
        + b"".join(map(_plain, (str(key), "cpu", int(values.size))))
    )
    no_hooks = (
        _global("collections", "OrderedDict")
        + pickle.EMPTY_TUPLE
        + pickle.REDUCE
    )
    return (
        _plain(name)
        + _global("torch._utils", "_rebuild_tensor_v2")
        + pickle.MARK
        + (pickle.MARK + storage + pickle.TUPLE + pickle.BINPERSID)
        + b"".join(map(_plain, (0, values.shape, tuple(strides), False)))
        + no_hooks
        + pickle.TUPLE
        + pickle.REDUCE
    )


def write_pytorch_file(path, tensors):
    """Writes a dict of arrays as `torch.save` of PyTorch 1.6 or newer does.

    `torch.load(path, weights_only=True)` reads it.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/pytorch_model.bin"
    >>> write_pytorch_file(path, {"bias": np.zeros(3, "float32")})
    >>> read_pytorch_file(path)
    {'bias': array([0., 0., 0.], dtype=float32)}
    """
    tensors = {
        name: np.asarray(values, order="C") for name, values in tensors.items()
    }
    entries = b"".join(
        _pickle_tensor(name, key, values)
        for key, (name, values) in enumerate(tensors.items())
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(
            f"{_FOLDER}/data.pkl",
            _START
            + (pickle.EMPTY_DICT + pickle.MARK + entries + pickle.SETITEMS)
            + pickle.STOP,
        )
        archive.writestr(f"{_FOLDER}/byteorder", "little")
        for key, values in enumerate(tensors.values()):
            archive.writestr(f"{_FOLDER}/data/{key}", values.tobytes())
        archive.writestr(f"{_FOLDER}/version", "3\n")
