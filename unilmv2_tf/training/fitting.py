"""Keras `fit` that can be interrupted and resumed."""

import os

import jsonargparse
import keras

from unilmv2_tf.progress import Progress
from unilmv2_tf.training.history import History
from unilmv2_tf.training.stopping import Stopped
from unilmv2_tf.training.stopping import StopRequest
from unilmv2_tf.training.stopping import raise_stopped
from unilmv2_tf.training.training_state import Checkpoints
from unilmv2_tf.training.training_state import seed_states


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
    callbacks=None,
):
    """Trains a compiled task, or resumes an interrupted training.

    If `make_dataset`, a function from a step to the batches from that step on,
    depends on the step alone, a resumed training is bit-identical to an
    uninterrupted one. `evaluate(step, rows of the history)` returns a dict of
    scores, and whether to stop. An epoch of `callbacks` ends with each
    evaluation. Returns the rows of the history.
    """
    os.makedirs(folder, exist_ok=True)
    if not task.optimizer.built:
        task.optimizer.build(task.trainable_variables)
    checkpoints = Checkpoints(
        folder,
        {
            "weights": [v.value for v in task.weights],
            "optimizer": [v.value for v in task.optimizer.variables],
            "dropout_seeds": [v.value for v in seed_states(task)],
        },
        keep=2,
    )
    start_step = checkpoints.restore()
    history = History(folder, start_step)
    has_ended = history.rows and history.rows[-1].get("ended")
    if start_step >= num_steps or has_ended:
        return history.rows

    with (
        StopRequest() as request,
        Progress(label, num_steps, start_step, examples_per_step) as progress,
    ):
        steps = _Steps(
            start_step,
            num_steps,
            (steps_per_save, steps_per_evaluation or num_steps, stop_at_step),
            (checkpoints, history, progress, request),
            evaluate,
            keras.callbacks.CallbackList(make_callbacks(callbacks), model=task),
        )
        task.fit(
            make_dataset(start_step),
            # One epoch of Keras's: evaluations and restarts fall on steps.
            epochs=1,
            steps_per_epoch=num_steps - start_step,
            callbacks=[steps],
            shuffle=False,
            verbose=0,
        )
    history.draw()
    if steps.is_interrupted:
        message = (
            f"saved at step {steps.step:,} of {num_steps:,}; the same command "
            "resumes from there"
        )
        if request.signal is None:
            raise Stopped(message)
        raise_stopped(request.signal, message)
    return history.rows


class _Steps(keras.callbacks.Callback):
    """Saves, evaluates and stops at steps that do not depend on restarts."""

    def __init__(
        self, step, num_steps, intervals, keepers, evaluate, callbacks
    ):
        super().__init__()
        self.step, self.num_steps = step, num_steps
        self.steps_per_save, self.steps_per_evaluation, self.stop_at = intervals
        self.checkpoints, self.history, self.progress, self.request = keepers
        self.evaluate = evaluate
        self.callbacks = callbacks
        self.epoch = step // self.steps_per_evaluation
        self.is_interrupted = False

    def on_train_begin(self, logs=None):
        self.callbacks.on_train_begin(logs)
        self.callbacks.on_epoch_begin(self.epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self.callbacks.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.progress.advance(logs)
        self.callbacks.on_train_batch_end(batch, logs)
        has_ended = self.model.stop_training
        is_last = self.step == self.num_steps or has_ended
        is_evaluated = is_last or not self.step % self.steps_per_evaluation
        is_asked = self.request.signal is not None or self.step == self.stop_at
        if not (
            is_evaluated or is_asked or not self.step % self.steps_per_save
        ):
            return
        self.history.add(self.step, logs)
        # The next row is of the steps after this one.
        self.model.reset_metrics()
        if is_evaluated:
            scores = {}
            if self.evaluate is not None:
                scores, is_enough = self.evaluate(self.step, self.history.rows)
                self.history.add(self.step, scores)
                has_ended = has_ended or is_enough
            self.callbacks.on_epoch_end(self.epoch, {**(logs or {}), **scores})
            self.epoch += 1
            has_ended = has_ended or self.model.stop_training
            if has_ended and self.step < self.num_steps:
                self.history.add(self.step, {"ended": 1})
            if not (is_last or has_ended):
                self.callbacks.on_epoch_begin(self.epoch)
        # The history first: rows beyond the checkpoint are dropped on a resume.
        self.history.write()
        self.checkpoints.save(self.step)
        self.is_interrupted = is_asked and not is_last and not has_ended
        if is_asked or has_ended:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.callbacks.on_train_end(logs)


def make_callbacks(callbacks):
    """Keras callbacks of `{class_path, init_args}` entries, or instances."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(
        keras.callbacks.Callback, "callback", fail_untyped=False
    )

    def instantiate(callback):
        if isinstance(callback, keras.callbacks.Callback):
            return callback
        try:
            config = parser.parse_object({"callback": callback})
        except jsonargparse.ArgumentError as error:
            raise ValueError(
                "`callbacks` must hold Keras callbacks: instances, or a "
                "`class_path` with `init_args` each. Received: "
                f"{callback}: {' '.join(str(error).split())}"
            ) from None
        return parser.instantiate_classes(config).callback

    return [instantiate(callback) for callback in callbacks or []]
