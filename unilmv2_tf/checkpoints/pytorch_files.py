"""`pytorch_model.bin` read and written without PyTorch.

The file is a zip archive with a pickle or, before PyTorch 1.6, a row of
pickles with raw numbers behind them. A pickle is a program: it may import any
function and call it. The unpickler here resolves a few names to inert
stand-ins and imports nothing, so no code of a file can run.
"""

import collections
import os
import pathlib
import pickle
import warnings
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
# The first two pickles of the format before PyTorch 1.6.
_OLD_FORMAT = [0x1950A86A20F9469CFC6C, 1001]
_LFS_START = b"version https://git-lfs"


class _Storage(NamedTuple):
    dtype: str
    key: str
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


# Python's own unpickler, because the one in C allocates as much memory as an
# index in a damaged file asks for.
class _WeightsUnpickler(pickle._Unpickler):
    """Unpickles a state dict into `_Tensor`s; storages are read later."""

    def __init__(self, file):
        super().__init__(file, encoding="utf-8")
        self.storages = {}

    def find_class(self, module, name):
        if module == "torch._utils":
            if name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
                return self._rebuild_tensor
            if name == "_rebuild_parameter":
                return self._rebuild_parameter
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
        storage, start = storage
        return _Tensor(storage, start + offset, shape, strides)

    def _rebuild_parameter(self, tensor, *_):
        return tensor

    def persistent_load(self, pid):
        kind, dtype, key, _, count, *view = pid
        storage = _Storage(dtype, key, count)
        if (
            (kind, type(key), type(count)) != ("storage", str, int)
            or dtype not in _STORAGES.values()
            or self.storages.setdefault(key, storage) != storage
        ):
            raise ValueError(f"{pid!r:.200} describes no storage")
        # Before PyTorch 0.4 a storage may be a part of another one.
        return storage, view[0][1] if view and view[0] else 0


def _state_dicts(content, where="", beside=()):
    """Yields where tensors are, the tensors, and what else is there."""
    tensors = {
        name: value
        for name, value in dict.items(content)
        if isinstance(value, _Tensor) and isinstance(name, str)
    }
    if tensors:
        yield where, tensors, [*beside, *(content.keys() - tensors.keys())]
    for name, value in dict.items(content):
        if isinstance(value, dict):
            others = [*beside, *(content.keys() - {name})]
            yield from _state_dicts(value, f"{where}[{name!r}]", others)


def _find_tensors(content):
    """The weights in a state dict, or in a training checkpoint around one."""
    found = [*_state_dicts(content)] if isinstance(content, dict) else []
    # An optimizer has tensors as well.
    models = [
        each for each in found if "word_embeddings.weight" in str([*each[1]])
    ]
    found = models or found
    if len(found) != 1:
        places = [where or "no key" for where, *_ in found[:8]]
        received = f"{len(found)} of them, under {', '.join(places)}"
        if not found:
            keys = [*content][:8] if isinstance(content, dict) else "no names"
            received = f"a {type(content).__name__} with {keys}"
        raise ValueError(
            "A checkpoint must hold one dictionary from names to tensors. "
            f"Received: {received}. With PyTorch save just that dictionary, "
            "`torch.save(model.state_dict(), path)`."
        )
    where, tensors, beside = found[0]
    if beside:
        more = ", ..." if len(beside) > 8 else ""
        warnings.warn(
            f"The file holds {len(tensors)} tensors, checkpoint{where}; beside "
            "them, and not read: "
            f"{', '.join(sorted(map(str, beside))[:8])}{more}",
            stacklevel=5,
        )
    return tensors


def _make_array(tensor, content):
    """A view of the bytes of a storage; NumPy checks its extent."""
    dtype = np.dtype(tensor.storage.dtype)
    array = np.ndarray(
        tensor.shape,
        dtype,
        buffer=content,
        offset=tensor.offset * dtype.itemsize,
        strides=[step * dtype.itemsize for step in tensor.strides],
    )
    # Expanded tensors have fewer elements in their storage than in the shape.
    if array.size * dtype.itemsize <= len(content):
        end = dtype.itemsize
        for step, count in sorted(zip(array.strides, array.shape)):
            if count > 1 and step < end:
                raise ValueError(f"overlapping strides {tensor.strides}")
            end += step * (count - 1)
    return array


def _make_arrays(content, read_storage):
    storages, arrays = {}, {}
    for name, tensor in _find_tensors(content).items():
        try:
            key = tensor.storage.key
            if key not in storages:
                storages[key] = read_storage(key)
            arrays[name] = _make_array(tensor, storages[key])
        except Exception as error:
            raise ValueError(
                f"Tensor {name!r} cannot be read ({error}): the file is "
                "truncated or damaged. Download it again."
            ) from error
    return arrays


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
    return _make_arrays(
        content, lambda key: archive.read(f"{folder}data/{key}")
    )


def _read_old_format(file):
    first = _WeightsUnpickler(file).load()
    if first != _OLD_FORMAT[0]:
        raise ValueError(
            "A PyTorch file must be one that `torch.save` wrote. Received: a "
            "bare pickle, which is not read. With PyTorch installed, save it "
            "again: `torch.save(weights, path)`."
        )
    version, system = (_WeightsUnpickler(file).load() for _ in range(2))
    if version != _OLD_FORMAT[1] or system["little_endian"] is not True:
        raise ValueError(
            "A file of PyTorch before 1.6 must be of version "
            f"{_OLD_FORMAT[1]} and little-endian. Received: version {version}, "
            f"{system}"
        )
    unpickler = _WeightsUnpickler(file)
    content = unpickler.load()
    keys = _WeightsUnpickler(file).load()
    if keys != sorted(unpickler.storages):
        raise ValueError(
            "The list of storages must name those of the tensors. Received: "
            f"{keys!s:.80}. The file is damaged; download it again."
        )
    # Each storage is its number of elements and the elements.
    sizes, end = {}, file.tell()
    for key in keys:
        storage = unpickler.storages[key]
        sizes[key] = (end, storage.count * np.dtype(storage.dtype).itemsize)
        end += 8 + sizes[key][1]
    size = os.fstat(file.fileno()).st_size
    if size != end:
        raise ValueError(
            f"The file {'ends early' if size < end else 'is too long'}: it "
            f"must have {end} bytes. Received: {size}. Download it again."
        )

    def read_storage(key):
        place, size = sizes[key]
        file.seek(place)
        count = int.from_bytes(file.read(8), "little")
        if count != unpickler.storages[key].count:
            raise ValueError(f"its storage has {count} elements")
        return file.read(size)

    return _make_arrays(content, read_storage)


def read_pytorch_file(path):
    """Reads what `torch.save(model.state_dict(), path)` writes.

    Nothing in the file is executed. Tensors that share a storage share their
    memory, and are read-only.
    """
    path = pathlib.Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_START))
            file.seek(0)
            if start.startswith(b"PK\x03\x04"):
                with zipfile.ZipFile(file) as archive:
                    return _read_archive(archive)
            if start.startswith(b"\x80"):
                return _read_old_format(file)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    # zipfile and pickle raise nearly any exception, depending on the damage.
    except Exception as error:
        raise ValueError(
            f"{path}: the file is truncated or damaged "
            f"({type(error).__name__}: {error}). Download it again."
        ) from error
    found, remedy = f"a file that begins with {start[:8]!r}", "Check the path"
    if not start:
        found = "an empty file"
    elif start == _LFS_START:
        found = "a Git LFS pointer instead of the file"
        remedy = "Fetch the file with `git lfs pull`"
    raise ValueError(
        f"{path}: a PyTorch file must be one that `torch.save` wrote. "
        f"Received: {found}. {remedy}, or download it again."
    )


# === Writing ===


def _torch_name(name, module="torch"):
    return type(name, (), {"__module__": module})


class _WeightsPickler(pickle._Pickler):
    """Pickles a dict of arrays as PyTorch does a state dict."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.kinds = {
            dtype: _torch_name(name) for name, dtype in _STORAGES.items()
        }
        self.rebuild = _torch_name("_rebuild_tensor_v2", "torch._utils")
        self.num_tensors = 0

    def save_global(self, obj, name=None):
        # Other picklers write no name that they can't import.
        name = f"{obj.__module__}\n{obj.__qualname__}\n"
        self.write(pickle.GLOBAL + name.encode())

    def persistent_id(self, obj):
        if not isinstance(obj, _Storage):
            return None
        return "storage", self.kinds[obj.dtype], obj.key, "cpu", obj.count

    def reducer_override(self, obj):
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        storage = _Storage(str(obj.dtype), str(self.num_tensors), obj.size)
        self.num_tensors += 1
        steps = tuple(step // obj.itemsize for step in obj.strides)
        hooks = collections.OrderedDict()
        return self.rebuild, (storage, 0, obj.shape, steps, False, hooks)


def write_pytorch_file(path, tensors):
    """Writes a dict of arrays as `torch.save` of PyTorch 1.6 or newer does."""
    tensors = {
        name: np.asarray(values, order="C") for name, values in tensors.items()
    }
    for name, values in tensors.items():
        if str(values.dtype) not in _STORAGES.values():
            raise ValueError(
                f"{name!r} must have a dtype of PyTorch to be written: one of "
                f"{', '.join(_STORAGES.values())}. Received: {values.dtype}"
            )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("pytorch_model/data.pkl", "w") as file:
            _WeightsPickler(file).dump(tensors)
        archive.writestr("pytorch_model/byteorder", "little")
        for key, values in enumerate(tensors.values()):
            archive.writestr(f"pytorch_model/data/{key}", values.tobytes())
        archive.writestr("pytorch_model/version", "3\n")
