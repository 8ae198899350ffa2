"""What only some kinds of models can be told; the rest is tested with them."""

import json

import pytest
import tensorflow as tf

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.evaluation.evaluate import evaluate
from unilmv2_tf.samplers import SamplerArgs

WORDS = ["the", "fox", "hen", "ran", "sat"]


@pytest.fixture(scope="module")
def backbone():
    return UniLMv2Backbone(10, 1, 2, 8, 8, max_sequence_length=16)


@pytest.fixture
def generator(backbone):
    tokenizer = UniLMv2Tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    )
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
            lambda preset: task,
        )
        scores = evaluate("run/preset", data, str(tmp_path / "out"), **options)
        lines = (tmp_path / "out" / "predictions.jsonl").read_text()
        return scores, [json.loads(line) for line in lines.splitlines()]

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
        lambda source, split: tf.data.Dataset.from_tensor_slices(columns),
    )
    evaluate_task(generator, "tfds:corpus", metrics=["rouge1"])
    assert capsys.readouterr().out.startswith(
        "pairs without a target, left out: 1\n"
    )
    summary = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert summary["pairs_left_out"] == 1
    predictions = (tmp_path / "out" / "predictions.jsonl").read_text()
    assert len(predictions.splitlines()) == 2
