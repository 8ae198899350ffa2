import json
import shutil

import numpy as np
import pytest

from unilmv2_tf.datasets import open_token_shards
from unilmv2_tf.datasets.shard_plan import plan_shards
from unilmv2_tf.datasets.shard_writing import write_token_shards
from unilmv2_tf.datasets.token_shards import token_dtype


@pytest.fixture(scope="module")
def shards(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("folder")
    (folder / "a.txt").write_text("\n\n".join(["some words"] * 40))
    write_token_shards(
        plan_shards(folder / "a.txt"),
        tokenizer,
        folder / "shards",
        sequence_length=16,
        validation_share=0,
    )
    return folder / "shards"


@pytest.fixture
def copy(shards, tmp_path):
    return shutil.copytree(shards, tmp_path / "copy")


def test_one_split(shards, tokenizer):
    opened = open_token_shards(shards)
    ((path, num_rows),) = opened.shards["train"]
    # 40 times nine letters, thirteen in a row.
    assert num_rows == opened.num_rows("train") == -(-40 * 9 // 13)
    assert path == str(shards / "token_shards-train.tfrecord-00000-of-00001")
    assert opened.tokenizer().get_vocabulary() == tokenizer.get_vocabulary()
    with pytest.raises(ValueError, match=r"one of train.*split='test'"):
        opened.num_rows("test")


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        open_token_shards(tmp_path / "missing")


def test_another_folder(copy):
    (copy / "metadata.json").unlink()
    with pytest.raises(ValueError, match=r"metadata\.json.*not made by"):
        open_token_shards(copy)


def test_another_format(copy):
    metadata = json.loads((copy / "metadata.json").read_text())
    metadata["format"] = 1
    (copy / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="format 1"):
        open_token_shards(copy)


def test_damaged_description(copy):
    (copy / "metadata.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        open_token_shards(copy)


def test_a_shard_that_is_missing(copy):
    next(copy.glob("*tfrecord*")).unlink()
    with pytest.raises(FileNotFoundError, match="00000-of-00001 is missing"):
        open_token_shards(copy)


@pytest.mark.parametrize("num_bytes", [0, 5, -1])
def test_a_shard_that_was_cut_short(copy, num_bytes):
    shard = next(copy.glob("*tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:num_bytes])
    with pytest.raises(ValueError, match="is damaged"):
        open_token_shards(copy)


def test_ids_take_two_bytes_if_they_fit():
    assert token_dtype(65536) == np.uint16
    assert token_dtype(65537) == np.int32
