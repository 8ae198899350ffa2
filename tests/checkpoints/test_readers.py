"""Files, folders and configurations."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from unilmv2_tf.checkpoints.readers import find_weights
from unilmv2_tf.checkpoints.readers import read_config
from unilmv2_tf.checkpoints.readers import read_tensors


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64"])
def test_safetensors_and_bin_read_alike(dtype, writer, some_values, tmp_path):
    tensors = {"weight": some_values(dtype).reshape(3, 2)}
    save_file(tensors, tmp_path / "model.safetensors")
    writer.save(tmp_path / "pytorch_model.bin", tensors)
    for name in ("model.safetensors", "pytorch_model.bin"):
        result = read_tensors(tmp_path / name)
        assert result.keys() == tensors.keys()
        assert result["weight"].dtype == tensors["weight"].dtype
        np.testing.assert_array_equal(result["weight"], tensors["weight"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.float64]
)
@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_nan_and_infinity_are_named(bad, dtype, suffix, writer, tmp_path):
    tensors = {
        "good.weight": np.ones(3, dtype),
        "bad.weight": np.array([1, bad, 2]).astype(dtype),
    }
    path = tmp_path / f"model{suffix}"
    if suffix == ".bin":
        writer.save(path, tensors)
    else:
        save_file(tensors, path)
    with pytest.raises(ValueError, match=r"'bad\.weight' holds NaN.* 1 of 3"):
        read_tensors(path)


@pytest.mark.parametrize(
    "dtype, code", [("uint16", "U16"), ("complex64", "C64")]
)
def test_other_dtypes_of_safetensors(dtype, code, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"odd": np.zeros(2, dtype)}, path)
    with pytest.raises(ValueError, match=f"'odd' has dtype {code}"):
        read_tensors(path)


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_damaged_safetensors(length, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": np.ones(30, "float32")}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"not a readable \.safetensors") as e:
        read_tensors(path)
    assert str(path) in str(e.value)


def test_other_endings(tmp_path):
    path = tmp_path / "model.ckpt"
    path.touch()
    with pytest.raises(ValueError, match=r"model\.ckpt"):
        read_tensors(path)


def test_folder_prefers_safetensors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"pytorch_model\.bin"):
        find_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    assert find_weights(str(tmp_path)) == tmp_path / "pytorch_model.bin"
    (tmp_path / "model.safetensors").touch()
    assert find_weights(tmp_path) == tmp_path / "model.safetensors"
    other = tmp_path / "pytorch_model.bin"
    assert find_weights(other) == other


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_weights(tmp_path / "none")


def test_config_from_three_places(tmp_path):
    beside = tmp_path / "pytorch_model.bin"
    with pytest.raises(ValueError, match="Pass config="):
        read_config(None, beside)
    (tmp_path / "config.json").write_text('{"vocab_size": 1}')
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"vocab_size": 2}))
    assert read_config(None, beside) == {"vocab_size": 1}
    assert read_config(str(other), beside) == {"vocab_size": 2}
    assert read_config({"vocab_size": 3}, beside) == {"vocab_size": 3}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe"])
def test_configs_that_are_none(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="configuration must be a JSON"):
        read_config(path, tmp_path / "pytorch_model.bin")
