"""The command line of the benchmarks, their peers, and the tables in docs."""

import importlib
import json
import os
import sys

import jsonargparse
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import attention
from benchmarks import contest
from benchmarks import finetuning
from benchmarks import our_steps
from benchmarks import random_rows
from benchmarks import reports
from benchmarks.__main__ import BENCHMARKS
from benchmarks.__main__ import main
from unilmv2_tf.models import UniLMv2Backbone

SETTINGS = {
    "size": "tiny",
    "batch_size": 2,
    "length": 24,
    "source_length": 12,
    "target_length": 6,
    "dropout": 0.0,
}
CONTENDERS = """
def make(settings):
    log = open(settings["log"], "a")
    def step():
        print(settings["name"], file=log, flush=True)
        if settings["name"] == "bad":
            raise ArithmeticError("no such step")
    return step
"""


@pytest.fixture
def factory(tmp_path, monkeypatch):
    (tmp_path / "some_contenders.py").write_text(CONTENDERS)
    # Processes that are spawned inherit the path.
    monkeypatch.setattr(sys, "path", [os.fspath(tmp_path), *sys.path])
    return "some_contenders:make"


def test_contenders_take_turns(factory, tmp_path):
    log = tmp_path / "log"
    samples = contest.measure(
        {name: (factory, {"name": name}) for name in "ab"},
        rounds=3,
        settings={"log": os.fspath(log)},
    )
    # Two warm-ups each, then turns.
    assert log.read_text().split() == [*"aabb", *"ababab"]
    for sample in samples.values():
        assert len(sample["seconds"]) == len(sample["peak_mb"]) == 3


def test_a_contender_that_fails_is_named(factory, tmp_path):
    log = os.fspath(tmp_path / "log")
    with pytest.raises(RuntimeError, match=r"(?s)bad failed.*no such step"):
        contest.measure({"bad": (factory, {"name": "bad"})}, 1, {"log": log})


def test_a_missing_peer_is_skipped_with_its_extra(capsys):
    peers = {
        "here": ("module:here", ["json"], "bench"),
        "missing": ("module:missing", ["json", "no_such_package"], "garden"),
    }
    assert contest.installed(peers) == {"here": "module:here"}
    assert "no_such_package is not installed" in capsys.readouterr().out


def test_masked_rows():
    ids = random_rows.random_ids(8, 64)
    masked = random_rows.masked_rows(ids)
    for row in range(8):
        positions = masked["positions"][row]
        assert (np.diff(positions) > 0).all()
        is_mask = masked["token_ids"][row] == random_rows.MASK
        np.testing.assert_array_equal(np.flatnonzero(is_mask), positions)
        np.testing.assert_array_equal(
            masked["labels"][row], ids[row][positions]
        )


def test_dense_attention_gives_the_same_logits():
    masked = our_steps.masked_rows(SETTINGS)
    x, _, _ = our_steps.task_inputs(masked)
    ours, dense = (
        our_steps.make_masked_lm(SETTINGS, backbone_cls)
        for backbone_cls in (UniLMv2Backbone, attention.DenseBackbone)
    )
    dense.set_weights(ours.get_weights())
    for name in ("ae", "par"):
        logits = (np.array(task(x)[name]) for task in (ours, dense))
        np.testing.assert_allclose(*logits, atol=1e-4)


def test_operations_of_bart_are_those_of_its_matrices():
    # A token costs 2 operations for each weight, forward, and twice that
    # backward; attention apart, which is nothing in rows of one token.
    settings = {"size": "small", "batch_size": 1}
    settings |= {"source_length": 1, "target_length": 1}
    size = random_rows.size_of(settings)
    hidden, inner = size["hidden_dim"], size["intermediate_dim"]
    ffn, attended = 2 * hidden * inner, 4 * hidden**2
    weights = 3 * (ffn + attended) + 3 * (ffn + 2 * attended)
    weights += hidden * random_rows.VOCABULARY_SIZE
    actual = finetuning.bart_flops(settings)
    assert actual == pytest.approx(6 * weights, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pretraining", "finetuning"])
def test_steps_learn(name):
    step = getattr(our_steps, name)(SETTINGS)
    first, *_, last = (loss_of(step()) for _ in range(4))
    assert last < first


def loss_of(result):
    """The mean loss of what a step returns: itself, or sums over tokens."""
    sums = np.ravel(result)
    return sums[0] if len(sums) == 1 else sum(sums[1::2]) / sums[0]


def test_every_benchmark_is_listed_and_has_quick_flags(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    for name in BENCHMARKS:
        assert f"  {name} " in listed
        module = importlib.import_module(f"benchmarks.{name}")
        parser = jsonargparse.ArgumentParser()
        parser.add_function_arguments(module.run)
        parser.set_defaults(module.QUICK)
        parser.parse_args([])


def test_unknown_name(capsys):
    assert main(["trainning"]) == 2
    assert "training" in capsys.readouterr().err


@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="there is one"
)
def test_no_accelerator(capsys):
    assert main(["training", "--device=gpu"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "sees none" in error


def test_results_and_picture(factory, tmp_path, monkeypatch):
    log = os.fspath(tmp_path / "log")
    contenders = {
        name: (factory, {"name": name, "log": log})
        for name in attention.CONTENDERS
    }
    monkeypatch.setattr(attention, "CONTENDERS", contenders)
    assert main(["attention", "--quick", f"--output={tmp_path}"]) == 0
    figures = json.loads((tmp_path / "attention.json").read_text())
    assert figures["settings"]["size"] == "tiny"
    assert figures["lengths"]["32"]["seconds"]["dense"]["lowest"] > 0
    assert figures["machine"]["cores"] and figures["versions"]["keras"]
    assert (tmp_path / "benchmark-attention.png").stat().st_size > 10_000


def test_only_what_is_between_the_comments_changes():
    begin, end = reports.begin_of("x"), reports.end_of("x")
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    actual = reports.replace_table(text, "x", "new\n")
    assert actual == f"before\n{begin}\nnew\n{end}\nafter\n"
    assert reports.replace_table("nothing", "x", "new\n") == "nothing"
    with pytest.raises(ValueError, match="end of figures"):
        reports.replace_table(begin, "x", "new")


def test_docs_show_the_figures_of_the_results():
    tables = reports.make_tables(BENCHMARKS)
    documents = [reports.ROOT / "README.md"]
    documents += sorted(reports.ROOT.glob("docs/**/*.md"))
    texts = [path.read_text() for path in documents]
    for name, table in tables.items():
        assert sum(reports.begin_of(name) in text for text in texts) == 1, (
            f"no page has the table {name}"
        )
        for path, text in zip(documents, texts):
            assert reports.replace_table(text, name, table) == text, (
                f"{path.name} differs from benchmarks/results: run "
                "`python -m benchmarks table`"
            )
