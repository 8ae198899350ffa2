import json
import shutil

import pytest

from unilmv2_tf.datasets.packed import open_packed_folder
from unilmv2_tf.datasets.packed.units import plan_units
from unilmv2_tf.datasets.packed.writing import write_packed_folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("folder")
    (folder / "a.txt").write_text("\n\n".join(["some words"] * 40))
    write_packed_folder(
        plan_units(folder / "a.txt"),
        tokenizer,
        folder / "packed",
        sequence_length=16,
        validation_share=0,
    )
    return folder / "packed"


@pytest.fixture
def copy(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "copy")


def test_one_split(packed, tokenizer):
    opened = open_packed_folder(packed)
    ((path, num_rows),) = opened.shards["train"]
    # 40 times nine letters, thirteen in a row.
    assert num_rows == opened.num_rows("train") == -(-40 * 9 // 13)
    assert path == str(packed / "packed_rows-train.tfrecord-00000-of-00001")
    assert opened.tokenizer().get_vocabulary() == tokenizer.get_vocabulary()
    with pytest.raises(ValueError, match=r"one of train.*split='test'"):
        opened.num_rows("test")


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        open_packed_folder(tmp_path / "missing")


@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
def test_another_folder(copy, name):
    (copy / name).unlink()
    with pytest.raises(ValueError, match=rf"{name}.*interrupted"):
        open_packed_folder(copy)


def test_another_format(copy):
    metadata = json.loads((copy / "metadata.json").read_text())
    metadata["format"] = 2
    (copy / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="format 2"):
        open_packed_folder(copy)


def test_damaged_description(copy):
    (copy / "metadata.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        open_packed_folder(copy)


def test_a_shard_that_is_missing(copy):
    next(copy.glob("*tfrecord*")).unlink()
    with pytest.raises(FileNotFoundError, match="00000-of-00001 is missing"):
        open_packed_folder(copy)


@pytest.mark.parametrize("num_bytes", [0, 5, -1])
def test_a_shard_that_was_cut_short(copy, num_bytes):
    shard = next(copy.glob("*tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:num_bytes])
    with pytest.raises(ValueError, match="is damaged"):
        open_packed_folder(copy)
