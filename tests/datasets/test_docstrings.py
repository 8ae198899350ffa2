import re

import pytest

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets.corpus import cache
from unilmv2_tf.datasets.corpus.extraction import extract


@pytest.fixture(scope="module", autouse=True)
def small_corpus(tmp_path_factory):
    """The corpus of fewer packages: the whole takes long to read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNILMV2_CACHE", str(tmp_path_factory.mktemp("cache")))
        names = ["pydoc_data", "numpy", "keras", "sklearn"]
        patch.setattr(cache, "extract", lambda progress: extract(names))
        yield


def texts(dataset, key):
    return [record[key].decode() for record in dataset.as_numpy_iterator()]


def words(text):
    # Not the function of the corpus, on purpose.
    return tuple(re.sub(r"[\W_]+", " ", text.lower()).split())


def sources(function, split):
    return texts(function(split), "encoder_text")


def test_documents_of_the_splits_share_no_words():
    train = {words(text) for text in texts(docstrings.documents(), "text")}
    held = [
        words(text)
        for text in texts(docstrings.documents("validation"), "text")
    ]
    assert len(train) > 2000 and len(held) > 50
    assert not train.intersection(held)
    assert len(train) == len(docstrings.documents())


def test_no_summary_line_stands_in_both_splits():
    first = {
        split: {
            words(text.split("\n")[0])
            for text in texts(docstrings.documents(split), "text")
            if ". " not in text.split("\n")[0]
        }
        for split in ("train", "validation")
    }
    assert not first["train"] & first["validation"]


@pytest.mark.parametrize(
    "function", [docstrings.argument_pairs, docstrings.summary_pairs]
)
def test_sources_of_validation_pairs_are_new_words(function):
    train = {words(text) for text in sources(function, "train")}
    held = [words(text) for text in sources(function, "validation")]
    assert len(held) > 20
    assert not train.intersection(held)


@pytest.mark.parametrize(
    ("function", "key"),
    [
        (docstrings.argument_pairs, "encoder_text"),
        (docstrings.summary_pairs, "decoder_text"),
    ],
)
@pytest.mark.parametrize("split", ["train", "validation"])
def test_pairs_come_from_documents_of_their_split(function, key, split):
    corpus = " ".join(
        " ".join(words(text))
        for text in texts(docstrings.documents(split), "text")
    )
    found = [
        " ".join(words(text)) in corpus for text in texts(function(split), key)
    ]
    # Descriptions lose their types, which stand between name and text.
    assert sum(found) >= 0.95 * len(found)


def test_argument_names_are_identifiers_and_pairs_are_unique():
    pairs = [
        (record["encoder_text"], record["decoder_text"].decode())
        for record in docstrings.argument_pairs().as_numpy_iterator()
    ]
    assert len(set(pairs)) == len(pairs) > 1000
    assert all(name.isidentifier() for _, name in pairs)
    assert all(b"\n" not in text for text, _ in pairs)


def test_passages_keep_every_word_in_order():
    whole = texts(docstrings.documents("validation"), "text")
    parts = texts(docstrings.documents("validation", max_words=50), "text")
    assert max(len(text.split()) for text in parts) <= 50
    assert " ".join(parts).split() == " ".join(whole).split()
    assert len(parts) > len(whole)


def test_statistics_count_what_the_datasets_hold():
    counts = docstrings.statistics()
    for split in ("train", "validation"):
        found = texts(docstrings.documents(split), "text")
        assert counts["documents"][split] == len(found)
        assert counts["words"][split] == len(" ".join(found).split())
        assert counts["bytes"][split] == sum(len(t.encode()) for t in found)
        assert counts["argument_pairs"][split] == len(
            sources(docstrings.argument_pairs, split)
        )
        assert counts["summary_pairs"][split] == len(
            sources(docstrings.summary_pairs, split)
        )
    assert sum(counts["packages"].values()) == sum(counts["documents"].values())
    assert counts["packages"]["tensorflow"] == 0
    assert counts["cache_bytes"] > 0


def test_the_description_names_what_is_there_and_what_is_absent():
    text = docstrings.describe()
    assert "absent here: python, scipy, matplotlib" in text
    assert f"{docstrings.statistics()['words']['train']:,} words" in text


@pytest.mark.parametrize(
    "function",
    [docstrings.documents, docstrings.argument_pairs, docstrings.summary_pairs],
)
def test_unknown_splits_are_refused(function):
    with pytest.raises(ValueError, match=r"'train' or 'validation'.*'test'"):
        function("test")


def test_passages_of_no_words_are_refused():
    with pytest.raises(ValueError, match="max_words=0"):
        docstrings.documents(max_words=0)
