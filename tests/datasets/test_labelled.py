import numpy as np
import pytest

from unilmv2_tf.datasets import label_names
from unilmv2_tf.datasets import load_labelled
from unilmv2_tf.datasets import reading
from unilmv2_tf.datasets.corpus import cache
from unilmv2_tf.datasets.corpus.extraction import extract
from unilmv2_tf.datasets.docstring_labels import PACKAGE_NAMES
from unilmv2_tf.datasets.docstring_labels import TOPIC_NAMES


@pytest.fixture(scope="module", autouse=True)
def small_corpus(tmp_path_factory):
    """One package, and functions of modules whose topics are known."""
    documents = [
        {
            "package": "python",
            "name": f"python.{module}.function",
            "text": f"Does number {number} of what {module} is there for.",
            "arguments": [],
        }
        for module in ("json", "asyncio", "smtplib", "antigravity")
        for number in range(60)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNILMV2_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(
            cache,
            "extract",
            lambda progress: documents + extract(["numpy"]),
        )
        yield


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.tsv").write_text("good film\t10\nbad film\t9\n")
    (tmp_path / "b.tsv").write_text("long film\t100\n")
    (tmp_path / "pairs.jsonl").write_text(
        '{"text_a": "a", "text_b": "b", "label": "same"}\n'
    )
    (tmp_path / "values.tsv").write_text("warm\t1.5\ncold\t-2\n")
    return tmp_path


def rows(dataset):
    return [
        (*(value for value in record.values()), label)
        for record, label in dataset.as_numpy_iterator()
    ]


def test_globs_are_read_in_order_and_classes_are_sorted(folder):
    source = str(folder / "[ab].tsv")
    dataset = load_labelled(source)
    assert rows(dataset) == [
        (b"good film", b"10"),
        (b"bad film", b"9"),
        (b"long film", b"100"),
    ]
    assert len(dataset) == 3
    assert label_names(source) == ["9", "10", "100"]
    parts = [folder / "b.tsv", str(folder / "a.tsv")]
    assert label_names(parts) == ["9", "10", "100"]
    assert rows(load_labelled(parts))[0] == (b"long film", b"100")


def test_ids_count_the_examples_of_a_source(folder):
    dataset = load_labelled(str(folder / "[ab].tsv"), with_ids=True)
    assert [int(record["id"]) for record, _ in dataset] == [0, 1, 2]
    (example,) = load_labelled(folder / "pairs.jsonl", with_ids=True)
    assert set(example[0]) == {"id", "text_a", "text_b"}


def test_values_are_numbers(folder):
    dataset = load_labelled(folder / "values.tsv")
    assert dataset.element_spec[1].dtype == np.float32
    assert rows(dataset) == [(b"warm", 1.5), (b"cold", -2.0)]
    assert label_names(folder / "values.tsv") is None


def test_a_file_is_split_by_the_first_text(tmp_path):
    path = tmp_path / "many.tsv"
    path.write_text(
        "".join(f"a {n // 4}\tb {n}\t{n % 3}\n" for n in range(2000))
    )
    train = rows(load_labelled(path, "train", with_ids=True))
    held = rows(load_labelled(path, "validation", with_ids=True))
    whole = rows(load_labelled(path, with_ids=True))
    assert sorted(train + held) == sorted(whole)
    assert not {row[1] for row in train} & {row[1] for row in held}
    assert 20 < len(held) < 200


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.tsv", "values.tsv"], "one kind of record.*string.*float32"),
        (["a.tsv", "pairs.jsonl"], "one kind of record.*text .*text_a, text_b"),
        ("*.tsv", "files of different kinds.*classes.*values"),
    ],
)
def test_sources_that_do_not_fit_together(folder, names, message):
    source = (
        [folder / name for name in names]
        if isinstance(names, list)
        else str(folder / names)
    )
    with pytest.raises(ValueError, match=f"(?s){message}"):
        load_labelled(source)


def test_class_names_and_values_are_not_mixed(folder):
    with pytest.raises(ValueError, match="which mix them"):
        label_names([folder / "a.tsv", folder / "values.tsv"])


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("docstrings:packages", PACKAGE_NAMES),
        ("docstrings:topics", TOPIC_NAMES),
    ],
)
def test_the_embedded_corpus(source, names):
    assert label_names(source) == list(names)
    assert len(names) == {"packages": 9, "topics": 8}[source.split(":")[1]]
    by_split = {
        split: rows(load_labelled(source, split))
        for split in ("train", "validation")
    }
    assert by_split["train"] == rows(load_labelled(source))
    for found in by_split.values():
        labels = {label.decode() for _, label in found}
        assert 1 < len(labels) and labels <= set(names)
        lengths = [len(text.split()) for text, _ in found]
        assert min(lengths) >= 5 and max(lengths) <= 64
        assert len(set(found)) == len(found) > 5
    texts = [{text for text, _ in found} for found in by_split.values()]
    assert not texts[0] & texts[1]


def test_names_of_packages_are_taken_out():
    words = {
        word.strip("().,:;'\"`~").lower()
        for text, _ in rows(load_labelled("docstrings:packages"))
        for word in text.decode().split()
    }
    assert "array" in words
    assert not words & {"numpy", "np", "scikit-learn", "sklearn", "tf", "scipy"}


def test_the_topic_is_that_of_the_module():
    for text, label in rows(load_labelled("docstrings:topics")):
        (module,) = {"json", "asyncio", "smtplib"} & set(text.decode().split())
        topics = {
            "json": "files", "asyncio": "concurrency", "smtplib": "network"
        }  # fmt: skip
        assert topics[module] == label.decode()


def test_kinds_of_docstrings_that_have_no_labels():
    for load in (load_labelled, label_names):
        with pytest.raises(ValueError, match=r":packages and .*:topics"):
            load("docstrings:arguments")


def test_batches_of_lines_do_not_show(folder, monkeypatch):
    expected = rows(load_labelled(folder / "a.tsv"))
    monkeypatch.setattr(reading, "_LINES_AT_ONCE", 1)
    assert rows(load_labelled(folder / "a.tsv")) == expected
