import json

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.datasets import load_questions
from unilmv2_tf.datasets.corpus import cache
from unilmv2_tf.datasets.corpus.extraction import extract
from unilmv2_tf.datasets.docstring_questions import argument_questions_of

SPEC = {
    "id": tf.TensorSpec((), tf.string),
    "question": tf.TensorSpec((), tf.string),
    "context": tf.TensorSpec((), tf.string),
    "answer_texts": tf.TensorSpec((None,), tf.string),
    "answer_starts": tf.TensorSpec((None,), tf.int32),
}


@pytest.fixture(scope="module", autouse=True)
def small_corpus(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNILMV2_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(cache, "extract", lambda progress: extract(["numpy"]))
        yield


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


def loaded(source, split=None):
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


def test_files(tmp_path):
    one, two = squad("a"), squad("b", 1)
    write(tmp_path / "a.json", one)
    write(tmp_path / "b.json", two)
    source = str(tmp_path / "*.json")
    assert loaded(source) == flat(one) | flat(two)
    assert list(loaded(source)) == [*flat(one), *flat(two)]
    assert len(load_questions(source)) == 12


def test_a_file_is_split_by_passage(tmp_path):
    source = write(tmp_path / "many.json", squad("c", 200))
    train, held = loaded(source, "train"), loaded(source, "validation")
    assert train | held == loaded(source)
    assert 0 < len(held) < 100 and len(held) % 3 == 0
    passages = [{row[1] for row in rows.values()} for rows in (train, held)]
    assert not passages[0] & passages[1]


@pytest.mark.parametrize("name", ["squad/v1.1", "squad/v2.0"])
def test_squad_as_tfds_prepares_it(name, prepare, tmp_path):
    content = {"train": squad("t"), "dev": squad("d", 2)}
    files = {
        split: write(tmp_path / f"{split}.json", part)
        for split, part in content.items()
    }
    prepare(name, files)
    assert loaded(f"tfds:{name}") == flat(content["train"])
    assert loaded(f"tfds:{name}", "train") == flat(content["train"])
    assert loaded(f"tfds:{name}", "validation") == flat(content["dev"])
    assert loaded(f"tfds:{name}:validation[:50%]").keys() < (
        flat(content["dev"]).keys()
    )
    # From TFDS and from a file: the same type of record.
    mixed = load_questions([f"tfds:{name}:validation", files["train"]])
    assert sum(1 for _ in mixed) == 15


def test_absent_data_and_datasets_of_other_kinds():
    with pytest.raises(FileNotFoundError, match=r"tfds build squad/v2\.0 "):
        load_questions("tfds:squad/v2.0")
    with pytest.raises(ValueError, match="lacks id, question, context, answ"):
        load_questions("tfds:imdb_reviews")
    with pytest.raises(ValueError, match="docstrings:questions does"):
        load_questions("docstrings:topics")


def test_the_embedded_corpus():
    by_split = {
        split: loaded("docstrings:questions", split)
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


def document(text, *arguments):
    return {"text": text, "name": "m.Sum.add", "arguments": list(arguments)}


def test_ambiguous_arguments_are_left_out():
    same = "The values to add."
    repeated = document(
        f"Adds.\n\nArgs:\nx: {same}\ny: {same}\nz: Others.",
        ["x", same], ["y", same], ["z", "Others."],
    )  # fmt: skip
    twice = document("Adds.\n\nx: First.\n\nx: Second.", ["x", "Second."])
    elsewhere = document("First of all.\n\nx: array.", ["x", "First of all."])
    records = [
        record
        for part in argument_questions_of([repeated, twice, elsewhere]).values()
        for record in part
    ]
    assert [record[1] for record in records] == [
        "What is the argument z of Sum.add?"
    ]


def test_long_passages_are_cut_at_lines_around_the_answer():
    lines = [f"a{n}: Argument number {n} of this function." for n in range(200)]
    arguments = [
        (f"a{n}", f"Argument number {n} of this function.") for n in range(200)
    ]
    records = [
        record
        for part in argument_questions_of(
            [document("\n".join(lines), *arguments)]
        ).values()
        for record in part
    ]
    assert len(records) == 200
    for _, _, context, _, _ in records:
        kept = context.split("\n")
        first = lines.index(kept[0])
        assert lines[first : first + len(kept)] == kept
        # Eleven pieces a line, 150 in all.
        assert 10 <= len(kept) <= 18
