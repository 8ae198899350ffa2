import functools
import os
import re

import pytest

from unilmv2_tf.datasets import docstrings

pytestmark = pytest.mark.usefixtures("small_docstrings")


def texts(dataset, key):
    return [record[key].decode() for record in dataset.as_numpy_iterator()]


def words(text):
    # Not the function of the corpus, on purpose.
    return tuple(re.sub(r"[\W_]+", " ", text.lower()).split())


def sources(function, split):
    return texts(function(split), "encoder_text")


def test_documents_of_the_splits_share_no_words():
    train = {
        words(text) for text in texts(docstrings.load_examples(""), "text")
    }
    held = [
        words(text)
        for text in texts(docstrings.load_examples("", "validation"), "text")
    ]
    assert len(train) > 1000 and len(held) > 20
    assert not train.intersection(held)
    assert len(train) == len(docstrings.load_examples(""))


def test_no_summary_line_stands_in_both_splits():
    first = {
        split: {
            words(text.split("\n")[0])
            for text in texts(docstrings.load_examples("", split), "text")
            if ". " not in text.split("\n")[0]
        }
        for split in ("train", "validation")
    }
    assert not first["train"] & first["validation"]


@pytest.mark.parametrize(
    "function",
    [
        functools.partial(docstrings.load_examples, "arguments"),
        functools.partial(docstrings.load_examples, "summaries"),
    ],
)
def test_sources_of_validation_pairs_are_new_words(function):
    train = {words(text) for text in sources(function, "train")}
    held = [words(text) for text in sources(function, "validation")]
    assert len(held) > 20
    assert not train.intersection(held)


@pytest.mark.parametrize(
    ("function", "key"),
    [
        (
            functools.partial(docstrings.load_examples, "arguments"),
            "encoder_text",
        ),
        (
            functools.partial(docstrings.load_examples, "summaries"),
            "decoder_text",
        ),
    ],
)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_pairs_come_from_documents_of_their_split(function, key, split):
    corpus = " ".join(
        " ".join(words(text))
        for text in texts(docstrings.load_examples("", split), "text")
    )
    found = [
        " ".join(words(text)) in corpus
        for text in texts(function(split), key)[::10]
    ]
    # Descriptions lose their types, which stand between name and text.
    assert sum(found) >= 0.95 * len(found)


def test_argument_names_are_identifiers_and_pairs_are_unique():
    pairs = [
        (record["encoder_text"], record["decoder_text"].decode())
        for record in docstrings.load_examples("arguments").as_numpy_iterator()
    ]
    assert len(set(pairs)) == len(pairs) > 1000
    assert all(name.isidentifier() for _, name in pairs)
    assert all(b"\n" not in text for text, _ in pairs)


@pytest.mark.parametrize(
    "function",
    [
        functools.partial(docstrings.load_examples, ""),
        functools.partial(docstrings.load_examples, "arguments"),
        functools.partial(docstrings.load_examples, "summaries"),
    ],
)
def test_unknown_splits_are_refused(function):
    with pytest.raises(ValueError, match=r"'train' or 'validation'.*'test'"):
        function("test")


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

    def extract():
        calls.append(1)
        return DOCUMENTS

    monkeypatch.setattr(docstrings, "extract", extract)
    return calls


def load_anew():
    """Loads the corpus as a new process does."""
    docstrings._corpus.cache_clear()
    docstrings._examples_by_split.cache_clear()
    return texts(docstrings.load_examples(""), "text")


def test_the_second_time_comes_from_the_file(calls):
    first = load_anew()
    assert load_anew() == first
    assert len(calls) == 1
    assert set(first) <= {document["text"] for document in DOCUMENTS}
    folder, name = os.path.split(docstrings.cache_path())
    assert os.listdir(folder) == [name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"not a compressed file",
        lambda data: data[:60] + bytes([data[60] ^ 255]) + data[61:],
    ],
)
def test_a_damaged_file_is_built_again(calls, damage):
    good = load_anew()
    with open(docstrings.cache_path(), "rb") as file:
        data = file.read()
    with open(docstrings.cache_path(), "wb") as file:
        file.write(damage(data))
    assert load_anew() == good and len(calls) == 2
    assert load_anew() == good and len(calls) == 2


def test_another_version_of_a_package_is_another_file(calls, monkeypatch):
    before = docstrings.cache_path()
    monkeypatch.setattr(
        docstrings, "package_versions", lambda: {"numpy": "0.1"}
    )
    assert docstrings.cache_path() != before


def test_a_folder_that_cannot_be_made_costs_the_cache_only(
    calls, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("UNILMV2_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="UNILMV2_CACHE"):
        assert load_anew()


def test_the_home_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("UNILMV2_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".cache" / "unilmv2_tf"
    assert docstrings.cache_path().startswith(str(folder))
