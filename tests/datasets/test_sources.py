import json
import pathlib

import pytest
import tensorflow as tf

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import hold_out
from unilmv2_tf.datasets import load_documents
from unilmv2_tf.datasets import load_pairs
from unilmv2_tf.datasets.corpus import cache
from unilmv2_tf.datasets.corpus.extraction import extract

TEXT = tf.TensorSpec((), tf.string)


@pytest.fixture(scope="module", autouse=True)
def small_corpus(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNILMV2_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(cache, "extract", lambda progress: extract(["numpy"]))
        yield


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo")
    (tmp_path / "b.txt").write_text("three")
    (tmp_path / "c.jsonl").write_text('{"text": "four"}\n')
    (tmp_path / "d.tsv").write_text("five\tsix\n")
    return tmp_path


def texts(dataset, key="text"):
    return [record[key].decode() for record in dataset.as_numpy_iterator()]


def test_globs_and_lists_are_read_in_order(folder):
    dataset = load_documents([str(folder / "*.txt"), folder / "c.jsonl"])
    assert dataset.element_spec == {"text": TEXT}
    assert texts(dataset) == ["one", "two", "three", "four"]
    assert len(dataset) == 4


def test_pairs_have_the_keys_of_the_preprocessor(folder):
    dataset = load_pairs(str(folder / "d.tsv"))
    assert dataset.element_spec == {"encoder_text": TEXT, "decoder_text": TEXT}
    (record,) = dataset.as_numpy_iterator()
    assert record == {"encoder_text": b"five", "decoder_text": b"six"}


def test_files_and_corpora_can_be_mixed(folder):
    dataset = load_pairs(["docstrings:summaries", str(folder / "d.tsv")])
    assert len(dataset) == len(docstrings.summary_pairs()) + 1
    assert texts(dataset, "decoder_text")[-1] == "six"


@pytest.mark.parametrize(
    ("load", "source", "function"),
    [
        (load_documents, "docstrings:", docstrings.documents),
        (load_pairs, "docstrings:arguments", docstrings.argument_pairs),
        (load_pairs, "docstrings:summaries", docstrings.summary_pairs),
    ],
)
def test_the_embedded_corpus_by_name(load, source, function):
    for split, same in (
        (None, "train"),
        ("train", "train"),
        ("validation", "validation"),
    ):
        assert list(load(source, split).as_numpy_iterator()) == list(
            function(same).as_numpy_iterator()
        )


def test_a_path_with_a_colon_is_a_path_where_it_exists(folder, monkeypatch):
    (folder / "notes:v1.txt").write_text("seven")
    monkeypatch.chdir(folder)
    assert texts(load_documents("notes:v1.txt")) == ["seven"]
    assert texts(load_documents(pathlib.Path("a.txt"))) == ["one", "two"]


@pytest.mark.parametrize(
    ("load", "source", "error", "message"),
    [
        (load_documents, "hdfs:x.txt", ValueError, "unknown scheme 'hdfs:'"),
        (load_documents, "docstrings:summaries", ValueError, "no documents"),
        (load_pairs, "docstrings:", ValueError, "no pairs.*:arguments, "),
        (load_pairs, "docstrings:argument", ValueError, "no pairs"),
        (load_documents, [], ValueError, "at least one"),
        (load_documents, 3, ValueError, "type int"),
        (load_documents, "nowhere.txt", FileNotFoundError, "No file matches"),
        (load_documents, "", FileNotFoundError, "No file matches"),
    ],
)
def test_sources_that_are_refused(load, source, error, message):
    with pytest.raises(error, match=message):
        load(source)


def test_wrong_lines_are_refused_before_anything_is_read(folder):
    good = "".join(json.dumps({"text": "x"}) + "\n" for _ in range(3000))
    (folder / "late.jsonl").write_text(good + "oops\n")
    with pytest.raises(ValueError, match=r"late\.jsonl:3001: not valid JSON"):
        load_documents(str(folder / "late.jsonl"))


def test_unknown_splits_are_refused(folder):
    with pytest.raises(ValueError, match="split='test'"):
        load_documents(str(folder / "a.txt"), split="test")


def test_a_file_is_split_in_two_parts_without_overlap(tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("\n\n".join(f"document {n}" for n in range(2000)))
    train = texts(load_documents(str(path), "train"))
    held = texts(load_documents(str(path), "validation"))
    assert sorted(train + held) == sorted(texts(load_documents(str(path))))
    assert 50 < len(held) < 150
    # Records stay where they are when others come.
    path.write_text("\n\n".join(f"document {n}" for n in range(3000)))
    assert set(held) <= set(texts(load_documents(str(path), "validation")))


def test_a_file_too_small_to_split_says_so(folder):
    with pytest.raises(ValueError, match=r"b\.txt cannot be split.*validation"):
        load_documents(str(folder / "b.txt"), "validation")


def test_pairs_with_the_same_input_stay_together():
    inputs = [str(number // 4) for number in range(2000)]
    dataset = tf.data.Dataset.from_tensor_slices(
        {"encoder_text": inputs, "decoder_text": [str(n) for n in range(2000)]}
    )
    train, held = hold_out(dataset, share=0.2)
    one, two = texts(train, "encoder_text"), texts(held, "encoder_text")
    assert not set(one) & set(two)
    assert len(one) + len(two) == 2000 and 200 < len(two) < 600


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_shares_that_are_none(share):
    dataset = tf.data.Dataset.from_tensor_slices({"text": ["a"]})
    with pytest.raises(ValueError, match="between 0 and 1"):
        hold_out(dataset, share)


def test_datasets_without_a_known_key():
    dataset = tf.data.Dataset.from_tensor_slices({"question": ["a"]})
    with pytest.raises(ValueError, match="question"):
        hold_out(dataset)
