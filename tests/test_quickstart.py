"""The quick start, from the command, with a few steps of each training."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = os.path.join(os.path.dirname(sys.executable), "unilmv2")
SMALL = {
    "vocabulary_size": 600,
    "pretrain_steps": 4,
    "finetune_steps": 3,
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
    result = run(folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.mark.slow
def test_it_tells_the_story(finished):
    folder, output = finished
    report = (folder / "report.md").read_text()
    for text in (
        "word frequencies alone",
        "partially autoregressive (PAR)",
        "| pre-trained |",
        "| from scratch |",
        "| nearest neighbor |",
        "| majority |",
        "generated:",
    ):
        assert text in output
        assert text in report
    for picture in ("curves.png", "mask.png"):
        assert f"({picture})" in report
        assert (folder / picture).stat().st_size > 10_000


@pytest.mark.slow
def test_scores_are_those_of_the_predictions(finished):
    folder, _ = finished
    scores = json.loads((folder / "scores.json").read_text())
    for method, name in (
        ("pre-trained", "finetuned"),
        ("from scratch", "scratch"),
    ):
        rows = json.loads((folder / f"{name}.predictions.json").read_text())
        assert len(rows) == SMALL["num_held_out"]
        hits = [
            "".join(row["generated"].split()).lower()
            == "".join(row["reference"].split()).lower()
            for row in rows
        ]
        assert scores[method]["exact_match"] == sum(hits) / len(hits)


@pytest.mark.slow
def test_a_second_run_repeats_nothing(finished):
    folder, output = finished
    kept = [
        "vocabulary.txt",
        "pretrained/model.weights.h5",
        "finetuned/model.weights.h5",
        "scratch/model.weights.h5",
        "saved_model/1/saved_model.pb",
    ]
    before = [(folder / name).stat().st_mtime_ns for name in kept]
    again = run(folder)
    assert again.returncode == 0, again.stderr
    assert [(folder / name).stat().st_mtime_ns for name in kept] == before
    assert not (folder / "saved_model" / "2").exists()
    table = output[output.index("## Pre-training") :]
    assert again.stdout[again.stdout.index("## Pre-training") :] == table


@pytest.mark.slow
def test_other_settings_need_another_folder(finished):
    folder, _ = finished
    result = run(folder, seed=7)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "seed=1" in result.stderr
