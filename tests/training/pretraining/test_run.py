"""Runs in this process: their output, and resuming after a stop."""

import csv
import os
import shutil

import keras
import numpy as np
import pytest

import unilmv2_tf
from unilmv2_tf.datasets import open_token_shards
from unilmv2_tf.datasets.shard_plan import plan_shards
from unilmv2_tf.datasets.shard_writing import write_token_shards
from unilmv2_tf.training.pretrain import pretrain

LOSSES = ("loss", "ae_loss", "par_loss", "val_loss", "val_par_accuracy")


def history_of(folder):
    with open(os.path.join(folder, "history.csv"), newline="") as file:
        return {int(row["step"]): row for row in csv.DictReader(file)}


@pytest.fixture
def run(make_settings, tmp_path):
    """A function that runs 20 steps with dropout in a folder of a name."""

    def run(name, **settings):
        folder = str(tmp_path / name)
        is_done = pretrain(
            make_settings(
                output=folder,
                steps_per_loop=5,
                evaluation_interval=10,
                checkpoint_interval=10,
                **{
                    "num_steps": 20,
                    "backbone": {"dropout": 0.1},
                    **settings,
                },
            )
        )
        return folder, is_done

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "whole"


@pytest.fixture
def whole(run, kept, tmp_path):
    """The folder of a run without a stop; it is run once, and copied."""
    folder = str(tmp_path / "whole")
    if kept.exists():
        return shutil.copytree(kept, folder)
    assert run("whole") == (folder, True)
    shutil.copytree(folder, kept)
    return folder


def test_what_a_run_leaves(whole, read_checkpoint):
    assert set(os.listdir(whole)) == {
        "best",
        "checkpoints",
        "curves.png",
        "history.csv",
        "preset",
        "settings.json",
    }
    history = history_of(whole)
    assert list(history) == [5, 10, 15, 20]
    assert [bool(row["val_loss"]) for row in history.values()] == [0, 1, 0, 1]
    lowest = min((10, 20), key=lambda step: float(history[step]["val_loss"]))
    best = read_checkpoint(whole, "best")
    assert best["step/.ATTRIBUTES/VARIABLE_VALUE"] == lowest
    # The preset has the last weights.
    task = unilmv2_tf.UniLMv2PseudoMaskedLM.from_preset(f"{whole}/preset")
    saved = read_checkpoint(whole)
    for index, weight in enumerate(task.weights):
        name = f"weights/{index}/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(weight.numpy(), saved[name])
    assert task.preprocessor.sequence_length == 32


@pytest.mark.slow
def test_resuming_after_a_stop(run, whole, read_checkpoint, capsys):
    # In the middle of a loop.
    step = 7
    folder, is_done = run("stopped", stop_at_step=step)
    assert not is_done
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert f"saved at step {step} of 20" in last_line
    assert "the same command resumes" in last_line
    assert max(history_of(folder)) == step
    # The same command: the step to stop at has passed.
    assert run("stopped", stop_at_step=step) == (folder, True)
    assert f"resumes from step {step}" in capsys.readouterr().out

    expected, received = read_checkpoint(whole), read_checkpoint(folder)
    assert set(received) == set(expected) and len(expected) > 50
    for name in expected:
        np.testing.assert_array_equal(received[name], expected[name], name)
    expected, received = history_of(whole), history_of(folder)
    assert set(received) == {*expected, step}
    for key in expected:
        # After a stop inside of a loop, the next mean is of what was left.
        names = LOSSES[3:] if step < key <= 10 else LOSSES
        for name in names:
            assert received[key][name] == expected[key][name], (key, name)


@pytest.mark.slow
def test_a_finished_run_stays_the_same(run, whole, read_checkpoint):
    before = read_checkpoint(whole), history_of(whole)
    assert run("whole") == (whole, True)
    after = read_checkpoint(whole), history_of(whole)
    assert after[1] == before[1]
    for name in before[0]:
        np.testing.assert_array_equal(after[0][name], before[0][name])


@pytest.mark.slow
def test_the_last_checkpoint_is_damaged(run, whole, read_checkpoint, capsys):
    expected = read_checkpoint(whole), history_of(whole)
    (data,) = [
        f"{whole}/checkpoints/{name}"
        for name in os.listdir(f"{whole}/checkpoints")
        if name.startswith("step-20.data")
    ]
    os.truncate(data, os.path.getsize(data) // 2)
    assert run("whole") == (whole, True)
    output = capsys.readouterr()
    assert "step-20 is damaged" in output.err
    assert "resumes from step 10" in output.out
    received = read_checkpoint(whole)
    for name in expected[0]:
        np.testing.assert_array_equal(received[name], expected[0][name], name)
    for step, row in history_of(whole).items():
        for name in LOSSES:
            assert row[name] == expected[1][step][name]


@pytest.mark.slow
def test_a_callback_ends_a_run(run, whole):
    # The loss falls, so that the second evaluation is no better.
    early = keras.callbacks.EarlyStopping("val_loss", mode="max", patience=1)
    folder, is_done = run("early", num_steps=50, callbacks=[early])
    assert is_done and os.path.exists(f"{folder}/preset")
    assert list(history_of(folder)) == list(history_of(whole))


@pytest.mark.slow
def test_without_validation(run, tmp_path, shards, capsys):
    write_token_shards(
        plan_shards(os.path.join(os.path.dirname(shards), "text.txt")),
        open_token_shards(shards).tokenizer(),
        tmp_path / "shards",
        sequence_length=32,
        validation_share=0,
    )
    folder, is_done = run("run", data=str(tmp_path / "shards"), num_steps=5)
    assert is_done and not os.path.exists(f"{folder}/best")
    assert "no validation split" in capsys.readouterr().out
    assert "val_loss" not in history_of(folder)[5]
