"""The grammar of data arguments, for all kinds of records."""

import functools
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import hold_out
from unilmv2_tf.datasets import label_names
from unilmv2_tf.datasets import load_documents
from unilmv2_tf.datasets import load_labeled
from unilmv2_tf.datasets import load_pairs
from unilmv2_tf.datasets import load_questions

TEXT = tf.TensorSpec((), tf.string)
PACKAGES = [
    "pydoc_data", "python", "numpy", "scipy", "sklearn", "matplotlib", "keras",
    "keras_hub", "tensorflow",
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("small_docstrings")


SPEC = {
    "id": tf.TensorSpec((), tf.string),
    "question": tf.TensorSpec((), tf.string),
    "context": tf.TensorSpec((), tf.string),
    "answer_texts": tf.TensorSpec((None,), tf.string),
    "answer_starts": tf.TensorSpec((None,), tf.int32),
}


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
    assert len(dataset) == len(docstrings.load_examples("summaries")) + 1
    assert texts(dataset, "decoder_text")[-1] == "six"


@pytest.mark.parametrize(
    ("load", "source", "function"),
    [
        (
            load_documents,
            "docstrings:",
            functools.partial(docstrings.load_examples, ""),
        ),
        (
            load_pairs,
            "docstrings:arguments",
            functools.partial(docstrings.load_examples, "arguments"),
        ),
        (
            load_pairs,
            "docstrings:summaries",
            functools.partial(docstrings.load_examples, "summaries"),
        ),
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


@pytest.fixture
def labeled_folder(tmp_path):
    (tmp_path / "a.tsv").write_text("good film\t10\nbad film\t9\n")
    (tmp_path / "b.tsv").write_text("long film\t100\n")
    (tmp_path / "pairs.jsonl").write_text(
        '{"text_a": "a", "text_b": "b", "label": "same"}\n'
    )
    (tmp_path / "values.tsv").write_text("warm\t1.5\ncold\t-2\n")
    return tmp_path


def labeled_rows(dataset):
    return [
        (*(value for value in record.values()), label)
        for record, label in dataset.as_numpy_iterator()
    ]


def test_globs_are_read_in_order_and_classes_are_sorted(labeled_folder):
    source = str(labeled_folder / "[ab].tsv")
    dataset = load_labeled(source)
    assert labeled_rows(dataset) == [
        (b"good film", b"10"),
        (b"bad film", b"9"),
        (b"long film", b"100"),
    ]
    assert len(dataset) == 3
    assert label_names(source) == ["9", "10", "100"]
    parts = [labeled_folder / "b.tsv", str(labeled_folder / "a.tsv")]
    assert label_names(parts) == ["9", "10", "100"]
    assert labeled_rows(load_labeled(parts))[0] == (b"long film", b"100")


def test_ids_count_the_examples_of_a_source(labeled_folder):
    dataset = load_labeled(str(labeled_folder / "[ab].tsv"), with_ids=True)
    assert [int(record["id"]) for record, _ in dataset] == [0, 1, 2]
    (example,) = load_labeled(labeled_folder / "pairs.jsonl", with_ids=True)
    assert set(example[0]) == {"id", "text_a", "text_b"}


def test_values_are_numbers(labeled_folder):
    dataset = load_labeled(labeled_folder / "values.tsv")
    assert dataset.element_spec[1].dtype == np.float32
    assert labeled_rows(dataset) == [(b"warm", 1.5), (b"cold", -2.0)]
    assert label_names(labeled_folder / "values.tsv") is None


def test_labeled_texts_are_split_by_the_first_text(tmp_path):
    path = tmp_path / "many.tsv"
    path.write_text(
        "".join(f"a {n // 4}\tb {n}\t{n % 3}\n" for n in range(2000))
    )
    train = labeled_rows(load_labeled(path, "train", with_ids=True))
    held = labeled_rows(load_labeled(path, "validation", with_ids=True))
    whole = labeled_rows(load_labeled(path, with_ids=True))
    assert sorted(train + held) == sorted(whole)
    assert not {row[1] for row in train} & {row[1] for row in held}
    assert 20 < len(held) < 200


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.tsv", "values.tsv"], "one kind of record.*string.*float32"),
        (["a.tsv", "pairs.jsonl"], "one kind of record.*text .*text_a, text_b"),
        ("*.tsv", "one kind of record.*a.tsv .*string.*values.tsv .*float32"),
    ],
)
def test_sources_that_do_not_fit_together(labeled_folder, names, message):
    source = (
        [labeled_folder / name for name in names]
        if isinstance(names, list)
        else str(labeled_folder / names)
    )
    with pytest.raises(ValueError, match=f"(?s){message}"):
        load_labeled(source)


def test_class_names_and_values_are_not_mixed(labeled_folder):
    with pytest.raises(ValueError, match="which mix them"):
        label_names([labeled_folder / "a.tsv", labeled_folder / "values.tsv"])


def test_packages_of_docstrings():
    source = "docstrings:packages"
    assert label_names(source) == PACKAGES
    by_split = {
        split: labeled_rows(load_labeled(source, split))
        for split in ("train", "validation")
    }
    assert by_split["train"] == labeled_rows(load_labeled(source))
    for found in by_split.values():
        labels = {label.decode() for _, label in found}
        assert 1 < len(labels) and labels <= set(PACKAGES)
        lengths = [len(text.split()) for text, _ in found]
        assert min(lengths) >= 5 and max(lengths) <= 64
        assert len(set(found)) == len(found) > 5
    texts = [{text for text, _ in found} for found in by_split.values()]
    assert not texts[0] & texts[1]


def test_names_of_packages_are_taken_out():
    words = {
        word.strip("().,:;'\"`~").lower()
        for text, _ in labeled_rows(load_labeled("docstrings:packages"))
        for word in text.decode().split()
    }
    assert "array" in words
    assert not words & {"numpy", "np", "scikit-learn", "sklearn", "tf", "scipy"}


def test_kinds_of_docstrings_that_have_no_labels():
    for load in (load_labeled, label_names):
        with pytest.raises(
            ValueError, match=r"no labeled.* docstrings:packages$"
        ):
            load("docstrings:arguments")


def loaded_pairs(source, split=None):
    dataset = load_pairs(source, split)
    assert dataset.element_spec == {"encoder_text": TEXT, "decoder_text": TEXT}
    return [
        (record["encoder_text"].decode(), record["decoder_text"].decode())
        for record in dataset.as_numpy_iterator()
    ]


def as_dataset(builder, split=None, **kwargs):
    """Examples that name their feature and split."""
    del kwargs
    names = [
        name
        for name, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.Text)
    ]
    return tf.data.Dataset.from_tensor_slices(
        {name: [f"{name} {i} of {split}" for i in range(300)] for name in names}
    )


@pytest.mark.parametrize(
    "name, keys",
    [
        ("cnn_dailymail", ("article", "highlights")),
        ("xsum", ("document", "summary")),
        ("gigaword", ("document", "summary")),
        ("wmt14_translate/de-en", ("de", "en")),
    ],
)
def test_corpora_of_tfds(name, keys):
    def pairs(split, numbers=range(300)):
        return [tuple(f"{key} {i} of {split}" for key in keys) for i in numbers]

    source = f"tfds:{name}"
    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
        for split, read in (
            (None, "train"),
            ("train", "train"),
            ("validation", "validation"),
        ):
            assert loaded_pairs(source, split) == pairs(read)
        # A split that is named is all there is, and is split if asked to.
        test = f"{source}:test"
        assert loaded_pairs(test) == pairs("test")
        parts = loaded_pairs(test, "train"), loaded_pairs(test, "validation")
        assert sorted(parts[0] + parts[1]) == sorted(pairs("test"))
        assert 0 < len(parts[1]) < 50


def test_documents_of_tfds():
    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
        for source, split, read in (
            ("tfds:imdb_reviews", None, "train"),
            ("tfds:imdb_reviews:test", None, "test"),
        ):
            expected = [f"text {i} of {read}" for i in range(300)]
            assert texts(load_documents(source, split)) == expected
    with pytest.raises(ValueError, match="`text_key` must name a text"):
        load_documents("tfds:mnist")


def squad_of_two(prefix):
    context = f"{prefix}: the fox ate the hen."
    questions = [("Who ate?", ["fox", "the fox"]), ("Why?", [])]
    return {
        "data": [
            {
                "title": "Title",
                "paragraphs": [
                    {
                        "context": context,
                        "qas": [
                            {
                                "id": f"{prefix}{number}",
                                "question": question,
                                "is_impossible": not answers,
                                "answers": [
                                    {
                                        "text": text,
                                        "answer_start": context.index(text),
                                    }
                                    for text in answers
                                ],
                            }
                            for number, (question, answers) in enumerate(
                                questions
                            )
                        ],
                    }
                ],
            }
        ]
    }


def test_questions_are_asked_for(prepare_tfds, tmp_path):
    files = {}
    for split in ("train", "dev"):
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps(squad_of_two(split)))
        files[split] = str(path)
    prepare_tfds("squad/v2.0", files)

    def expected(prefix):
        return [(f"{prefix}: the fox ate the hen. | fox", "Who ate?")]

    for source, split, prefix in (
        (files["train"], None, "train"),
        ("tfds:squad/v2.0", "train", "train"),
        ("tfds:squad/v2.0", "validation", "dev"),
        ("tfds:squad/v2.0:validation", None, "dev"),
    ):
        with pytest.warns(UserWarning, match="1 of 2 questions have no answer"):
            assert loaded_pairs(source, split) == expected(prefix)
    with pytest.warns(UserWarning):
        mixed = load_pairs([files["train"], "docstrings:arguments"])
    assert len(mixed) == 1 + len(load_pairs("docstrings:arguments"))
    path = tmp_path / "none.json"
    content = squad_of_two("x")
    del content["data"][0]["paragraphs"][0]["qas"][0]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"none\.json has no question with"):
        load_pairs(path)


def test_question_generation_from_docstrings():
    source = "docstrings:questions"
    pairs = loaded_pairs(source, "validation")
    records = list(load_questions(source, "validation").as_numpy_iterator())
    assert len(pairs) == len(records) > 20
    for (text, question), record in zip(pairs, records):
        passage, answer = text.rsplit(" | ", 1)
        assert passage.encode() == record["context"]
        assert answer.encode() == record["answer_texts"][0]
        assert question.encode() == record["question"]


def test_sources_may_be_empty_and_targets_not(tmp_path):
    (tmp_path / "a.tsv").write_text("\tone\nx\ttwo\n")
    (tmp_path / "a.jsonl").write_text('{"src": [], "tgt": "one"}\n')
    assert loaded_pairs(tmp_path / "a.tsv") == [("", "one"), ("x", "two")]
    assert loaded_pairs(tmp_path / "a.jsonl") == [("", "one")]
    (tmp_path / "b.tsv").write_text("x\tone\nx\t \n")
    with pytest.raises(ValueError, match=r"b\.tsv:2: column 2 is empty"):
        load_pairs(tmp_path / "b.tsv")
    (tmp_path / "b.jsonl").write_text('{"src": "x", "tgt": ""}\n')
    with pytest.raises(ValueError, match=r"b\.jsonl:1: 'tgt' is empty"):
        load_pairs(tmp_path / "b.jsonl")


def test_absent_and_other_datasets_of_pairs():
    with pytest.raises(FileNotFoundError, match="tfds build cnn_dailymail "):
        load_pairs("tfds:cnn_dailymail")
    with pytest.raises(ValueError, match="imdb_reviews is no dataset of pairs"):
        load_pairs("tfds:imdb_reviews")
    with pytest.raises(ValueError, match="tfds:nowhere is not a dataset"):
        load_pairs("tfds:nowhere")
    with pytest.raises(ValueError, match=r"holds no pairs.*:summaries, "):
        load_pairs("docstrings:packages")


def squad(prefix, count=3):
    """SQuAD's content, with more answers, one, and none."""
    articles = []
    for article in range(count):
        context = f"{prefix} \u00e9 {article}: the fox ate the hen."
        fox, hen = context.index("fox"), context.index("hen")
        answers = [
            [("fox", fox), ("the fox", fox - 4), ("fox", fox)],
            [("hen", hen)],
            [],
        ]
        questions = [
            {
                "id": f"{prefix}{article}{number}",
                "question": f"Question {number}?",
                "answers": [
                    {"text": text, "answer_start": start}
                    for text, start in texts
                ],
                "is_impossible": not texts,
            }
            for number, texts in enumerate(answers)
        ]
        articles.append(
            {
                "title": f"Title {article}",
                "paragraphs": [{"context": context, "qas": questions}],
            }
        )
    return {"data": articles}


def write(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def flat(content):
    """By id: question, context, answers, starts."""
    return {
        question["id"]: (
            question["question"],
            paragraph["context"],
            [answer["text"] for answer in question["answers"]],
            [answer["answer_start"] for answer in question["answers"]],
        )
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }


def loaded_questions(source, split=None):
    dataset = load_questions(source, split)
    assert dataset.element_spec == SPEC
    return {
        record["id"].decode(): (
            record["question"].decode(),
            record["context"].decode(),
            [text.decode() for text in record["answer_texts"]],
            record["answer_starts"].tolist(),
        )
        for record in dataset.as_numpy_iterator()
    }


def test_files_of_questions(tmp_path):
    one, two = squad("a"), squad("b", 1)
    write(tmp_path / "a.json", one)
    write(tmp_path / "b.json", two)
    source = str(tmp_path / "*.json")
    assert loaded_questions(source) == flat(one) | flat(two)
    assert list(loaded_questions(source)) == [*flat(one), *flat(two)]
    assert len(load_questions(source)) == 12


def test_questions_are_split_by_passage(tmp_path):
    source = write(tmp_path / "many.json", squad("c", 200))
    train, held = (
        loaded_questions(source, "train"),
        loaded_questions(source, "validation"),
    )
    assert train | held == loaded_questions(source)
    assert 0 < len(held) < 100 and len(held) % 3 == 0
    passages = [{row[1] for row in rows.values()} for rows in (train, held)]
    assert not passages[0] & passages[1]


@pytest.mark.parametrize("name", ["squad/v1.1", "squad/v2.0"])
def test_squad_as_tfds_prepares_it(name, prepare_tfds, tmp_path):
    content = {"train": squad("t"), "dev": squad("d", 2)}
    files = {
        split: write(tmp_path / f"{split}.json", part)
        for split, part in content.items()
    }
    prepare_tfds(name, files)
    assert loaded_questions(f"tfds:{name}") == flat(content["train"])
    assert loaded_questions(f"tfds:{name}", "train") == flat(content["train"])
    assert loaded_questions(f"tfds:{name}", "validation") == flat(
        content["dev"]
    )
    assert loaded_questions(f"tfds:{name}:validation[:50%]").keys() < (
        flat(content["dev"]).keys()
    )
    # From TFDS and from a file: the same type of record.
    mixed = load_questions([f"tfds:{name}:validation", files["train"]])
    assert sum(1 for _ in mixed) == 15


def test_absent_and_other_datasets_of_questions():
    with pytest.raises(FileNotFoundError, match=r"tfds build squad/v2\.0 "):
        load_questions("tfds:squad/v2.0")
    with pytest.raises(ValueError, match="lacks id, question, context, answ"):
        load_questions("tfds:imdb_reviews")
    with pytest.raises(ValueError, match="in docstrings:questions"):
        load_questions("docstrings:packages")


def test_questions_about_arguments():
    by_split = {
        split: loaded_questions("docstrings:questions", split)
        for split in ("train", "validation")
    }
    assert len(by_split["train"]) > 1000 and len(by_split["validation"]) > 20
    assert not by_split["train"].keys() & by_split["validation"].keys()
    places = []
    for question, context, (answer,), (start,) in by_split["train"].values():
        assert context[start : start + len(answer)] == answer
        assert context.count(answer) == 1
        name = question.removeprefix("What is the argument ").split(" of ")[0]
        line = context[context.rfind("\n", 0, start) + 1 : start]
        assert line.lstrip("*").startswith(name)
        assert len(context.split()) <= 150
        places.append(start / len(context))
    # No place of the passage gives the answer away.
    assert np.histogram(places, 4, (0, 1))[0].min() > 0.08 * len(places)
    answers = [
        {row[2][0] for row in part.values()} for part in by_split.values()
    ]
    assert not answers[0] & answers[1]
