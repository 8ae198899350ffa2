import gzip
import os

import pytest

from unilmv2_tf.datasets.corpus import cache

DOCUMENTS = [
    {
        "package": "python",
        "name": f"python.f{number}",
        "text": f"Returns the number {number}, naïvely.",
        "arguments": [["x", "Not used at all."]],
    }
    for number in range(20)
]


@pytest.fixture
def calls(tmp_path, monkeypatch):
    monkeypatch.setenv("UNILMV2_CACHE", str(tmp_path / "new" / "folder"))
    calls = []

    def extract(progress=None):
        calls.append(1)
        return DOCUMENTS

    monkeypatch.setattr(cache, "extract", extract)
    return calls


def names(documents):
    return sorted(document["name"] for document in documents)


def test_the_second_time_comes_from_the_file(calls):
    first = cache.load_corpus()
    second = cache.load_corpus()
    assert len(calls) == 1
    assert first == second
    assert names(first) == names(DOCUMENTS)
    assert os.listdir(cache.cache_folder()) == [
        os.path.basename(cache.cache_path())
    ]


def test_the_same_corpus_is_the_same_file(calls):
    cache.load_corpus()
    with open(cache.cache_path(), "rb") as file:
        before = file.read()
    os.remove(cache.cache_path())
    cache.load_corpus()
    with open(cache.cache_path(), "rb") as file:
        assert file.read() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"not a compressed file",
        lambda data: data[:60] + bytes([data[60] ^ 255]) + data[61:],
        lambda data: gzip.compress(b"{}\n"),
        lambda data: gzip.compress(b"[1]\n[2]\n"),
        lambda data: gzip.compress(b'{"format": 1, "documents": 1}\n3\n'),
        lambda data: gzip.compress(b'{"format": 1, "documents": 1}\n{}\n'),
        lambda data: gzip.compress(b"\xff\n"),
    ],
)
def test_a_damaged_file_is_built_again(calls, damage):
    good = cache.load_corpus()
    with open(cache.cache_path(), "rb") as file:
        data = file.read()
    with open(cache.cache_path(), "wb") as file:
        file.write(damage(data))
    assert cache.load_corpus() == good
    assert len(calls) == 2
    with open(cache.cache_path(), "rb") as file:
        assert file.read() == data


def test_another_version_of_a_package_is_another_file(calls, monkeypatch):
    before = cache.cache_path()
    monkeypatch.setattr(cache, "package_versions", lambda: {"numpy": "0.1"})
    assert cache.cache_path() != before


def test_a_folder_that_cannot_be_made_costs_the_cache_only(
    calls, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNILMV2_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="UNILMV2_CACHE"):
        assert names(cache.load_corpus()) == names(DOCUMENTS)


def test_an_interrupted_write_leaves_nothing(calls, monkeypatch):
    def replace(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        cache.load_corpus()
    assert os.listdir(cache.cache_folder()) == []


def test_the_home_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("UNILMV2_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == str(tmp_path / ".cache" / "unilmv2_tf")
