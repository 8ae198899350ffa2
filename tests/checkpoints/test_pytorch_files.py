"""PyTorch's files: what is read, what is refused, and that nothing runs."""

import collections
import hashlib
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from unilmv2_tf.checkpoints.pytorch_files import read_pytorch_file

DTYPES = (
    "float32 float16 bfloat16 float64 int64 int32 int16 int8 uint8 bool"
).split()


@pytest.fixture
def read(writer, tmp_path):
    """Reads a pickle from an archive, with the given storages."""

    def run(data, *storages):
        storages = {str(key): content for key, content in enumerate(storages)}
        path = writer.write(tmp_path / "some.bin", data, storages)
        return read_pytorch_file(path)

    return run


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype, writer, some_values, tmp_path):
    values = some_values(dtype).reshape(2, 3)
    path = writer.save(tmp_path / "some.bin", {"weight": values})
    result = read_pytorch_file(path)["weight"]
    assert result.dtype == values.dtype
    np.testing.assert_array_equal(result, values)


def test_strides_and_offsets_against_numpy(read, writer):
    """Views that NumPy makes by transposing and slicing a storage."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        shape = rng.integers(1, 5, rng.integers(1, 5))
        whole = np.arange(shape.prod(), dtype="float32")
        view = whole.reshape(shape).transpose(rng.permutation(len(shape)))
        view = view[
            tuple(
                slice(rng.integers(size), None, rng.integers(1, 3))
                for size in view.shape
            )
        ]
        start = view.__array_interface__["data"][0]
        offset = (start - whole.__array_interface__["data"][0]) // 4
        strides = tuple(stride // 4 for stride in view.strides)
        storage = writer.storage("0", "float32", whole.size)
        tensor = writer.tensor(storage, view.shape, strides, int(offset))
        data = writer.dictionary({"weight": tensor})
        result = read(data, whole.tobytes())["weight"]
        assert result.shape == view.shape
        np.testing.assert_array_equal(result, view)


def test_tied_tensors_share_their_memory(read, writer):
    storage = writer.storage("0", "float32", 6)
    data = writer.dictionary(
        {
            "table": writer.tensor(storage, (2, 3), (3, 1)),
            "tied": writer.tensor(storage, (2, 3), (3, 1)),
            "row": writer.tensor(storage, (3,), (1,), offset=3),
        }
    )
    tensors = read(data, np.arange(6, dtype="float32").tobytes())
    assert np.shares_memory(tensors["table"], tensors["tied"])
    np.testing.assert_array_equal(tensors["row"], [3, 4, 5])


@pytest.mark.parametrize("name", ["", "s2s_ft_saved"])
def test_golden_file_of_pytorch(name, golden_dir):
    """Real files: as many tensors as described, bytes as in the archive."""
    path = golden_dir / "tiny_relpos" / name / "pytorch_model.bin"
    with zipfile.ZipFile(path) as archive:
        stored = {
            hashlib.sha256(archive.read(member)).hexdigest()
            for member in archive.namelist()
            if "/data/" in member
        }
    tensors = read_pytorch_file(path)
    assert stored == {
        hashlib.sha256(values.tobytes()).hexdigest()
        for values in tensors.values()
    }


def test_framed_protocol_4(read, writer):
    """`torch.save(..., pickle_protocol=4)` frames its operations."""
    tensor = writer.tensor(writer.storage("0", "float32", 2), (2,), (1,))
    body = writer.dictionary({"weight": tensor})[2:]
    data = b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body
    assert read(data, bytes(8))["weight"].shape == (2,)


# === Other and damaged files ===


@pytest.mark.parametrize(
    "start, reason",
    [
        (b"", "an empty file"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.rest", "truncated"),
        (b"\x80\x04K\x01.", "a bare pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "begins with b'<!DOCTYP'"),
        (b"PK\x03\x04 and no directory", "truncated or damaged"),
    ],
)
def test_files_of_other_formats(start, reason, tmp_path):
    path = tmp_path / "some.bin"
    path.write_bytes(start)
    with pytest.raises(ValueError, match=reason) as caught:
        read_pytorch_file(path)
    assert str(path) in str(caught.value)


def test_other_zip_archives(tmp_path):
    path = tmp_path / "some.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(ValueError, match="another kind of zip archive"):
        read_pytorch_file(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_pytorch_file(tmp_path / "none.bin")


def test_big_endian_files_are_refused(writer, tmp_path):
    path = tmp_path / "some.bin"
    writer.write(path, b"\x80\x02}.", byteorder="big")
    with pytest.raises(ValueError, match="Byte order must be little"):
        read_pytorch_file(path)


def test_every_truncation_is_refused(writer, tmp_path):
    values = np.arange(40, dtype="float32")
    whole = writer.save(tmp_path / "whole.bin", {"weight": values}).read_bytes()
    path = tmp_path / "cut.bin"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            read_pytorch_file(path)


def test_a_changed_byte_changes_no_value_silently(writer, tmp_path):
    values = np.arange(12, dtype="float32").reshape(3, 4)
    whole = writer.save(tmp_path / "whole.bin", {"w": values}).read_bytes()
    path = tmp_path / "changed.bin"
    refused = 0
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        try:
            tensors = read_pytorch_file(path)
        except ValueError:
            refused += 1
        else:
            np.testing.assert_array_equal(tensors["w"], values)
    assert refused > len(whole) / 2


@pytest.mark.parametrize(
    "shape, strides, offset",
    [
        ((7,), (1,), 0),
        ((2, 3), (3, 1), 1),
        ((2, 3), (4, 1), 0),
        ((6,), (1,), 6),
        ((3,), (1,), -1),
        ((-2,), (1,), 0),
        ((2,), (-1,), 0),
        ((2, 3), (3,), 0),
        ((2.0,), (1,), 0),
        ((2,), (2**70,), 0),
        ((2,), (1,), 2**70),
    ],
)
def test_tensors_beyond_their_storage(shape, strides, offset, read, writer):
    storage = writer.storage("0", "float32", 6)
    tensor = writer.tensor(storage, shape, strides, offset)
    with pytest.raises(ValueError, match=r"Tensor 'bad\.weight'"):
        read(writer.dictionary({"bad.weight": tensor}), bytes(24))


@pytest.mark.parametrize("key", ["1", "../data.pkl", "/etc/passwd", ""])
def test_storages_that_the_file_lacks(key, read, writer):
    storage = writer.storage(key, "float32", 2)
    data = writer.dictionary({"w": writer.tensor(storage, (2,), (1,))})
    with pytest.raises(ValueError, match="Tensor 'w' cannot be read"):
        read(data, bytes(8))


@pytest.mark.parametrize(
    "content, reason",
    [
        ([1, 2], "a list with no names"),
        ({"epoch": 3}, r"a dict with \['epoch'\]"),
        ({"model": {}, "optimizer": {}}, r"a dict with \['model', 'optim"),
    ],
)
def test_content_other_than_named_tensors(content, reason, read):
    with pytest.raises(ValueError, match=reason):
        read(pickle.dumps(content, protocol=2))


# === Pickles that want to run code ===


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def payload(trace):
    return f"open({str(trace)!r}, 'w').close()"


def shell(trace):
    return Call(os.system, f"touch {trace}")


def evaluated(trace):
    return Call(eval, payload(trace))


def executed(trace):
    return Call(exec, payload(trace))


def spawned(trace):
    return Call(subprocess.call, [sys.executable, "-c", payload(trace)])


def touched(trace):
    return Call(pathlib.Path.touch, pathlib.Path(trace))


def nested(trace):
    return {"a": {"b": [(1, evaluated(trace))]}}


def in_state(trace):
    """`OrderedDict` is allowed, its state holds the call."""
    mapping = collections.OrderedDict(weight=1)
    mapping._metadata = evaluated(trace)
    return mapping


CALLS = {
    shell: "system",
    evaluated: "eval",
    executed: "exec",
    spawned: "call",
    # Since protocol 2 a path is rebuilt first, by its class.
    touched: "pathlib|getattr",
    nested: "eval",
    in_state: "eval",
}


@pytest.fixture
def assert_refused(read, tmp_path):
    def check(data, reason):
        with pytest.raises(ValueError, match=reason):
            read(data)
        assert not (tmp_path / "trace").exists()

    return check


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", CALLS)
def test_calls_are_refused_by_name(make, protocol, assert_refused, tmp_path):
    data = pickle.dumps(make(tmp_path / "trace"), protocol=protocol)
    if make in (shell, evaluated, in_state):
        pickle.loads(data)
        # Python's own unpickler would run it.
        (tmp_path / "trace").unlink()
    assert_refused(data, CALLS[make])


def test_call_in_a_persistent_id(assert_refused, writer, tmp_path):
    call = (
        writer.name("os", "system")
        + b"("
        + writer.plain(f"touch {tmp_path / 'trace'}")
        + b"tR"
    )
    storage = writer.storage("0", "float32", 1, kind=call)
    data = writer.dictionary({"weight": writer.tensor(storage, (1,), (1,))})
    assert_refused(data, r"`os\.system`")


def test_name_that_is_built_on_the_stack(assert_refused, writer, tmp_path):
    """STACK_GLOBAL: the name is no argument of the operation."""
    call = (
        writer.plain("posix")
        + writer.plain("system")
        + b"\x93("
        + writer.plain(f"touch {tmp_path / 'trace'}")
        + b"tR"
    )
    assert_refused(b"\x80\x04" + call + b".", r"`posix\.system`")


@pytest.mark.parametrize(
    "module, name",
    [
        ("builtins", "exec"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "load"),
        ("torch", "_rebuild_tensor_v2"),
        ("collections", "OrderedDict.__init__.__globals__"),
        ("collections", "namedtuple"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("unilmv2_tf.checkpoints.pytorch_files", "read_pytorch_file"),
        ("torch._utils", "_rebuild_parameter_with_state"),
        ("antigravity", "fly"),
    ],
)
def test_other_names_are_refused(module, name, assert_refused, writer):
    data = b"\x80\x02" + writer.name(module, name) + b"."
    assert_refused(data, name.replace(".", r"\."))
    # Not even imported.
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02\x82\x01.",
        b"(ios\nsystem\n.",
        b"P0\n.",
        b"\x80\x02]K\x01Q.",
        b"\x80\x02" + b"(" * 40,
        b"",
        b"\x80\x02X\xff\xff\xff\x7fab.",
        b"\x80\x02K\x01R.",
        b"\x80\x02}]K\x01s.",
    ],
)
def test_damaged_pickles(data, assert_refused):
    assert_refused(data, r"some\.bin")


@pytest.mark.parametrize(
    "name",
    [
        ("torch._utils", "_rebuild_tensor_v2"),
        ("collections", "OrderedDict"),
        ("torch", "FloatStorage"),
    ],
)
@pytest.mark.parametrize("slots", [False, True])
def test_state_cannot_change_what_a_name_means(name, slots, read, writer):
    """The operation BUILD sets attributes of whatever lies below the state."""
    state = b"}" + writer.plain("dtype") + writer.plain("forged") + b"s"
    if slots:
        state = b"N" + state + b"\x86"
    data = b"\x80\x02" + writer.name(*name) + state + b"b."
    with pytest.raises(ValueError):
        read(data)
    good = writer.tensor(writer.storage("0", "float32", 2), (2,), (1,))
    tensors = read(writer.dictionary({"weight": good}), bytes(8))
    assert tensors["weight"].dtype == "float32"
