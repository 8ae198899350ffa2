"""The quick start, from the command, with a few steps of each training."""

import json
import os
import random
import subprocess
import sys

import pytest

SCRIPT = os.path.join(os.path.dirname(sys.executable), "unilmv2")
SMALL = {
    "vocabulary_size": 600,
    "pretrain_steps": 4,
    "num_examples": 64,
    "num_held_out": 8,
}


def run(folder, **settings):
    flags = [
        f"--{name}={value}" for name, value in {**SMALL, **settings}.items()
    ]
    return subprocess.run(
        [SCRIPT, "quickstart", f"--output={folder}", *flags],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart") / "out"
    rng = random.Random(0)
    words = ["the", "a", *(f"{x}{y}er" for x in "bdfgklm" for y in "aeiou")]
    documents = [" ".join(rng.choices(words, k=40)) for _ in range(2000)]
    corpus = folder.parent / "corpus.txt"
    corpus.write_text("\n\n".join(documents))
    SMALL["corpus"] = corpus
    result = run(folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.mark.slow
def test_report(finished):
    folder, output = finished
    report = (folder / "report.md").read_text()
    assert report in output
    for text in (
        "partially autoregressive (PAR)",
        "| pre-trained |",
        "| from scratch |",
        "| nearest neighbo",
        "generated: `",
        "unilmv2 pretrain --data",
    ):
        assert text in report
    for picture in ("pretrained/curves.png", "mask.png"):
        assert f"({picture})" in report
        assert (folder / picture).stat().st_size > 10_000


@pytest.mark.slow
def test_scores_are_those_of_the_predictions(finished):
    folder, _ = finished
    for name in ("scores", "scratch_scores"):
        text = (folder / name / "predictions.jsonl").read_text("utf-8")
        lines = text.strip().split("\n")
        rows = [json.loads(line) for line in lines]
        assert len(rows) == SMALL["num_held_out"]
        hits = [
            "".join(row["prediction"].split()).lower()
            == "".join(row["tgt"].split()).lower()
            for row in rows
        ]
        scores = json.loads((folder / name / "scores.json").read_text())
        assert scores["scores"]["exact_match"] == sum(hits) / len(hits)


@pytest.mark.slow
def test_finished_steps_are_skipped(finished):
    folder, output = finished
    # As if the last three steps had been interrupted.
    done = json.loads((folder / "commands.json").read_text())
    names = list(done)
    for name in names[names.index("saved_model") :]:
        del done[name]
    (folder / "commands.json").write_text(json.dumps(done))
    kept = [
        "vocabulary.txt",
        "pretrained/preset/model.weights.h5",
        "finetuned/preset/model.weights.h5",
        "scratch/preset/model.weights.h5",
    ]
    before = [(folder / name).stat().st_mtime_ns for name in kept]
    again = run(folder)
    assert again.returncode == 0, again.stderr
    assert [(folder / name).stat().st_mtime_ns for name in kept] == before
    table = output[output.index("## Pre-training") : output.index("## Comm")]
    assert table in again.stdout


@pytest.mark.slow
def test_other_arguments_need_another_folder(finished):
    folder, _ = finished
    result = run(folder, seed=7)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "--seed 1" in result.stderr
