import json

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from unilmv2_tf.datasets import load_pairs
from unilmv2_tf.datasets import load_questions
from unilmv2_tf.datasets.corpus import cache
from unilmv2_tf.datasets.corpus.extraction import extract

TEXT = tf.TensorSpec((), tf.string)


@pytest.fixture(scope="module", autouse=True)
def small_corpus(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNILMV2_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(cache, "extract", lambda progress: extract(["numpy"]))
        yield


def loaded(source, split=None):
    dataset = load_pairs(source, split)
    assert dataset.element_spec == {"encoder_text": TEXT, "decoder_text": TEXT}
    return [
        (record["encoder_text"].decode(), record["decoder_text"].decode())
        for record in dataset.as_numpy_iterator()
    ]


def as_dataset(builder, split=None, **kwargs):
    """Examples that say of which feature and split they are."""
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
            assert loaded(source, split) == pairs(read)
        # A split that is named is all there is, and is split if asked to.
        test = f"{source}:test"
        assert loaded(test) == pairs("test")
        parts = loaded(test, "train"), loaded(test, "validation")
        assert sorted(parts[0] + parts[1]) == sorted(pairs("test"))
        assert 0 < len(parts[1]) < 50


def squad(prefix):
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


def test_questions_are_asked_for(prepare, tmp_path):
    files = {}
    for split in ("train", "dev"):
        path = tmp_path / f"{split}.json"
        path.write_text(json.dumps(squad(split)))
        files[split] = str(path)
    prepare("squad/v2.0", files)

    def expected(prefix):
        return [(f"{prefix}: the fox ate the hen. | fox", "Who ate?")]

    for source, split, prefix in (
        (files["train"], None, "train"),
        ("tfds:squad/v2.0", "train", "train"),
        ("tfds:squad/v2.0", "validation", "dev"),
        ("tfds:squad/v2.0:validation", None, "dev"),
    ):
        with pytest.warns(UserWarning, match="1 of 2 questions have no answer"):
            assert loaded(source, split) == expected(prefix)
    with pytest.warns(UserWarning):
        mixed = load_pairs([files["train"], "docstrings:arguments"])
    assert len(mixed) == 1 + len(load_pairs("docstrings:arguments"))
    path = tmp_path / "none.json"
    content = squad("x")
    del content["data"][0]["paragraphs"][0]["qas"][0]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"none\.json has no question that"):
        load_pairs(path)


def test_questions_of_the_embedded_corpus():
    source = "docstrings:questions"
    pairs = loaded(source, "validation")
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
    assert loaded(tmp_path / "a.tsv") == [("", "one"), ("x", "two")]
    assert loaded(tmp_path / "a.jsonl") == [("", "one")]
    (tmp_path / "b.tsv").write_text("x\tone\nx\t \n")
    with pytest.raises(ValueError, match=r"b\.tsv:2: column 2 is empty"):
        load_pairs(tmp_path / "b.tsv")
    (tmp_path / "b.jsonl").write_text('{"src": "x", "tgt": ""}\n')
    with pytest.raises(ValueError, match=r"b\.jsonl:1: 'tgt' is empty"):
        load_pairs(tmp_path / "b.jsonl")


def test_absent_data_and_datasets_of_other_kinds():
    with pytest.raises(FileNotFoundError, match="tfds build cnn_dailymail "):
        load_pairs("tfds:cnn_dailymail")
    with pytest.raises(ValueError, match="imdb_reviews is no dataset of pairs"):
        load_pairs("tfds:imdb_reviews")
    with pytest.raises(ValueError, match="tfds:nowhere is not a dataset"):
        load_pairs("tfds:nowhere")
    with pytest.raises(ValueError, match=r"holds no pairs.*:summaries and"):
        load_pairs("docstrings:topics")
