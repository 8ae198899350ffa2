"""`fit` that is interrupted and resumed, on one model that is reset."""

import keras
import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.datasets.batching import seeded_batches
from unilmv2_tf.training.arguments import PretrainArgs
from unilmv2_tf.training.fitting import Stopped
from unilmv2_tf.training.fitting import fit_resumably
from unilmv2_tf.training.history import read_history
from unilmv2_tf.training.optimizer import make_optimizer

WORDS = [f"w{i}" for i in range(20)]
TEXTS = np.array(
    [" ".join(WORDS[(i * j) % 20] for j in range(1, 12)) for i in range(1, 30)]
)


@pytest.fixture(scope="module")
def task():
    keras.utils.set_random_seed(3)
    tokenizer = UniLMv2Tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    )
    task = UniLMv2PseudoMaskedLM(
        UniLMv2Backbone(25, 1, 2, 8, 16, 0.1, max_sequence_length=16),
        UniLMv2PseudoMaskedLMPreprocessor(
            tokenizer, sequence_length=16, seed=1
        ),
    )
    args = PretrainArgs(data="", output="", learning_rate=1e-2)
    task.compile(optimizer=make_optimizer(args, 12, 1))
    task.optimizer.build(task.trainable_variables)
    return task


@pytest.fixture(scope="module")
def train(task):
    """A function that trains the new model; returns history and weights."""
    variables = [*task.variables, *task.optimizer.variables]
    initial = [np.array(variable) for variable in variables]

    def train(folder, num_steps=12, **kwargs):
        for variable, value in zip(variables, initial):
            variable.assign(value)
        history = fit_resumably(
            task,
            lambda step: seeded_batches(
                {"text": TEXTS}, None, 4, num_steps, 0, step
            ),
            num_steps,
            str(folder),
            steps_per_save=3,
            **kwargs,
        )
        return history, [np.array(weight) for weight in task.weights]

    return train


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """Folder, history and weights of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, *train(folder)


def assert_equal(weights, expected):
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_killed_training_resumes_bit_identically(train, whole, tmp_path):
    class Killed(Exception):
        pass

    def kill(batch, logs):
        # Between two saves: what came after step 6 is lost.
        if batch == 7:
            raise Killed

    killer = keras.callbacks.LambdaCallback(on_train_batch_end=kill)
    with pytest.raises(Killed):
        train(tmp_path, callbacks=[killer])
    history, weights = train(tmp_path)
    assert history == whole[1]
    assert_equal(weights, whole[2])


def test_finished_training_is_not_repeated(train, whole):
    folder, history, weights = whole
    again = train(folder)
    assert again[0] == history
    assert_equal(again[1], weights)


def test_history_is_written(whole):
    folder, history, _ = whole
    assert [row["step"] for row in history] == [3, 6, 9, 12]
    assert read_history(folder / "history.csv") == history
    assert {"ae_loss", "par_loss", "loss"} < set(history[0])
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_stop_inside_an_interval_changes_nothing(train, whole, tmp_path):
    with pytest.raises(Stopped, match="step 5 of 12"):
        train(tmp_path, stop_at_step=5)
    history, weights = train(tmp_path)
    assert [row["step"] for row in history] == [3, 5, 6, 9, 12]
    assert_equal(weights, whole[2])


def test_evaluation_can_end_the_training(train, tmp_path):
    calls = []

    def evaluate(step, rows):
        calls.append((step, [row["step"] for row in rows]))
        return {"score": step / 100}, step == 8

    options = {"evaluate": evaluate, "steps_per_evaluation": 4}
    history, _ = train(tmp_path, **options)
    assert calls == [(4, [3, 4]), (8, [3, 4, 6, 8])]
    scores = {row["step"]: row["score"] for row in history if "score" in row}
    assert scores == {4: 0.04, 8: 0.08}
    # It stays ended.
    assert train(tmp_path, **options)[0] == history
    assert len(calls) == 2


def test_epochs_of_callbacks_end_with_evaluations(train, tmp_path):
    calls = []
    recorder = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: calls.append(("begin", epoch)),
        on_epoch_end=lambda epoch, logs: calls.append((epoch, logs["score"])),
    )
    early = keras.callbacks.EarlyStopping("score", mode="max", patience=1)
    history, _ = train(
        tmp_path,
        evaluate=lambda step, rows: ({"score": -step}, False),
        steps_per_evaluation=4,
        callbacks=[recorder, early],
    )
    assert calls == [("begin", 0), (0, -4), ("begin", 1), (1, -8)]
    assert history[-1]["step"] == 8 and history[-1]["ended"] == 1
