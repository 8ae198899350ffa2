"""Files, folders and shards."""

import json
import re

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints.readers import read_tensors


def load(path):
    return load_checkpoint(path, UniLMv2Backbone)


def assert_same_weights(model, other):
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


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
def test_nan_and_infinity_are_named(bad, dtype, tensors, save):
    name = "bert.embeddings.LayerNorm.weight"
    tensors[name] = tensors[name].astype(dtype)
    tensors[name][3] = bad
    with pytest.raises(ValueError, match=f"'{name}' holds NaN.* 1 of 32"):
        load(save(tensors))


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_damaged_safetensors(length, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": np.ones(30, "float32")}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"not a readable \.safetensors") as e:
        load(path)
    assert str(path) in str(e.value)


def test_other_endings(tmp_path):
    path = tmp_path / "model.ckpt"
    path.touch()
    with pytest.raises(ValueError, match=r"model\.ckpt"):
        load(path)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"pytorch_model\.bin"):
        load(tmp_path)


def test_folders_prefer_safetensors(tensors, save):
    folder = save(tensors)
    (folder / "pytorch_model.bin").touch()
    load(folder)
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(ValueError, match="an empty file"):
        load(folder)
    (folder / "pytorch_model.bin").unlink()
    load(folder)


@pytest.mark.parametrize("whole", ["model.safetensors", "pytorch_model.bin"])
def test_shards(whole, case, config, bert_tensors, writer, tmp_path):
    """As Hugging Face splits large models."""
    stem, _, suffix = whole.partition(".")
    names = sorted(bert_tensors)
    weight_map = {}
    for number, part in enumerate((names[:10], names[10:]), start=1):
        shard = f"{stem}-{number:05d}-of-00002.{suffix}"
        values = {name: bert_tensors[name] for name in part}
        if suffix == "safetensors":
            save_file(values, tmp_path / shard)
        else:
            writer.save(tmp_path / shard, values)
        weight_map |= dict.fromkeys(part, shard)
    index = tmp_path / f"{whole}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (tmp_path / "config.json").write_text(json.dumps(config))
    expected = load(case)
    for path in (tmp_path, index):
        assert_same_weights(load(path), expected)
    (tmp_path / shard).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(shard)):
        load(tmp_path)
