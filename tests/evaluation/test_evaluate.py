"""What only some kinds of models can be told; the rest is tested with them."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2TextClassifierPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.evaluation.evaluate import evaluate
from unilmv2_tf.samplers import SamplerArgs

WORDS = ["the", "fox", "hen", "ran", "sat"]


@pytest.fixture(scope="module")
def backbone():
    return UniLMv2Backbone(10, 1, 2, 8, 8, max_sequence_length=16)


@pytest.fixture(scope="module")
def tokenizer():
    return UniLMv2Tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    )


@pytest.fixture
def generator(backbone, tokenizer):
    return UniLMv2Seq2SeqLM(
        backbone,
        UniLMv2Seq2SeqLMPreprocessor(tokenizer, 8, 6, seed=0),
        sampler=BeamSearchSampler(
            num_beams=4, num_return_sequences=2, return_scores=True
        ),
    )


@pytest.fixture
def data(tmp_path):
    lines = [f"{one} {two}\t{two}" for one in WORDS for two in WORDS]
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def evaluate_task(monkeypatch, tmp_path):
    """`evaluate`, and the rows of its predictions, of a task in memory."""

    def run(task, data, **options):
        monkeypatch.setattr(
            "unilmv2_tf.models.task.load_task",
            lambda *_: task,
        )
        scores = evaluate("run/preset", data, str(tmp_path / "out"), **options)
        path = tmp_path / "out" / "predictions.jsonl"
        if not path.exists():
            return scores, (tmp_path / "out" / "predictions.tsv").read_text()
        lines = path.read_text().splitlines()
        return scores, [json.loads(line) for line in lines]

    return run


def test_one_text_for_each_source_and_what_options_change(
    generator, data, evaluate_task
):
    scores, rows = evaluate_task(
        generator,
        data,
        batch_size=4,
        metrics=["rouge1"],
        num_examples=5,
        max_length=4,
        sampler_args=SamplerArgs(min_length=2),
    )
    sampler = generator.sampler
    assert sampler.num_beams == 4 and sampler.min_length == 2
    assert [row["src"] for row in rows] == [
        f"{word} {WORDS[0]}" for word in WORDS
    ]
    for row in rows:
        assert len(row["prediction"].split()) <= 4
    assert list(scores) == ["rouge1"]
    with pytest.raises(ValueError, match="num_return_sequences=2"):
        evaluate_task(
            generator, data, sampler_args=SamplerArgs(num_return_sequences=2)
        )


def test_metrics_are_checked_before_the_model_is_loaded():
    with pytest.raises(ValueError, match="Received: rouge0"):
        evaluate("nowhere", "nowhere.tsv", metrics=["rouge0"])


def test_options_of_other_models(backbone, data, evaluate_task):
    classifier = UniLMv2TextClassifier(backbone, num_classes=2)
    for options in (
        {"metrics": ["rouge1"]},
        {"sampler_args": SamplerArgs(num_beams=2)},
        {"baselines": "x"},
    ):
        with pytest.raises(ValueError, match="is an option of models that gen"):
            evaluate_task(classifier, data, **options)
    masked = UniLMv2PseudoMaskedLM(backbone, pseudo_token_id=4)
    with pytest.raises(ValueError, match="a UniLMv2PseudoMaskedLM"):
        evaluate_task(masked, data)


def test_pairs_without_a_target_are_counted(
    generator, evaluate_task, tmp_path, monkeypatch, capsys
):
    records = [
        {"encoder_text": "the fox", "decoder_text": "fox"},
        {"encoder_text": "the hen", "decoder_text": " "},
        {"encoder_text": "a fox", "decoder_text": "fox"},
    ]
    columns = {key: [record[key] for record in records] for key in records[0]}
    # As a corpus of TFDS gives them; files are refused.
    monkeypatch.setattr(
        "unilmv2_tf.evaluation.examples.load_pairs",
        lambda source, split, **options: tf.data.Dataset.from_tensor_slices(
            columns
        ),
    )
    evaluate_task(generator, "tfds:corpus", metrics=["rouge1"])
    assert capsys.readouterr().out.startswith(
        "pairs without a target, left out: 1\n"
    )
    summary = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert summary["pairs_left_out"] == 1
    predictions = (tmp_path / "out" / "predictions.jsonl").read_text()
    assert len(predictions.splitlines()) == 2


CASES = pathlib.Path(__file__).parents[1] / "data" / "cases" / "13_label_names"


@pytest.fixture
def make_classifier(backbone, tokenizer):
    def make(**options):
        task = UniLMv2TextClassifier(
            backbone,
            3,
            UniLMv2TextClassifierPreprocessor(tokenizer, 12),
            **options,
        )
        rng = np.random.default_rng(1)
        for weight in task.trainable_weights:
            weight.assign(rng.normal(0, 0.8, weight.shape))
        return task

    return make


def test_classes_without_names(make_classifier, evaluate_task, tmp_path):
    lines = (CASES / "integers.tsv").read_text().splitlines()
    texts, labels = zip(*(line.split("\t") for line in lines))
    ids = make_classifier().classify(list(texts))
    accuracy = np.mean([str(x) == y for x, y in zip(ids, labels)])
    scores, table = evaluate_task(
        make_classifier(), str(CASES / "integers.tsv")
    )
    assert scores["accuracy"] == pytest.approx(accuracy)
    rows = [line.split("\t") for line in table.splitlines()]
    assert [row[1] for row in rows] == ["prediction", *map(str, ids)]
    # With a point they are still ids.
    path = tmp_path / "points.tsv"
    path.write_text("".join(f"{line}.0\n" for line in lines))
    scores, _ = evaluate_task(make_classifier(), str(path))
    assert scores["accuracy"] == pytest.approx(accuracy)

    path = str(CASES / "names.tsv")
    with pytest.raises(ValueError, match=r"--label_names '.contradiction,ent"):
        evaluate_task(make_classifier(), path)
    names = ["entailment", "neutral", "contradiction"]
    labels = [x.split("\t")[1] for x in open(path).read().splitlines()]
    scores, _ = evaluate_task(make_classifier(), path, label_names=names)
    assert scores["accuracy"] == np.mean(
        [names[x] == y for x, y in zip(ids, labels)]
    )
    for wrong, message in ((names[:2], "must be 3 names"), (None, "Bad, GOOD")):
        named = make_classifier(label_names=["bad", "good", "so"])
        with pytest.raises(ValueError, match=message):
            evaluate_task(
                named, str(CASES / "upper_case.tsv"), label_names=wrong
            )


def test_several_labels_a_text(make_classifier, evaluate_task, tmp_path):
    texts = ["the fox", "the hen ran", "fox fox sat", "hen"]
    model = make_classifier(label_names=list("abc"), multi_label=True)
    found = model.classify(texts)
    labels = [found[0], ["a", "b", "c"], [], found[3]]
    lines = [
        json.dumps({"text": x, "labels": y}) for x, y in zip(texts, labels)
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines))
    scores, table = evaluate_task(model, str(path))
    assert list(scores) == ["micro_f1", "macro_f1", "exact_match"]
    assert scores["exact_match"] == np.mean(
        [x == y for x, y in zip(found, labels)]
    )
    assert table.split("\n")[1].split("\t")[1] == ", ".join(found[0])
    with pytest.raises(ValueError, match="must have one label a text"):
        evaluate_task(make_classifier(), str(path))
