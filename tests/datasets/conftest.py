"""Datasets of TFDS that its own builders prepare, from files made here."""

import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import file_utils


@pytest.fixture
def prepare(tmp_path, monkeypatch):
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
