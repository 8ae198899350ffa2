"""The golden model, and PyTorch files written by hand."""

import json
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import save_file

STORAGES = {
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


@pytest.fixture
def case(golden_dir):
    return golden_dir / "tiny_relpos"


@pytest.fixture
def config(case):
    return json.loads((case / "config.json").read_text())


@pytest.fixture
def tensors(case):
    """The authors' file, fused projections."""
    return load_file(case / "model.safetensors")


@pytest.fixture
def bert_tensors(case):
    """The same weights under Hugging Face's names."""
    return load_file(case / "hf_bert.safetensors")


@pytest.fixture
def save(tmp_path, config):
    """Writes tensors and the golden configuration into a folder."""

    def write(tensors, **changes):
        save_file(
            {name: values.copy() for name, values in tensors.items()},
            tmp_path / "model.safetensors",
        )
        (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
        return tmp_path

    return write


class BinWriter:
    """Writes the zip archive and the pickle as `torch.save` lays them out."""

    def plain(self, value):
        """Operations that push a number, string, tuple or bool."""
        return pickle.dumps(value, protocol=2)[2:-1]

    def name(self, module, attribute):
        """The GLOBAL operation."""
        return f"c{module}\n{attribute}\n".encode()

    def storage(self, key, dtype, count, kind=None):
        """A storage, by its persistent id."""
        kind = kind or self.name("torch", STORAGES[str(np.dtype(dtype))])
        entries = (
            self.plain("storage"),
            kind,
            self.plain(key),
            self.plain("cpu"),
            self.plain(count),
        )
        return b"(" + b"".join(entries) + b"tQ"

    def tensor(self, storage, shape, strides, offset=0):
        """A call of the function that rebuilds tensors."""
        return (
            self.name("torch._utils", "_rebuild_tensor_v2")
            + b"("
            + storage
            + b"".join(self.plain(value) for value in (offset, shape, strides))
            + b"\x89"
            + self.name("collections", "OrderedDict")
            + b")RtR"
        )

    def dictionary(self, entries):
        """The whole pickle, from a dict of names to operations."""
        items = b"".join(
            self.plain(name) + value for name, value in entries.items()
        )
        return b"\x80\x02}(" + items + b"u."

    def write(self, path, data_pkl, storages=(), byteorder=None):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data_pkl)
            if byteorder:
                archive.writestr("archive/byteorder", byteorder)
            for key, content in dict(storages).items():
                archive.writestr(f"archive/data/{key}", content)
            archive.writestr("archive/version", "3\n")
        return path

    def save(self, path, tensors):
        """A state dict of contiguous arrays, one storage each."""
        entries, storages = {}, {}
        for index, (name, values) in enumerate(tensors.items()):
            key = str(index)
            storages[key] = np.ascontiguousarray(values).tobytes()
            strides = tuple(
                int(np.prod(values.shape[axis + 1 :], dtype="int64"))
                for axis in range(values.ndim)
            )
            entries[name] = self.tensor(
                self.storage(key, values.dtype, values.size),
                values.shape,
                strides,
            )
        return self.write(path, self.dictionary(entries), storages)


@pytest.fixture
def writer():
    return BinWriter()


@pytest.fixture
def some_values():
    """Six numbers of any of the readable dtypes."""

    def make(dtype):
        dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
        return np.array([0, 1, 5, 3, 2, 1]).astype(dtype)

    return make
