"""Fine-tuning to generate text, through its command."""

import json
import re

import numpy as np
import pytest

from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.cli import main
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.evaluation.evaluate import evaluate
from unilmv2_tf.evaluation.examples import decoded
from unilmv2_tf.evaluation.examples import read_pairs
from unilmv2_tf.samplers import SamplerArgs
from unilmv2_tf.training.arguments import Seq2SeqArgs
from unilmv2_tf.training.finetune import finetune_seq2seq
from unilmv2_tf.training.seq2seq_adapter import Seq2SeqAdapter

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COLORS = ["red", "blue", "green"]
ANIMALS = ["fox", "hen", "cat"]
FILLERS = [f"w{number}" for number in range(6)]
SMALL = {
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 64,
    "intermediate_dim": 64,
    "max_sequence_length": 24,
    "dropout": 0.1,
}


def lines_of(number, seed):
    """Sources of fillers and an animal; targets tell its color."""
    generator = np.random.default_rng(seed)
    for _ in range(number):
        kind = generator.integers(3)
        fillers = generator.choice(FILLERS, generator.integers(1, 5))
        source = " ".join([*fillers, "and", ANIMALS[kind]])
        target = f"and {ANIMALS[kind]} {COLORS[kind]}"
        yield json.dumps({"src": source, "tgt": target})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("animals")
    tokens = [*SPECIAL, *COLORS, *ANIMALS, *FILLERS, "and"]
    (folder / "vocabulary.txt").write_text("\n".join(tokens))
    for seed, (name, number) in enumerate((("train", 96), ("validation", 24))):
        text = "\n".join(lines_of(number, seed))
        (folder / f"{name}.jsonl").write_text(text)
    return folder


@pytest.fixture
def values(folder, tmp_path):
    """Settings of a training that takes seconds."""

    def make(**changes):
        return {
            "data": str(folder / "train.jsonl"),
            "validation": str(folder / "validation.jsonl"),
            "vocabulary": str(folder / "vocabulary.txt"),
            "output": str(tmp_path / "run"),
            "preset": "unilmv2_tiny",
            "backbone": SMALL,
            "source_length": 16,
            "target_length": 6,
            "batch_size": 8,
            "num_beams": 2,
            **changes,
        }

    return make


def weights_of(output):
    model = UniLMv2Seq2SeqLM.from_preset(output / "preset")
    return [np.array(weight) for weight in model.get_weights()]


@pytest.mark.slow
def test_the_whole_way(values, folder, tmp_path, capsys):
    """Trained, scored, and the same texts and scores from the preset."""
    options = values(
        epochs=12,
        learning_rate=2e-3,
        evaluation_examples=8,
        target_mask_rate=0.2,
        metric="exact_match",
        test=str(folder / "validation.jsonl"),
        backbone={**SMALL, "hidden_dim": 128, "dropout": 0.0},
        ignored_tokens="w0 w1",
    )
    flags = [
        f"--{name}={json.dumps(value) if name == 'backbone' else value}"
        for name, value in options.items()
    ]
    assert main(["finetune", "seq2seq", *flags]) == 0
    output = tmp_path / "run"
    said = capsys.readouterr().out
    assert "96 pairs for training, 24 for validation, 8 of them scored" in said
    assert "0 of 96 sources (0.0%) are longer than 16 tokens" in said
    results = json.loads((output / "results.json").read_text())
    assert results["maximum"] > 0.8
    assert "sacrebleu" in results["metric_notes"]["bleu4"]
    assert "sacrebleu" in (output / "results.md").read_text()

    # Every third pair of the 24, in their order.
    held_out = [json.loads(x) for x in (folder / "validation.jsonl").open()]
    path = output / "seed-0" / "predictions.jsonl"
    rows = [json.loads(line) for line in path.open()]
    assert [row["src"] for row in rows] == [x["src"] for x in held_out[::3]]
    model = UniLMv2Seq2SeqLM.from_preset(output / "preset")
    assert model.sampler.num_beams == 2
    assert model.sampler.ignored_token_ids == [11, 12]
    texts = model.generate([row["src"] for row in rows])
    assert texts == [row["prediction"] for row in rows]
    best = results["seeds"][0]["best"]["scores"]
    again = score_texts(texts, [row["tgt"] for row in rows], list(best))
    assert again == pytest.approx(best)

    # All pairs, by the command and in the end of the training.
    scores = evaluate(
        str(output / "preset"),
        str(folder / "validation.jsonl"),
        output=str(tmp_path / "scores"),
        batch_size=10,
        metrics=list(best),
        baselines=str(folder / "train.jsonl"),
    )
    (final,) = results["final"].values()
    assert scores == pytest.approx(final)
    said = capsys.readouterr().out
    assert f"exact_match: {scores['exact_match']:.4f}  (equal texts" in said
    assert "nearest neighbor: " in said and "first words: " in said
    kept = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert kept["baselines"]["first words"]["exact_match"] == 0
    for name in ("scores", "run/test"):
        texts = (tmp_path / name / "predictions.jsonl").read_text()
        assert len(texts.splitlines()) == 24
    with pytest.raises(ValueError, match="`num_beams` must be at least 1"):
        evaluate(
            str(output / "preset"),
            options["data"],
            sampler_args=SamplerArgs(num_beams=0),
        )


@pytest.mark.slow
def test_an_interrupted_training_ends_as_a_whole_one(values, tmp_path):
    """With dropout, and masks that are drawn anew in each epoch."""
    options = {"epochs": 2, "batch_size": 16, "checkpoint_interval": 4}
    whole = values(output=str(tmp_path / "whole"), **options)
    finetune_seq2seq(Seq2SeqArgs(**whole))
    stopped = Seq2SeqArgs(**values(**options, stop_at_step=7))
    assert finetune_seq2seq(stopped) is None
    finetune_seq2seq(Seq2SeqArgs(**values(**options)))
    ours, theirs = (weights_of(tmp_path / name) for name in ("run", "whole"))
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs):
        np.testing.assert_array_equal(one, other)


def batches_of(settings):
    dataset = Seq2SeqAdapter(settings).training_dataset(24, 0, 0)
    return list(dataset.as_numpy_iterator())


def test_rows_are_cut_to_the_longest_and_masked_anew(values, tmp_path):
    (tmp_path / "same.tsv").write_text("\n".join(["w1 w2\tred fox"] * 8))
    batches = batches_of(Seq2SeqArgs(**values(data=str(tmp_path / "same.tsv"))))
    seen = set()
    for x, y, weights in batches:
        assert x["encoder_token_ids"].shape == (8, 8)
        assert x["decoder_steps"].shape == y.shape == weights.shape == (8, 6)
        assert y[0].tolist() == [5, 8, 3, 0, 0, 0]
        assert weights.sum() == 24
        # The same pair in the same pass is masked in the same way.
        assert len(np.unique(x["decoder_token_ids"], axis=0)) == 1
        seen.add(tuple(x["decoder_token_ids"][0]))
    assert len(seen) > 4


def test_a_source_that_is_too_long_keeps_the_side_that_is_asked_for(values):
    options = {"source_length": 4, "target_mask_rate": 0.0}
    for side in ("left", "right"):
        settings = Seq2SeqArgs(**values(truncation_side=side, **options))
        x, y, _ = batches_of(settings)[0]
        kept = x["encoder_token_ids"][:, 1:3]
        assert (x["encoder_token_ids"][:, 3] == 3).all()
        # Sources end as targets begin.
        assert (kept == y[:, :2]).all() == (side == "left")
    *_, sources, targets = Seq2SeqAdapter(
        Seq2SeqArgs(**values(target_length=2, **options))
    ).describe()
    assert sources.startswith("96 of 96 sources (100.0%) are longer than 4")
    assert targets.startswith("96 of 96 targets (100.0%) are longer than 2")


def test_pairs_are_spread_evenly(folder):
    examples = read_pairs(str(folder / "train.jsonl"))
    assert examples.spread(200) is examples.spread(None) is examples
    some = decoded(examples.spread(5)["encoder_text"])
    texts = decoded(examples["encoder_text"])
    assert some == [texts[place] for place in (0, 19, 38, 57, 76)]


def test_an_empty_source_is_legal(values, tmp_path):
    (tmp_path / "empty.tsv").write_text("\tred fox\n")
    settings = values(data=str(tmp_path / "empty.tsv"))
    x, _, _ = batches_of(Seq2SeqArgs(**settings))[0]
    assert x["encoder_token_ids"][0].tolist() == [2, 3, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data": "nowhere.tsv"}, "nowhere.tsv"),
        ({"data": "no_target.tsv"}, "no_target.tsv:2: column 2 is empty"),
        ({"metric": "bleu5"}, "must be some of rouge1.* Received: bleu5"),
        ({"source_length": 2}, "source_length=2"),
        ({"source_length": 24}, "max_sequence_length=24"),
        ({"target_length": 1}, "target_length=1"),
        ({"min_length": 6}, "min_length=6, target_length=6"),
        ({"num_beams": 0}, "num_beams=0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"ignored_tokens": "unheard"}, "'unheard'"),
        ({"truncation_side": "middle"}, "middle"),
    ],
)
def test_mistakes_are_one_line(
    values, tmp_path, monkeypatch, capsys, change, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no_target.tsv").write_text("w1\tred\nw2\t \n")
    options = values(**change)
    flags = [
        f"--{name}={json.dumps(value) if name == 'backbone' else value}"
        for name, value in options.items()
    ]
    assert main(["finetune", "seq2seq", *flags]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert re.search(message, error), error
