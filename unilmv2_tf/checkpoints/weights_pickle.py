"""The pickle inside a PyTorch file, reduced to what weights need.

A pickle is a program: it may import any function and call it. Two guards
stand before that. First the operations are listed without being performed,
and anything that a dictionary of tensors does not need is refused. Then
`pickle.Unpickler` runs with every name it may look up replaced by one of
three inert stand-ins; nothing is ever imported.
"""

import io
import pickle
import pickletools
from typing import NamedTuple

import ml_dtypes
import numpy as np

_MAX_PICKLE_BYTES = 4 * 2**20

# What PyTorch writes for a dictionary of tensors, with pickle protocols 2
# to 5. Absent on purpose: instances (INST, OBJ, NEWOBJ), the extension
# registry (EXT1..4, which skips `find_class`) and out-of-band buffers.
_OPERATIONS = frozenset(
    """PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2
    LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE EMPTY_DICT SETITEM SETITEMS
    EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE
    BUILD BINPERSID""".split()
)


class UnreadableCheckpoint(ValueError):
    """A file that cannot be read as weights, with the reason.

    Args:
        message: str. What was found and how to mend it.

    Example:

    >>> issubclass(UnreadableCheckpoint, ValueError)
    True
    """


# The stand-ins are named tuples because those have neither an instance
# dictionary nor settable attributes nor `__setstate__`: the BUILD operation,
# which writes into any object it is given, finds nothing to write to.
class _StorageType(NamedTuple):
    dtype: np.dtype


class _Rebuild(NamedTuple):
    """Stands for `torch._utils._rebuild_tensor_v2`."""

    def __call__(self, storage, offset, shape, strides, *ignored):
        return TensorRecord(storage, offset, shape, strides)


class _Mapping(dict):
    __slots__ = ()

    def __setstate__(self, state):
        """Drops the `_metadata` that modules attach to their weights."""


class _NewMapping(NamedTuple):
    """Stands for `collections.OrderedDict`."""

    def __call__(self):
        return _Mapping()


class StorageRecord(NamedTuple):
    """What the pickle says about one storage.

    Args:
        dtype: numpy dtype of the elements.
        key: str. Name of the zip member that holds them.
        count: int. Number of elements.

    Example:

    >>> StorageRecord(np.dtype("float32"), "0", 6).count
    6
    """

    dtype: np.dtype
    key: str
    count: int


class TensorRecord(NamedTuple):
    """What the pickle says about one tensor; nothing in it is checked yet.

    Args:
        storage: `StorageRecord`. Where the elements lie.
        offset: int. First element of the tensor in its storage.
        shape: tuple of ints.
        strides: tuple of ints, in elements.

    Example:

    >>> TensorRecord(None, 0, (2, 3), (3, 1)).shape
    (2, 3)
    """

    storage: StorageRecord
    offset: int
    shape: tuple
    strides: tuple


_ALLOWED = {
    ("collections", "OrderedDict"): _NewMapping(),
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    **{
        ("torch", f"{name}Storage"): _StorageType(np.dtype(dtype))
        for name, dtype in {
            "Float": np.float32,
            "Half": np.float16,
            "BFloat16": ml_dtypes.bfloat16,
            "Double": np.float64,
            "Long": np.int64,
            "Int": np.int32,
            "Short": np.int16,
            "Char": np.int8,
            "Byte": np.uint8,
            "Bool": np.bool_,
        }.items()
    },
}


def _stand_in(module, name):
    try:
        return _ALLOWED[module, name]
    except KeyError:
        raise UnreadableCheckpoint(
            "A checkpoint may refer to tensors, their storages and "
            "OrderedDict only. Received one that asks for "
            f"`{module}.{name}`; it was refused and nothing was run. Save "
            "the weights alone, `torch.save(model.state_dict(), path)`, or "
            "as .safetensors."
        ) from None


def _check_operations(data):
    # Names first: `os.system` says more than the operation before it.
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in ("GLOBAL", "INST"):
            _stand_in(*argument.split(" ", maxsplit=1))
    for count, (operation, argument, _) in enumerate(
        pickletools.genops(data), start=1
    ):
        if operation.name not in _OPERATIONS:
            raise UnreadableCheckpoint(
                f"The pickle uses the operation {operation.name}, which a "
                "dictionary of tensors does not need; it was refused and "
                "nothing was run. Save the weights with "
                "`torch.save(model.state_dict(), path)`."
            )
        # A memo index far above the number of operations makes the
        # unpickler allocate a table of that size.
        if "BINPUT" in operation.name and argument > count:
            raise UnreadableCheckpoint(
                f"The pickle stores its memo entry {argument} after only "
                f"{count} operations: the file is damaged or forged."
            )


class _WeightsUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return _stand_in(module, name)

    def persistent_load(self, pid):
        if (
            type(pid) is not tuple
            or len(pid) != 5
            or pid[0] != "storage"
            or not isinstance(pid[1], _StorageType)
            or type(pid[2]) is not str
            or type(pid[4]) is not int
        ):
            raise UnreadableCheckpoint(
                'A storage must be described by ("storage", type, key, '
                f"device, number of elements). Received: {pid!r:.200}"
            )
        return StorageRecord(pid[1].dtype, pid[2], pid[4])


def _check_names(content):
    if not isinstance(content, dict):
        raise UnreadableCheckpoint(
            "A checkpoint must hold a dictionary from names to tensors. "
            f"Received: {type(content).__name__}. Save "
            "`model.state_dict()`."
        )
    for name, value in content.items():
        if type(name) is not str:
            raise UnreadableCheckpoint(
                f"Names of tensors must be strings. Received: {name!r:.200}"
            )
        if not isinstance(value, TensorRecord):
            kind = "dict" if isinstance(value, dict) else type(value).__name__
            raise UnreadableCheckpoint(
                f"Every entry must be a tensor. Received {kind} under "
                f"{name!r}. From a training checkpoint save just the "
                "dictionary of weights it contains, "
                '`torch.save(checkpoint["model"], path)`.'
            )


def read_weights_pickle(data):
    """Lists the tensors that a PyTorch pickle describes, running nothing.

    Args:
        data: bytes. The member `data.pkl` of a PyTorch file.

    Returns:
        A dict from names to `TensorRecord`s, whose numbers are still
        unchecked.

    Raises:
        UnreadableCheckpoint: if the pickle is damaged, wants anything but
            tensors, storages and OrderedDict (named in the message), or
            holds something other than a flat dictionary of tensors.

    Example:

    >>> import pickle
    >>> read_weights_pickle(pickle.dumps({}, protocol=2))
    {}
    >>> read_weights_pickle(pickle.dumps(print, protocol=2))
    Traceback (most recent call last):
    ...
    unilmv2_tf.checkpoints.weights_pickle.UnreadableCheckpoint: A checkpoint
    may refer to tensors, their storages and OrderedDict only. Received one
    that asks for `__builtin__.print`; it was refused and nothing was run...
    """
    if len(data) > _MAX_PICKLE_BYTES:
        raise UnreadableCheckpoint(
            f"The description of the tensors takes {len(data)} bytes; at "
            f"most {_MAX_PICKLE_BYTES} are accepted (a large model needs "
            "about 100,000). The file does not hold weights alone."
        )
    try:
        _check_operations(data)
        content = _WeightsUnpickler(io.BytesIO(data)).load()
    except UnreadableCheckpoint:
        raise
    # A damaged pickle raises nearly any exception.
    except Exception as error:
        raise UnreadableCheckpoint(
            "The description of the tensors is damaged: "
            f"{type(error).__name__}: {error}"
        ) from error
    _check_names(content)
    return dict(content)
