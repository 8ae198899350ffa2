"""The archive and the tensors in it: what is read, and what is refused."""

import hashlib
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.checkpoints.pytorch_file import read_pytorch_file
from unilmv2_tf.checkpoints.readers import read_tensors

DTYPES = (
    "float32 float16 bfloat16 float64 int64 int32 int16 int8 uint8 bool"
).split()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype, writer, some_values, tmp_path):
    values = some_values(dtype).reshape(2, 3)
    path = writer.save(tmp_path / "some.bin", {"weight": values})
    result = read_pytorch_file(path)["weight"]
    assert result.dtype == values.dtype
    np.testing.assert_array_equal(result, values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_big_endian(dtype, writer, some_values, tmp_path):
    values = some_values(dtype)
    content = values.tobytes()
    width = values.dtype.itemsize
    swapped = b"".join(
        content[start : start + width][::-1]
        for start in range(0, len(content), width)
    )
    tensor = writer.tensor(writer.storage("0", values.dtype, 6), (6,), (1,))
    path = writer.write(
        tmp_path / "some.bin",
        writer.dictionary({"weight": tensor}),
        {"0": swapped},
        byteorder="big",
    )
    np.testing.assert_array_equal(read_pytorch_file(path)["weight"], values)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_strides_and_offsets_against_numpy(data, writer, tmp_path):
    """Views that NumPy makes by transposing and slicing a storage."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=0, max_size=4))
    whole = np.arange(np.prod(shape, dtype="int64"), dtype="float32")
    view = whole.reshape(shape)
    view = view.transpose(data.draw(st.permutations(range(view.ndim))))
    for axis in range(view.ndim):
        start = data.draw(st.integers(0, view.shape[axis] - 1))
        step = data.draw(st.integers(1, 2))
        cut = [slice(None)] * view.ndim
        cut[axis] = slice(start, None, step)
        view = view[tuple(cut)]
    start = view.__array_interface__["data"][0]
    offset = (start - whole.__array_interface__["data"][0]) // 4
    tensor = writer.tensor(
        writer.storage("0", "float32", whole.size),
        view.shape,
        tuple(stride // 4 for stride in view.strides),
        offset,
    )
    path = writer.write(
        tmp_path / "some.bin",
        writer.dictionary({"weight": tensor}),
        {"0": whole.tobytes()},
    )
    result = read_pytorch_file(path)["weight"]
    assert result.shape == view.shape
    np.testing.assert_array_equal(result, view)


def test_tied_tensors_share_their_memory(writer, tmp_path):
    storage = writer.storage("0", "float32", 6)
    data = writer.dictionary(
        {
            "table": writer.tensor(storage, (2, 3), (3, 1)),
            "tied": writer.tensor(storage, (2, 3), (3, 1)),
            "row": writer.tensor(storage, (3,), (1,), offset=3),
        }
    )
    content = np.arange(6, dtype="float32").tobytes()
    path = writer.write(tmp_path / "some.bin", data, {"0": content})
    tensors = read_pytorch_file(path)
    assert np.shares_memory(tensors["table"], tensors["tied"])
    np.testing.assert_array_equal(tensors["row"], [3, 4, 5])


@pytest.mark.parametrize(
    "start, reason",
    [
        (b"", "an empty file"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.rest", "weights_only=True"),
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


def test_other_zip_archives(writer, tmp_path):
    path = tmp_path / "some.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    with pytest.raises(ValueError, match="another kind of zip archive"):
        read_pytorch_file(path)


def test_every_truncation_is_refused(writer, tmp_path):
    values = np.arange(40, dtype="float32")
    whole = writer.save(tmp_path / "whole.bin", {"weight": values}).read_bytes()
    path = tmp_path / "cut.bin"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            read_pytorch_file(path)


def test_changed_bytes_never_change_a_value_unseen(writer, tmp_path):
    """Any byte may rot: the values are as saved, or an error says so."""
    values = np.arange(12, dtype="float32").reshape(3, 4)
    whole = writer.save(tmp_path / "whole.bin", {"w": values}).read_bytes()
    path = tmp_path / "rotten.bin"
    refused = 0
    for position in range(len(whole)):
        rotten = bytearray(whole)
        rotten[position] ^= 0xFF
        path.write_bytes(rotten)
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
        ((2,), (-1,), 3),
        ((1000000000000,), (0,), 0),
        ((2**62, 2**62), (0, 0), 0),
        ((2, 3), (3,), 0),
        ((1,) * 9, (1,) * 9, 0),
        ((True, 2), (2, 1), 0),
        ((2.0,), (1,), 0),
        (6, 1, 0),
        ((0,), (1,), 0),
        ((2,), (2**70,), 0),
        ((2,), (1,), 2**70),
    ],
)
def test_tensors_beyond_their_storage(shape, strides, offset, writer, tmp_path):
    storage = writer.storage("0", "float32", 6)
    path = writer.write(
        tmp_path / "some.bin",
        writer.dictionary(
            {"bad.weight": writer.tensor(storage, shape, strides, offset)}
        ),
        {"0": bytes(24)},
    )
    with pytest.raises(ValueError, match=r"Tensor 'bad\.weight'"):
        read_pytorch_file(path)


@pytest.mark.parametrize("count", [5, 7, 10**15, 2**80, -6, 0])
def test_declared_sizes_against_the_member(count, writer, tmp_path):
    storage = writer.storage("0", "float32", count)
    path = writer.write(
        tmp_path / "some.bin",
        writer.dictionary({"weight": writer.tensor(storage, (2,), (1,))}),
        {"0": bytes(24)},
    )
    with pytest.raises(ValueError, match=r"declared as|beyond its storage"):
        read_pytorch_file(path)


def test_storage_under_two_dtypes(writer, tmp_path):
    entries = {
        "a": writer.tensor(writer.storage("0", "float32", 2), (2,), (1,)),
        "b": writer.tensor(writer.storage("0", "int32", 2), (2,), (1,)),
    }
    data = writer.dictionary(entries)
    path = writer.write(tmp_path / "some.bin", data, {"0": bytes(8)})
    with pytest.raises(ValueError, match=r"'b'.*described both as"):
        read_pytorch_file(path)


@pytest.mark.parametrize("key", ["1", "../data.pkl", "/etc/passwd", ""])
def test_storages_that_are_no_members(key, writer, tmp_path):
    storage = writer.storage(key, "float32", 2)
    data = writer.dictionary({"w": writer.tensor(storage, (2,), (1,))})
    path = writer.write(tmp_path / "some.bin", data, {"0": bytes(8)})
    with pytest.raises(ValueError, match="no member"):
        read_pytorch_file(path)


def test_tensor_without_a_storage(writer, tmp_path):
    data = writer.dictionary({"w": writer.tensor(b"K\x01", (2,), (1,))})
    path = writer.write(tmp_path / "some.bin", data)
    with pytest.raises(ValueError, match="not built on a storage"):
        read_pytorch_file(path)


def test_compressed_members_cannot_be_bombs(writer, tmp_path):
    storage = writer.storage("0", "float32", 10**6)
    data = writer.dictionary({"w": writer.tensor(storage, (2,), (1,))})
    path = writer.write(
        tmp_path / "bomb.bin",
        data,
        {"0": bytes(4 * 10**6)},
        compression=zipfile.ZIP_DEFLATED,
    )
    assert path.stat().st_size < 10**5
    with pytest.raises(ValueError, match="uncompressed"):
        read_pytorch_file(path)


def test_claims_beyond_the_file(writer, tmp_path):
    """The sizes in the archive's directory are forged to 256 MiB."""
    data = writer.dictionary(
        {
            "w": writer.tensor(
                writer.storage("0", "uint8", 0x10000000), (2,), (1,)
            )
        }
    )
    path = writer.write(tmp_path / "some.bin", data, {"0": b"\x07" * 77})
    content = path.read_bytes()
    size = (77).to_bytes(4, "little")
    forged = content.replace(size * 2, b"\x00\x00\x00\x10" * 2)
    assert forged != content
    path.write_bytes(forged)
    with pytest.raises(ValueError, match="members claim"):
        read_pytorch_file(path)


def test_members_of_one_name(writer, tmp_path):
    path = tmp_path / "some.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("archive/data.pkl", b"\x80\x02}.")
    with pytest.raises(ValueError, match="two members"):
        read_pytorch_file(path)


def test_many_copies_of_one_storage(writer, tmp_path):
    storage = writer.storage("0", "float32", 10**4)
    transposed = writer.tensor(storage, (100, 100), (1, 100))
    data = writer.dictionary({f"w{index}": transposed for index in range(60)})
    path = writer.write(tmp_path / "some.bin", data, {"0": bytes(4 * 10**4)})
    with pytest.raises(ValueError, match="times the"):
        read_pytorch_file(path)


def test_unknown_byte_order(writer, tmp_path):
    path = writer.write(
        tmp_path / "some.bin", b"\x80\x02}.", byteorder="middle"
    )
    with pytest.raises(ValueError, match="byte order"):
        read_pytorch_file(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_pytorch_file(tmp_path / "none.bin")


@pytest.mark.parametrize("name", ["", "s2s_ft_saved"])
def test_golden_file_of_pytorch(name, golden_dir):
    """Real files: as many tensors as described, bytes as in the archive."""
    path = golden_dir / "tiny_relpos" / name / "pytorch_model.bin"
    tensors = read_tensors(path)
    with zipfile.ZipFile(path) as archive:
        stored = {
            hashlib.sha256(archive.read(member)).hexdigest()
            for member in archive.namelist()
            if "/data/" in member
        }
    read = {
        hashlib.sha256(values.tobytes()).hexdigest()
        for values in tensors.values()
    }
    assert read == stored
