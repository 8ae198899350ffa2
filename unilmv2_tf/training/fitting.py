"""`fit` that survives being interrupted."""

import contextlib
import os

import keras

from unilmv2_tf.progress import Progress
from unilmv2_tf.training.history import History
from unilmv2_tf.training.stopping import StopRequest
from unilmv2_tf.training.training_state import Checkpoints
from unilmv2_tf.training.training_state import seed_states


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, after the state was saved.

    Attributes:
        signal: the number of the signal, or `None`.
    """

    signal = None


def fit_resumably(
    task,
    make_dataset,
    num_steps,
    folder,
    label="training",
    examples_per_step=1,
    steps_per_save=50,
    evaluate=None,
    steps_per_evaluation=None,
    stop_at_step=None,
):
    """Trains a compiled task, and goes on where an earlier call stopped.

    After every `steps_per_save` steps, and when SIGTERM or Ctrl-C ask to stop,
    weights, optimizer, the states of the dropout seeds and the losses so far
    are saved. If the data are a function of the step, a resumed training is
    the same as one that was not interrupted, bit for bit.

    Args:
        task: a compiled task.
        make_dataset: function from a step to the batched dataset of that step
            and all later ones, until `num_steps`.
        num_steps: int. The length of the whole training.
        folder: string. Where checkpoints and `history.csv` go.
        label: string. What the progress line calls the training. Defaults to
            `"training"`.
        examples_per_step: number, for the progress line. Defaults to `1`.
        steps_per_save: int. Defaults to `50`.
        evaluate: function from a step and the history so far to a tuple of
            figures, a dict of numbers for the history, and a bool, whether to
            end the training here. It must do the same when it is called once
            more for the same step. Defaults to `None`.
        steps_per_evaluation: int. How often it is called; always after the
            last step. Defaults to `None`: only then.
        stop_at_step: int. Saves and stops there, as if asked to by a signal.
            Defaults to `None`.

    Returns:
        The history: a list of dicts with `step`, the mean losses and metrics
        of the steps since the last entry, and the figures of `evaluate`.

    Raises:
        Stopped: if a signal or `stop_at_step` ended it before its end.
    """
    os.makedirs(folder, exist_ok=True)
    if not task.optimizer.built:
        task.optimizer.build(task.trainable_variables)
    checkpoints = Checkpoints(folder, _state(task), keep=2)
    start_step = checkpoints.restore()
    history = History(folder, start_step)
    if start_step >= num_steps or _is_ended(history):
        return history.rows

    with (
        StopRequest() as request,
        Progress(label, num_steps, start_step, examples_per_step) as progress,
    ):
        keeper = _Keeper(
            start_step,
            num_steps,
            (steps_per_save, steps_per_evaluation or num_steps, stop_at_step),
            (checkpoints, history, progress, request),
            evaluate,
        )
        task.fit(
            make_dataset(start_step),
            # Batches come to an end by themselves; an epoch of Keras is
            # nothing here.
            epochs=1,
            steps_per_epoch=num_steps - start_step,
            callbacks=[keeper],
            shuffle=False,
            verbose=0,
        )
    if keeper.is_interrupted:
        stopped = Stopped(
            f"stopped at step {keeper.step:,} of {num_steps:,}, and saved; the "
            "same command goes on from there"
        )
        stopped.signal = request.signal
        raise stopped
    return history.rows


def _state(task):
    return {
        "weights": [v.value for v in task.weights],
        "optimizer": [v.value for v in task.optimizer.variables],
        "dropout_seeds": [v.value for v in seed_states(task)],
    }


def _is_ended(history):
    return bool(history.rows and history.rows[-1].get("ended"))


class _Keeper(keras.callbacks.Callback):
    """Saves, evaluates, and stops, at steps that don't depend on restarts."""

    def __init__(self, step, num_steps, intervals, keepers, evaluate):
        super().__init__()
        self.step, self.num_steps = step, num_steps
        self.steps_per_save, self.steps_per_evaluation, self.stop_at = intervals
        self.checkpoints, self.history, self.progress, self.request = keepers
        self.evaluate = evaluate
        self.is_interrupted = False

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.progress.advance(logs)
        is_last = self.step == self.num_steps
        is_evaluated = is_last or not self.step % self.steps_per_evaluation
        is_asked = self.request.signal is not None or self.step == self.stop_at
        if not (
            is_evaluated or is_asked or not self.step % self.steps_per_save
        ):
            return
        self.history.add(self.step, logs)
        # The next entry is of the steps after this one.
        self.model.reset_metrics()
        is_ended = False
        if is_evaluated and self.evaluate is not None:
            figures, is_ended = self.evaluate(self.step, self.history.rows)
            self.history.add(self.step, figures)
            if is_ended and not is_last:
                self.history.add(self.step, {"ended": 1})
        # The history first: what lies beyond the checkpoint is dropped when it
        # is read again.
        self.history.write()
        self.checkpoints.save(self.step)
        if is_asked and not is_last and not is_ended:
            self.is_interrupted = True
        if is_asked or is_ended:
            self.model.stop_training = True


@contextlib.contextmanager
def preprocessor_set_to(task, preprocessor):
    """Gives a task another preprocessor for a while.

    Args:
        task: a KerasHub task.
        preprocessor: a preprocessor, or `None` to feed it rows of integers.
    """
    earlier, task.preprocessor = task.preprocessor, preprocessor
    try:
        yield
    finally:
        task.preprocessor = earlier
