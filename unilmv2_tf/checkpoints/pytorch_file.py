"""`pytorch_model.bin` read with the standard library and NumPy."""

import contextlib
import functools
import math
import pathlib
import weakref
import zipfile

import numpy as np

from unilmv2_tf.checkpoints.lazy_array import LazyArray
from unilmv2_tf.checkpoints.weights_pickle import StorageRecord
from unilmv2_tf.checkpoints.weights_pickle import UnreadableCheckpoint
from unilmv2_tf.checkpoints.weights_pickle import read_weights_pickle

_ZIP_START = b"PK\x03\x04"
# PyTorch before 1.6 began its files with this number, pickled.
_LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LFS_START = b"version https://git-lfs"
_MAX_RANK = 8
_MAX_COPIES = 4
_RESAVE = (
    "With PyTorch installed, save it again: `torch.save(torch.load(path, "
    'map_location="cpu", weights_only=True), new_path)`.'
)


def _check_start(path):
    with path.open("rb") as file:
        start = file.read(len(_LFS_START))
    if start.startswith(_ZIP_START):
        return
    if not start:
        found, remedy = "an empty file", "Download it again."
    elif start.startswith(_LEGACY_START):
        found, remedy = "the format of PyTorch before 1.6", _RESAVE
    elif start.startswith(b"\x80"):
        found, remedy = "a bare pickle, which is not read", _RESAVE
    elif start.startswith(_LFS_START):
        found = "a Git LFS pointer instead of the file"
        remedy = "Fetch the file with `git lfs pull`."
    else:
        found = f"a file that begins with {start[:8]!r}"
        remedy = "Check the path, or download it again."
    raise UnreadableCheckpoint(
        f"A PyTorch file must be a zip archive (PyTorch 1.6 or newer). "
        f"Received {found}. {remedy}"
    )


class _Archive:
    """The members of the zip file, each checked before it is read."""

    def __init__(self, archive, file_bytes):
        self._archive = archive
        self._members = {}
        for member in archive.infolist():
            if member.filename in self._members:
                raise UnreadableCheckpoint(
                    f"The archive holds two members named "
                    f"{member.filename!r}: the file is damaged or forged."
                )
            self._members[member.filename] = member
        self._folder = self._find_folder()
        for member in self._members.values():
            self._check_stored(member)
        # Before memory is taken for any of them: one stretch of the file
        # must not be claimed by many members either.
        claimed = sum(member.file_size for member in self._members.values())
        if claimed > file_bytes:
            raise UnreadableCheckpoint(
                f"The members claim {claimed} bytes, the whole file has "
                f"{file_bytes}: it is truncated or forged. Download it again."
            )

    def _check_stored(self, member):
        if (
            member.compress_type != zipfile.ZIP_STORED
            or member.file_size != member.compress_size
        ):
            raise UnreadableCheckpoint(
                "Members of a PyTorch file must be stored uncompressed. "
                f"Received {member.filename!r} compressed from "
                f"{member.file_size} to {member.compress_size} bytes. "
                f"{_RESAVE}"
            )

    def _find_folder(self):
        found = [
            name
            for name in self._members
            if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(found) != 1:
            raise UnreadableCheckpoint(
                "A PyTorch file must hold one member NAME/data.pkl. "
                f"Received {len(found)} of them among "
                f"{len(self._members)} members: this is another kind of "
                "zip archive."
            )
        return found[0].removesuffix("data.pkl")

    def __contains__(self, name):
        return self._folder + name in self._members

    def size(self, name):
        return self._members[self._folder + name].file_size

    def read(self, name):
        return self._archive.read(self._members[self._folder + name])

    def open(self, name):
        return self._archive.open(self._members[self._folder + name])


def _native_order(raw, dtype, big_endian):
    if big_endian and dtype.itemsize > 1:
        words = raw.view(f"u{dtype.itemsize}").byteswap()
        return words.view(dtype)
    if dtype == np.bool_:
        return raw != 0
    return raw.view(dtype)


class _Storages:
    """Finds and reads storages; tied tensors share their memory."""

    def __init__(self, archive):
        order = b"little"
        if "byteorder" in archive:
            order = archive.read("byteorder").strip()
        if order not in (b"little", b"big"):
            raise UnreadableCheckpoint(
                f"The byte order must be little or big. Received: {order!r}"
            )
        self._archive = archive
        self._big_endian = order == b"big"
        self._records = {}
        self._loaded = weakref.WeakValueDictionary()

    def check(self, record):
        first = self._records.setdefault(record.key, record)
        if first != record:
            raise UnreadableCheckpoint(
                f"storage {record.key!r} is described both as {first.count} "
                f"x {first.dtype} and as {record.count} x {record.dtype}"
            )
        name = f"data/{record.key}"
        if name not in self._archive:
            raise UnreadableCheckpoint(f"the file has no member {name!r}")
        declared = record.count * record.dtype.itemsize
        if declared != self._archive.size(name):
            raise UnreadableCheckpoint(
                f"storage {record.key!r} is declared as {record.count} x "
                f"{record.dtype} = {declared} bytes, its member has "
                f"{self._archive.size(name)}"
            )

    def load(self, record):
        raw = self._loaded.get(record.key)
        if raw is None:
            content = self._archive.read(f"data/{record.key}")
            raw = np.frombuffer(content, np.uint8)
            self._loaded[record.key] = raw
        return _native_order(raw, record.dtype, self._big_endian)

    def stream(self, record, num_bytes):
        # At the end of a member `zipfile` compares its checksum.
        with self._archive.open(f"data/{record.key}") as file:
            while content := file.read(num_bytes):
                raw = np.frombuffer(content, np.uint8)
                yield _native_order(raw, record.dtype, self._big_endian)


def _whole_numbers(values):
    return type(values) is tuple and all(
        type(value) is int and value >= 0 for value in values
    )


def _check_extent(tensor):
    storage, offset, shape, strides = tensor
    if (
        not _whole_numbers((offset,))
        or not _whole_numbers(shape)
        or not _whole_numbers(strides)
        or len(shape) != len(strides)
        or len(shape) > _MAX_RANK
    ):
        raise UnreadableCheckpoint(
            "offset, shape and strides must be whole numbers, the last two "
            f"equally many and at most {_MAX_RANK}; received offset "
            f"{offset!r:.50}, shape {shape!r:.100}, strides {strides!r:.100}"
        )
    elements = math.prod(shape)
    reach = offset + 1
    reach += sum((size - 1) * step for size, step in zip(shape, strides))
    if elements == 0 or elements > storage.count or reach > storage.count:
        raise UnreadableCheckpoint(
            f"it is empty, repeats elements or lies beyond its storage of "
            f"{storage.count} elements: shape {shape}, strides {strides}, "
            f"offset {offset}"
        )


def _check(tensor, storages):
    if not isinstance(tensor.storage, StorageRecord):
        raise UnreadableCheckpoint("it is not built on a storage")
    _check_extent(tensor)
    storages.check(tensor.storage)


def _is_contiguous(tensor):
    expected = 1
    for size, step in zip(reversed(tensor.shape), reversed(tensor.strides)):
        if size != 1 and step != expected:
            return False
        expected *= size
    return True


def _is_whole(tensor):
    """Whether a tensor is all of its storage, row by row."""
    return _is_contiguous(tensor) and (
        math.prod(tensor.shape) == tensor.storage.count
    )


def _stream_rows(path, tensor, storages, num_rows):
    row_shape = tensor.shape[1:]
    row_bytes = math.prod(row_shape) * tensor.storage.dtype.itemsize
    with _explained(path):
        for part in storages.stream(tensor.storage, num_rows * row_bytes):
            yield part.reshape(-1, *row_shape)


def _read_view(path, tensor, storages):
    with _explained(path):
        values = storages.load(tensor.storage)
    view = np.lib.stride_tricks.as_strided(
        values[tensor.offset :],
        tensor.shape,
        [step * values.itemsize for step in tensor.strides],
        writeable=False,
    )
    return view if view.flags.c_contiguous else view.copy()


def _open_archive(path, archive, file_bytes):
    records = read_weights_pickle(archive.read("data.pkl"))
    storages = _Storages(archive)
    tensors = {}
    copied_bytes = 0
    for name, record in records.items():
        try:
            _check(record, storages)
        except UnreadableCheckpoint as error:
            raise UnreadableCheckpoint(
                f"Tensor {name!r} cannot be read: {error}. The file is "
                "damaged, forged, or holds more than plain tensors."
            ) from None
        tensors[name] = LazyArray(
            record.shape,
            record.storage.dtype,
            functools.partial(_read_view, path, record, storages),
            functools.partial(_stream_rows, path, record, storages)
            if _is_whole(record)
            else None,
        )
        if not _is_contiguous(record):
            copied_bytes += tensors[name].nbytes
            # Each copy fits in its storage, but a short pickle can ask for
            # thousands of transposed views of one large storage.
            if copied_bytes > _MAX_COPIES * file_bytes:
                raise UnreadableCheckpoint(
                    f"The tensors need more than {_MAX_COPIES} times the "
                    f"{file_bytes} bytes of the file; reached at {name!r}. "
                    "The file is forged."
                )
    return tensors


@contextlib.contextmanager
def _explained(path):
    """Says of which file an error speaks, and that the file is to blame."""
    try:
        yield
    except UnreadableCheckpoint as error:
        raise UnreadableCheckpoint(f"{path}: {error}") from error.__cause__
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    # zipfile raises BadZipFile, EOFError, struct.error, RuntimeError,
    # OSError and others, depending on where the damage is.
    except Exception as error:
        raise UnreadableCheckpoint(
            f"{path}: the archive is truncated or damaged "
            f"({type(error).__name__}: {error}). Download it again."
        ) from error


def open_pytorch_file(path):
    """Lists the tensors of a `.bin` file, to be read when they are wanted.

    As `read_pytorch_file`; the checksum of a tensor's bytes is compared when
    it is read.

    Args:
        path: str or path. The file.

    Returns:
        A dict from names to `LazyArray`s.

    Raises:
        UnreadableCheckpoint: see `read_pytorch_file`.
        FileNotFoundError: if there is no such file.

    Example:

    >>> open_pytorch_file("no/such/file.bin")
    Traceback (most recent call last):
    ...
    FileNotFoundError: ...
    """
    path = pathlib.Path(path)
    with _explained(path):
        _check_start(path)
        archive = zipfile.ZipFile(path)
        file_bytes = path.stat().st_size
        return _open_archive(path, _Archive(archive, file_bytes), file_bytes)


def read_pytorch_file(path):
    """Reads the tensors of a `.bin` file without PyTorch.

    The file must be what `torch.save` of PyTorch 1.6 or newer writes for a
    dictionary of tensors, `model.state_dict()`. Nothing in it is executed.

    Args:
        path: str or path. The file.

    Returns:
        A dict from names to NumPy arrays of dtype float32, float16,
        bfloat16, float64, int64, int32, int16, int8, uint8 or bool. Tensors
        that share a storage share their memory, and are read-only.

    Raises:
        UnreadableCheckpoint: (a ValueError) if the file has another format,
            is truncated, describes a tensor that its bytes do not hold, or
            wants to call anything while it is read.
        FileNotFoundError: if there is no such file.

    Example:

    >>> import tempfile
    >>> file = tempfile.NamedTemporaryFile(suffix=".bin")
    >>> read_pytorch_file(file.name)
    Traceback (most recent call last):
    ...
    unilmv2_tf.checkpoints.weights_pickle.UnreadableCheckpoint: /...: A PyTorch
    file must be a zip archive (PyTorch 1.6 or newer). Received an empty file.
    Download it again.
    """
    tensors = open_pytorch_file(path)
    return {name: np.asarray(lazy) for name, lazy in tensors.items()}
