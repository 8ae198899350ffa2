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
from unilmv2_tf.evaluation.evaluating import evaluate_generator
from unilmv2_tf.evaluation.evaluating import evaluate_model

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


def test_one_text_for_each_source_and_what_flags_change(generator, data):
    evaluation = evaluate_generator(
        generator,
        data,
        batch_size=4,
        metrics=["rouge1"],
        num_examples=5,
        max_length=4,
        min_length=2,
        num_beams=None,
    )
    sampler = generator.sampler
    assert sampler.num_beams == 4 and sampler.min_length == 2
    assert evaluation.predictions.sources == [
        f"{word} {WORDS[0]}" for word in WORDS
    ]
    for text in evaluation.predictions.texts:
        assert isinstance(text, str) and len(text.split()) <= 4
    assert list(evaluation.scores) == list(evaluation.metric_notes)
    assert list(evaluation.scores) == ["rouge1"]


def test_metrics_are_checked_before_anything_is_generated(generator):
    with pytest.raises(ValueError, match="Received: rouge0"):
        evaluate_generator(generator, "nowhere.tsv", 4, ["rouge0"])


def test_settings_of_other_models(backbone, data):
    classifier = UniLMv2TextClassifier(backbone, num_classes=2)
    options = dict.fromkeys(("num_beams", "baselines"))
    for name in ("metrics", "num_beams", "baselines"):
        values = {"metrics": None, **options, name: "x"}
        with pytest.raises(ValueError, match=f"`{name}` is a setting of"):
            evaluate_model(classifier, data, 4, 30, **values)
    masked = UniLMv2PseudoMaskedLM(backbone, pseudo_token_id=4)
    with pytest.raises(ValueError, match="a UniLMv2PseudoMaskedLM"):
        evaluate_model(masked, data, 4, 30, None, **options)


def test_pairs_without_a_target_are_counted(
    generator, tmp_path, monkeypatch, capsys
):
    records = [
        {"encoder_text": "the fox", "decoder_text": "fox"},
        {"encoder_text": "the hen", "decoder_text": " "},
        {"encoder_text": "a fox", "decoder_text": "fox"},
    ]
    columns = {key: [record[key] for record in records] for key in records[0]}
    # As a corpus of TFDS gives them; files are refused.
    monkeypatch.setattr(
        "unilmv2_tf.training.finetuning.pairs.load_pairs",
        lambda source, split: tf.data.Dataset.from_tensor_slices(columns),
    )
    monkeypatch.setattr(
        "unilmv2_tf.training.finetuning.model.load_task",
        lambda preset: generator,
    )
    evaluate("run/preset", "tfds:corpus", str(tmp_path), metrics=["rouge1"])
    assert capsys.readouterr().out.startswith(
        "pairs without a target, left out: 1\n"
    )
    summary = json.loads((tmp_path / "scores.json").read_text())
    assert summary["pairs_left_out"] == 1
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 2
