"""The quick start, from the command, with a few steps of each training."""

import contextlib
import io
import json
import random

import pytest

from unilmv2_tf.cli import main

SMALL = {
    "vocabulary_size": 200,
    "pretrain_steps": 4,
    "num_examples": 32,
    "num_held_out": 8,
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("small_docstrings"),
]


def run(folder, **settings):
    flags = [
        f"--{name}={value}" for name, value in {**SMALL, **settings}.items()
    ]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        status = main(["quickstart", f"--output={folder}", *flags])
    return status, output.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_docstrings):
    folder = tmp_path_factory.mktemp("quickstart") / "out"
    rng = random.Random(0)
    words = ["the", "a", *(f"{x}{y}er" for x in "bdfgklm" for y in "aeiou")]
    documents = [" ".join(rng.choices(words, k=40)) for _ in range(500)]
    corpus = folder.parent / "corpus.txt"
    corpus.write_text("\n\n".join(documents))
    SMALL["corpus"] = corpus
    status, output = run(folder)
    assert status == 0
    return folder, output


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
        # Of a model that has hardly been trained, too.
        "The exported model gave the same answers",
        "unilmv2 pretrain --data",
    ):
        assert text in report
    for picture in ("pretrained/curves.png", "mask.png"):
        assert f"({picture})" in report
        assert (folder / picture).stat().st_size > 10_000


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


def test_finished_steps_are_skipped(finished):
    folder, output = finished
    # As if the last step had been interrupted.
    path = folder / "commands.json"
    done = json.loads(path.read_text())
    del done["mask.png"]
    path.write_text(json.dumps(done))
    status, again = run(folder)
    assert status == 0
    assert again.count("done before") == len(done)
    table = output[output.index("## Pre-training") : output.index("## Comm")]
    assert table in again


def test_other_arguments_need_another_folder(finished, capsys):
    folder, _ = finished
    assert run(folder, seed=7)[0] == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--seed 1" in error
