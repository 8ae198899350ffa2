"""Fixtures: a tokenizer of letters, text, docstrings, and TFDS data."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import file_utils

from unilmv2_tf.datasets import shard_plan
from unilmv2_tf.preprocessing import UniLMv2Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


@pytest.fixture(scope="session")
def tokenizer():
    """Words are split into letters, of ids 5 to 30 at their beginning."""
    pieces = [f"##{letter}" for letter in LETTERS]
    return UniLMv2Tokenizer([*SPECIAL, *LETTERS, *pieces])


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A text of about 250 kB: three shards of `small_shards`."""
    generator = np.random.default_rng(7)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz      "))
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    documents = [
        "".join(generator.choice(letters, size))
        for size in generator.integers(20, 2000, 250)
    ]
    path.write_text("\n\n".join(documents) + "\n")
    return path


@pytest.fixture(scope="module")
def small_shards():
    """A plan has shards of 100 kB instead of 1 MB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_plan, "MIN_SHARD_BYTES", 100_000)
        yield


@pytest.fixture
def prepare_tfds(tmp_path, monkeypatch):
    """Prepares a dataset of TFDS from given files instead of a download."""
    data_dir = str(tmp_path / "tfds")
    downloads = {}

    def fetch(self, resource):
        del self, resource
        return downloads["files"]

    for method in ("download", "download_and_extract"):
        monkeypatch.setattr(tfds.download.DownloadManager, method, fetch)
    tfds.core.add_data_dir(data_dir)

    def run(name, files):
        downloads["files"] = files
        builder = tfds.builder(name, data_dir=data_dir)
        builder.download_and_prepare()
        return builder

    yield run
    file_utils.clear_registered_data_dirs()
