import keras
import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.datasets import seeded_batches
from unilmv2_tf.training.arguments import OptimizerArgs
from unilmv2_tf.training.fitting import Stopped
from unilmv2_tf.training.fitting import fit_resumably
from unilmv2_tf.training.history import read_history
from unilmv2_tf.training.optimizer import make_optimizer

WORDS = [f"w{i}" for i in range(20)]
TEXTS = np.array(
    [" ".join(WORDS[(i * j) % 20] for j in range(1, 12)) for i in range(1, 30)]
)


@pytest.fixture
def new_task():
    def make():
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
        args = OptimizerArgs(learning_rate=1e-2)
        task.compile(optimizer=make_optimizer(args, 12, 1))
        return task

    return make


def train(task, folder, num_steps=12, **kwargs):
    return fit_resumably(
        task,
        lambda step: seeded_batches(
            {"text": TEXTS}, None, 4, num_steps, 0, step
        ),
        num_steps,
        str(folder),
        steps_per_save=3,
        **kwargs,
    )


def test_interrupted_training_ends_as_an_uninterrupted_one(new_task, tmp_path):
    whole = new_task()
    history = train(whole, tmp_path / "whole")

    interrupted = new_task()
    steps_seen = []

    class Killed(Exception):
        pass

    def kill(batch, logs):
        steps_seen.append(batch)
        # Between two saves: what came after step 6 is lost.
        if len(steps_seen) == 8:
            raise Killed

    original_fit = interrupted.fit

    def fit(*args, callbacks, **kwargs):
        killer = keras.callbacks.LambdaCallback(on_train_batch_end=kill)
        return original_fit(*args, callbacks=[*callbacks, killer], **kwargs)

    interrupted.fit = fit
    with pytest.raises(Killed):
        train(interrupted, tmp_path / "interrupted")

    resumed = new_task()
    resumed_history = train(resumed, tmp_path / "interrupted")
    assert resumed_history == history
    for expected, actual in zip(whole.weights, resumed.weights):
        np.testing.assert_array_equal(actual, expected, err_msg=actual.path)


def test_finished_training_is_not_repeated(new_task, tmp_path):
    task = new_task()
    history = train(task, tmp_path)
    weights = [np.array(weight) for weight in task.weights]
    again = new_task()
    assert train(again, tmp_path) == history
    for expected, actual in zip(weights, again.weights):
        np.testing.assert_array_equal(actual, expected)


def test_history_is_written_down(new_task, tmp_path):
    history = train(new_task(), tmp_path)
    assert [row["step"] for row in history] == [3, 6, 9, 12]
    assert read_history(tmp_path / "history.csv") == history
    assert {"ae_loss", "par_loss", "loss"} < set(history[0])
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_stop_in_the_middle_of_an_interval_changes_nothing(
    new_task, tmp_path
):
    whole = new_task()
    train(whole, tmp_path / "whole")
    with pytest.raises(Stopped, match="step 5 of 12"):
        train(new_task(), tmp_path / "stopped", stop_at_step=5)
    resumed = new_task()
    history = train(resumed, tmp_path / "stopped")
    assert [row["step"] for row in history] == [3, 5, 6, 9, 12]
    for expected, actual in zip(whole.weights, resumed.weights):
        np.testing.assert_array_equal(actual, expected, err_msg=actual.path)


def test_evaluation_can_end_the_training(new_task, tmp_path):
    calls = []

    def evaluate(step, rows):
        calls.append((step, [row["step"] for row in rows]))
        return {"score": step / 100}, step == 8

    options = {"evaluate": evaluate, "steps_per_evaluation": 4}
    history = train(new_task(), tmp_path, **options)
    assert calls == [(4, [3, 4]), (8, [3, 4, 6, 8])]
    scores = {row["step"]: row["score"] for row in history if "score" in row}
    assert scores == {4: 0.04, 8: 0.08}
    # It stays ended.
    assert train(new_task(), tmp_path, **options) == history
    assert len(calls) == 2
