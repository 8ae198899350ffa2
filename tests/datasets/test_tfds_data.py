"""The tasks of GLUE as TFDS prepares them, from files in GLUE's formats."""

import csv

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from unilmv2_tf.datasets import label_names
from unilmv2_tf.datasets import load_labeled
from unilmv2_tf.datasets.glue import GLUE_TASKS
from unilmv2_tf.datasets.tfds_data import find_labeled_columns
from unilmv2_tf.datasets.tfds_data import open_builder

TEXTS = (
    "A man is playing a harp.",
    'He said "no", & left \u2014 caf\u00e9.',
    "The fox jumped over the dog.",
    "Prices rose 3% on Monday.",
    "Nobody knows why.",
)
FOLDERS = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "qqp": "QQP",
    "stsb": "STS-B",
    "mnli": "MNLI",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
}
SPLIT_FILES = {
    "train": "train",
    "validation": "dev",
    "test": "test",
    "validation_matched": "dev_matched",
    "validation_mismatched": "dev_mismatched",
    "test_matched": "test_matched",
    "test_mismatched": "test_mismatched",
}


def rows_of(task, split, offset):
    """Examples by index: a text or a pair, and the label."""
    names = task.label_names
    rows = []
    for index in range(len(TEXTS)):
        texts = [
            f"{split}: {TEXTS[(index + offset + place) % len(TEXTS)]}"
            for place in range(len(task.text_keys))
        ]
        if split.startswith("test"):
            label = None
        elif names is None:
            label = index * 1.25
        else:
            label = names[index % len(names)]
        rows.append((texts, label))
    return rows


def write_tsv(path, header, rows, mark=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(mark)
        writer = csv.writer(
            file, "excel-tab", quoting=csv.QUOTE_NONE, quotechar=None
        )
        writer.writerows([header, *rows] if header else rows)


def write_task(task, folder):
    """The files that GLUE offers for a task, and their rows by split."""
    config = open_builder(f"glue/{task.name}").builder_config
    named = task.submits_names or task.label_names is None
    splits = {}
    for offset, split in enumerate(
        ["train", *task.validation_splits, *task.test_splits]
    ):
        rows = splits[split] = rows_of(task, split, offset)
        columns = [config.text_features[key] for key in task.text_keys]
        lines = [
            [
                *texts,
                *(
                    []
                    if label is None
                    else [label if named else task.label_names.index(label)]
                ),
            ]
            for texts, label in rows
        ]
        header = [*columns, *([config.label_column] * (rows[0][1] is not None))]
        if task.name == "cola" and rows[0][1] is not None:
            header = None
            lines = [["gj04", label, "", text] for text, label in lines]
        path = folder / FOLDERS[task.name] / f"{SPLIT_FILES[split]}.tsv"
        write_tsv(path, header, lines)
    return str(folder), splits


def write_mrpc(task, folder):
    """MRPC comes from its authors: one file, and ids of development rows."""
    header = ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    train = rows_of(task, "train", 0)
    test = rows_of(task, "test", 1)

    def lines(rows):
        return [
            [task.label_names.index(label or "equivalent"), i, i + 100, *texts]
            for i, (texts, label) in enumerate(rows)
        ]

    write_tsv(folder / "train.txt", header, lines(train), mark="\ufeff")
    write_tsv(folder / "test.txt", header, lines(test))
    write_tsv(folder / "ids.tsv", None, [[1, 101], [4, 104]])
    files = {
        "train": str(folder / "train.txt"),
        "test": str(folder / "test.txt"),
        "dev_ids": str(folder / "ids.tsv"),
    }
    return files, {
        "train": {index: train[index] for index in (0, 2, 3)},
        "validation": {index: train[index] for index in (1, 4)},
        "test": dict(enumerate(test)),
    }


def loaded(source, split=None):
    """Examples by id, in plain Python."""
    found = {}
    dataset = load_labeled(source, split, with_ids=True)
    for record, label in dataset.as_numpy_iterator():
        keys = [key for key in ("text", "text_a", "text_b") if key in record]
        texts = [record[key].decode("utf-8") for key in keys]
        label = label.decode() if isinstance(label, bytes) else float(label)
        found[int(record["id"])] = (texts, label)
    assert len(dataset) == len(found)
    return found


def expected(rows, task):
    unknown = float("nan") if task.label_names is None else ""
    rows = rows if isinstance(rows, dict) else dict(enumerate(rows))
    return {
        index: (texts, unknown if label is None else label)
        for index, (texts, label) in rows.items()
    }


NINE = [*FOLDERS, "mrpc"]


@pytest.mark.parametrize("name", NINE)
def test_tasks_of_glue(name, prepare_tfds, tmp_path):
    task = GLUE_TASKS[f"glue/{name}"]
    source = f"tfds:glue/{name}"
    write = write_mrpc if name == "mrpc" else write_task
    files, splits = write(task, tmp_path / "files")
    builder = prepare_tfds(f"glue/{name}", files)
    assert sorted(builder.info.splits) == sorted(
        [task.train_split, *task.validation_splits, *task.test_splits]
    )
    for split, rows in splits.items():
        found = loaded(f"{source}:{split}")
        np.testing.assert_equal(found, expected(rows, task))
    np.testing.assert_equal(
        loaded(source, "train"), expected(splits["train"], task)
    )
    assert loaded(source, "validation") == expected(
        splits[task.validation_splits[0]], task
    )
    assert loaded(source) == loaded(source, "train")


@pytest.mark.parametrize(
    "name", [name.removeprefix("glue/") for name in GLUE_TASKS]
)
def test_the_table_is_that_of_tfds(name):
    task = GLUE_TASKS[f"glue/{name}"]
    builder = open_builder(f"glue/{name}")
    features = builder.info.features
    if task.label_names is None:
        assert features["label"].np_dtype == np.float32
        assert label_names(f"tfds:glue/{name}") is None
    else:
        assert features["label"].names == list(task.label_names)
        assert label_names(f"tfds:glue/{name}") == list(task.label_names)
    assert task.text_keys == tuple(builder.builder_config.text_features)
    assert len(task.submission_files) == len(task.test_splits)


def test_diagnostics_have_only_examples_without_labels(prepare_tfds, tmp_path):
    path = tmp_path / "ax.tsv"
    write_tsv(path, ["sentence1", "sentence2"], [["A.", "B."], ["C.", "D."]])
    prepare_tfds("glue/ax", str(path))
    assert loaded("tfds:glue/ax") == {
        0: (["A.", "B."], ""),
        1: (["C.", "D."], ""),
    }
    with pytest.raises(ValueError, match="no split for train: it has test"):
        load_labeled("tfds:glue/ax", "train")


def test_slices_are_split_by_their_words(prepare_tfds, tmp_path):
    rows = [[f"sentence {n}", n % 2] for n in range(400)]
    for name in ("train", "dev"):
        write_tsv(tmp_path / f"SST-2/{name}.tsv", ["sentence", "label"], rows)
    write_tsv(tmp_path / "SST-2/test.tsv", ["sentence"], [["a"]])
    prepare_tfds("glue/sst2", str(tmp_path))
    source = "tfds:glue/sst2:train[:90%]"
    train = list(load_labeled(source, "train").as_numpy_iterator())
    held = list(load_labeled(source, "validation").as_numpy_iterator())
    assert len(train) + len(held) == 360 and 5 < len(held) < 40
    with pytest.raises(ValueError, match=r"no split 'dev'.*train, validation"):
        load_labeled("tfds:glue/sst2:dev")


def test_a_dataset_without_validation_and_with_unknown_labels(monkeypatch):
    features = open_builder("imdb_reviews").info.features
    assert set(features) == {"text", "label"}

    def as_dataset(self, split, decoders=None, read_config=None, **kwargs):
        del self, split, decoders, read_config, kwargs
        numbers = tf.data.Dataset.range(300)
        return numbers.map(
            lambda n: {
                "text": tf.strings.join(["review ", tf.strings.as_string(n)]),
                "label": n % 3 - 1,
            }
        )

    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
        whole = list(load_labeled("tfds:imdb_reviews").as_numpy_iterator())
        kept = list(
            load_labeled("tfds:imdb_reviews", "train").as_numpy_iterator()
        )
        ids = load_labeled("tfds:imdb_reviews", with_ids=True)
        assert [int(x["id"]) for x, _ in ids] == list(range(300))
    assert [label for _, label in whole[:3]] == [b"", b"neg", b"pos"]
    assert kept == [example for example in whole if example[1]]


def test_columns_of_other_datasets():
    def columns(name):
        return find_labeled_columns(name, open_builder(name))[:2]

    assert columns("imdb_reviews") == (["text"], "label")
    assert columns("ag_news_subset") == (["description"], "label")
    assert columns("snli") == (["premise", "hypothesis"], "label")
    assert label_names("tfds:imdb_reviews") == ["neg", "pos"]
    for name in ("mnist", "squad/v1.1"):
        with pytest.raises(ValueError, match="no dataset of labeled texts"):
            columns(name)


@pytest.mark.parametrize("split", [None, "train", "validation"])
def test_absent_data(split):
    with pytest.raises(FileNotFoundError, match="tfds build glue/rte "):
        load_labeled("tfds:glue/rte", split)
    with pytest.raises(ValueError, match="glue/rtee is not a dataset"):
        load_labeled("tfds:glue/rtee", split)
