"""Fine-tuning a classifier through its command's function."""

import csv
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf.cli import main
from unilmv2_tf.evaluation.evaluate import evaluate
from unilmv2_tf.preprocessing.tokenizer import note_special_tokens
from unilmv2_tf.training.classify_adapter import class_weights
from unilmv2_tf.training.finetune import finetune_classify
from unilmv2_tf.training.task_adapter import load_tokenizer


def weights_of(output):
    model = UniLMv2TextClassifier.from_preset(os.path.join(output, "preset"))
    return [np.array(weight) for weight in model.get_weights()]


def assert_same(actual, expected, rtol=0, atol=0):
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.slow
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
    card = (output / "preset" / "README.md").read_text()
    assert "accuracy" in card and "train.tsv" in card
    assert str(tmp_path) not in card
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


@pytest.mark.slow
def test_parts_of_a_batch_add_up(settings, tmp_path):
    """Two parts, one after the other, do what the whole batch does."""
    options = {"epochs": 2, "learning_rate": 1e-3}
    whole = settings(output=str(tmp_path / "whole"), **options)
    finetune_classify(whole)
    parts = settings(accumulation_steps=2, **options)
    finetune_classify(parts)
    # Adam divides by small numbers, so that rounding shows.
    assert_same(weights_of(parts.output), weights_of(whole.output), atol=2e-4)


@pytest.mark.slow
def test_lora_trains_little_and_is_saved_whole(settings, folder):
    run = settings(lora_rank=2, epochs=3)
    finetune_classify(run)
    preset = os.path.join(run.output, "preset")
    model = UniLMv2TextClassifier.from_preset(preset)
    scores = evaluate(preset, str(folder / "validation.tsv"))
    with open(os.path.join(run.output, "results.json")) as file:
        assert scores["accuracy"] == json.load(file)["maximum"]
    # Merged: a model like any other.
    assert not any("lora" in weight.path for weight in model.weights)


@pytest.mark.slow
def test_training_ends_when_nothing_gets_better(settings):
    # A rate of nearly nothing.
    run = settings(learning_rate=1e-12, epochs=20, patience=2)
    summary = finetune_classify(run)
    curve = summary["seeds"][0]["curve"]
    assert len(curve) == 3
    assert summary["seeds"][0]["best"]["epoch"] == 1


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array(["a"] * 6 + ["b"] * 3 + ["c"], object)
    names = ["a", "b", "c"]
    weights = class_weights("balanced", labels, names)
    expected = compute_class_weight(
        "balanced", classes=np.array(names), y=labels
    )
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    weights = class_weights({"b": 4.0}, labels, names)
    assert weights.tolist() == [1.0, 4.0, 1.0]
    with pytest.raises(ValueError, match=r"class_weights=\{'z': 1\.0\}"):
        class_weights({"z": 1.0}, labels, names)


@pytest.mark.parametrize(
    "lines, message",
    [
        (["w1\tgood", "w2\tgood"], "at least two classes"),
        (["w1\tgood", "w2\todd"], "that the model knows: bad, fair, good"),
        (["w1\tnan", "w2\t1.5"], "nan"),
        (["w1\tgood", "\tbad"], "empty"),
        (["w1\t1.5", "w2\t2.5"], "that the model knows: bad, fair, good"),
        (["w1\tw2\tgood", "w3\tw4\tbad"], "`validation` must have texts as"),
    ],
)
def test_examples_that_will_not_do(settings, tmp_path, lines, message):
    path = tmp_path / "odd.tsv"
    path.write_text("\n".join(lines))
    name = "data" if "two classes" in message else "validation"
    with pytest.raises(ValueError, match=message):
        finetune_classify(settings(**{name: str(path)}))


@pytest.mark.slow
def test_a_regression(settings, folder, tmp_path):
    values = {"bad": -1.0, "fair": 0.5, "good": 2.0}
    for name in ("train", "validation"):
        lines = (folder / f"{name}.tsv").read_text().splitlines()
        pairs = [line.split("\t") for line in lines]
        (tmp_path / f"{name}.tsv").write_text(
            "\n".join(f"{text}\t{values[label]}" for text, label in pairs)
        )
    run = settings(
        data=str(tmp_path / "train.tsv"),
        validation=str(tmp_path / "validation.tsv"),
        test=str(tmp_path / "validation.tsv"),
        epochs=20,
        learning_rate=3e-3,
    )
    summary = finetune_classify(run)
    assert summary["metric"] == "pearson"
    assert summary["maximum"] > 0.9
    ((source, scores),) = summary["final"].items()
    assert source == run.test
    assert scores["pearson"] == pytest.approx(summary["maximum"])
    assert os.path.exists(os.path.join(run.output, "test.tsv"))
    again = evaluate(os.path.join(run.output, "preset"), run.validation)
    assert again["pearson"] == pytest.approx(summary["maximum"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 9, "accumulation_steps": 2}, "batch_size=9"),
        ({"layer_decay": 1.5}, "layer_decay=1.5"),
        (
            {"strategy": "mirrored", "accumulation_steps": 2},
            "strategy=mirrored",
        ),
        ({"vocabulary": None}, "`vocabulary` is needed"),
        ({"preset": "nowhere"}, "nowhere"),
        ({"metric": "f1_score"}, "f1_score"),
    ],
)
def test_settings_that_will_not_do(settings, change, message):
    with pytest.raises(ValueError, match=message):
        finetune_classify(settings(**change))


def test_other_settings_need_another_folder(settings):
    finetune_classify(settings(epochs=1))
    with pytest.raises(ValueError, match=r"learning_rate=0\.01"):
        finetune_classify(settings(epochs=1, learning_rate=0.02))


@pytest.mark.slow
def test_two_devices_train_as_one(settings, folder, tmp_path):
    """A process of its own: TensorFlow's CPU can be split only at its start."""
    one = settings(epochs=1, learning_rate=1e-3)
    finetune_classify(one)
    output = tmp_path / "mirrored"
    arguments = [
        f"--{name}={getattr(one, name)}"
        for name in ("data", "validation", "vocabulary", "preset", "epochs")
        + ("batch_size", "learning_rate", "sequence_length")
    ]
    backbone = [f"--backbone={json.dumps(one.backbone)}"]
    devices = ["--strategy=mirrored", "--devices=2", f"--output={output}"]
    script = os.path.join(os.path.dirname(sys.executable), "unilmv2")
    result = subprocess.run(
        [script, "finetune", "classify", *arguments, *backbone, *devices],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert_same(weights_of(output), weights_of(one.output), atol=2e-4)


@pytest.mark.slow
def test_callbacks_in_yaml(settings, tmp_path, monkeypatch):
    """Keras's, by their class path; an epoch of theirs is an evaluation."""
    monkeypatch.chdir(tmp_path)
    run = settings(epochs=8)
    flags = [
        f"--{name}={json.dumps(value) if name == 'backbone' else value}"
        for name, value in dataclasses.asdict(run).items()
        if value is not None
    ]
    (tmp_path / "recipe.yaml").write_text(
        """
        callbacks:
          - class_path: keras.callbacks.CSVLogger
            init_args: {filename: log.csv}
          - class_path: keras.callbacks.EarlyStopping
            init_args: {monitor: val_accuracy, mode: min, patience: 2}
        """
    )
    assert main(["finetune", "classify", *flags, "--config=recipe.yaml"]) == 0
    with open("log.csv") as file:
        rows = list(csv.DictReader(file))
    # The score never falls, so that the third evaluation is the last.
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    with open(os.path.join(run.output, "results.json")) as file:
        curve = json.load(file)["seeds"][0]["curve"]
    assert [float(row["val_accuracy"]) for row in rows] == [y for _, y in curve]


@pytest.mark.parametrize(
    "callback", ["keras.callbacks.Nothing", {"class_path": "json.JSONDecoder"}]
)
def test_callbacks_that_are_none(settings, callback):
    with pytest.raises(ValueError, match="`callbacks` must hold Keras"):
        finetune_classify(settings(callbacks=[callback]))


@pytest.mark.parametrize("is_given", [True, False])
def test_special_tokens_in_strings(settings, is_given, capsys):
    args = settings(special_tokens_in_strings=is_given or None)
    tokenizer = load_tokenizer(args)
    assert tokenizer.special_tokens_in_strings == is_given
    note_special_tokens(tokenizer, ["w1 [SEP] w2", "w1"], "examples")
    error = capsys.readouterr().err
    assert ("1 of 2 examples hold special tokens" in error) != is_given
