"""Fine-tuning a classifier through its command's function."""

import csv
import json
import os

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf.trainers.evaluate import evaluate
from unilmv2_tf.trainers.finetune import finetune_classify
from unilmv2_tf.trainers.finetuning import labelled


def weights_of(output):
    model = UniLMv2TextClassifier.from_preset(os.path.join(output, "preset"))
    return [np.array(weight) for weight in model.get_weights()]


def assert_same(actual, expected, rtol=0, atol=0):
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def test_the_whole_way(settings, folder, tmp_path, capsys):
    """Two seeds, their report, the best model, and its score once more."""
    run = settings(seeds=2)
    summary = finetune_classify(run)
    assert summary["maximum"] == 1.0
    assert summary["mean"] == pytest.approx(
        np.mean([result["best"]["score"] for result in summary["seeds"]])
    )
    output = tmp_path / "run"
    for name in ("results.json", "results.md", "scores.png"):
        assert (output / name).stat().st_size > 100
    assert json.loads((output / "results.json").read_text())["mean"]
    best = output / f"seed-{summary['best_seed']}"
    for name in ("history.csv", "confusion.png", "predictions.tsv"):
        assert (best / name).exists()
    assert not (best / "checkpoints").exists()

    lines = (folder / "validation.tsv").read_text().splitlines()
    texts, labels = zip(*(line.split("\t") for line in lines))
    model = UniLMv2TextClassifier.from_preset(output / "preset")
    predicted = model.classify(list(texts))
    assert predicted == list(labels)
    with open(best / "predictions.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["prediction"] for row in rows] == predicted
    assert [row["label"] for row in rows] == list(labels)

    scores = evaluate(
        str(output / "preset"),
        str(folder / "validation.tsv"),
        output=str(tmp_path / "scores"),
    )
    assert scores["accuracy"] == 1.0
    assert "accuracy: 1.0000" in capsys.readouterr().out
    assert json.loads((tmp_path / "scores/scores.json").read_text())["scores"]


def test_an_interrupted_training_ends_as_a_whole_one(settings, tmp_path):
    options = {"epochs": 2, "checkpoint_interval": 4}
    whole = settings(output=str(tmp_path / "whole"), **options)
    finetune_classify(whole)
    with pytest.raises(KeyboardInterrupt, match="step 7 of 12"):
        _interrupt(settings(**options, stop_at_step=7))
    finetune_classify(settings(**options))
    assert_same(weights_of(tmp_path / "run"), weights_of(whole.output))


def _interrupt(settings):
    # SIGTERM ends quietly, and Ctrl-C as Ctrl-C does.
    assert finetune_classify(settings) is None
    raise KeyboardInterrupt("step 7 of 12")
