"""`fit` that survives being interrupted."""

import csv
import os

import keras
import tensorflow as tf

from unilmv2_tf.atomic import replacing
from unilmv2_tf.datasets import training_batches
from unilmv2_tf.trainers.progress import Progress


def fit_resumably(
    task,
    columns,
    batch_size,
    num_steps,
    folder,
    label="training",
    steps_per_save=50,
    seed=0,
):
    """Trains a compiled task, and goes on where an earlier call stopped.

    After every `steps_per_save` steps, weights, optimizer, the states of the
    dropout seeds and the losses so far are saved. The data are a function of
    the seed and the step, so that a resumed training is the same as one that
    was not interrupted.

    Args:
        task: a compiled task with a preprocessor.
        columns: dict of arrays, see `training_batches`.
        batch_size: int.
        num_steps: int. The length of the whole training.
        folder: string. Where checkpoints and `history.csv` go.
        label: string. What the progress line calls the training. Defaults to
            `"training"`.
        steps_per_save: int. Defaults to `50`.
        seed: int. Defaults to `0`.

    Returns:
        The history: a list of dicts with `step` and the mean losses and
        metrics of the steps since the last entry.
    """
    os.makedirs(folder, exist_ok=True)
    if not task.optimizer.built:
        task.optimizer.build(task.trainable_variables)
    checkpoint = Checkpoint(task, folder)
    start_step = checkpoint.restore()
    history_path = os.path.join(folder, "history.csv")
    history = [
        row for row in read_history(history_path) if row["step"] <= start_step
    ]
    if start_step >= num_steps:
        return history

    steps_per_save = min(steps_per_save, num_steps)
    boundaries = list(range(start_step, num_steps, steps_per_save))
    dataset = training_batches(
        columns, batch_size, num_steps, seed=seed, start_step=start_step
    )
    with Progress(label, num_steps, start_step, batch_size) as progress:

        def after_epoch(epoch, logs):
            step = min(start_step + (epoch + 1) * steps_per_save, num_steps)
            history.append({"step": step, **logs})
            # The history first: what lies beyond the checkpoint is dropped
            # when it is read again.
            write_history(history_path, history)
            checkpoint.save(step)

        task.fit(
            dataset,
            epochs=len(boundaries),
            steps_per_epoch=steps_per_save,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: progress.advance(
                        logs
                    ),
                    on_epoch_end=after_epoch,
                )
            ],
            verbose=0,
        )
    return history


class Checkpoint:
    """All that a training needs to go on: variables and the step.

    Keras has no file for the state of dropout's seed generators; they are
    among the variables here.

    Args:
        task: a compiled task whose optimizer is built.
        folder: string.
    """

    def __init__(self, task, folder):
        variables = [*task.variables, *task.optimizer.variables]
        self._step = tf.Variable(0, dtype=tf.int64)
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                step=self._step,
                variables=[variable.value for variable in variables],
            ),
            folder,
            max_to_keep=2,
        )

    def save(self, step):
        """Saves the state after a step.

        Args:
            step: int.
        """
        self._step.assign(step)
        self._manager.save(checkpoint_number=step)

    def restore(self):
        """Restores the last state, if there is one.

        Returns:
            The step after which it was saved, 0 if there is none.
        """
        if not self._manager.latest_checkpoint:
            return 0
        self._manager.checkpoint.restore(
            self._manager.latest_checkpoint
        ).assert_consumed()
        return int(self._step)


def read_history(path):
    """Reads a history that `write_history` wrote.

    Args:
        path: string.

    Returns:
        A list of dicts of numbers, empty if there is no such file. What a row
        lacks is left out of it.
    """
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {
                key: int(value) if key == "step" else float(value)
                for key, value in row.items()
                if value
            }
            for row in csv.DictReader(file)
        ]


def write_history(path, history):
    """Writes a history as CSV, whole or not at all.

    Args:
        path: string.
        history: list of dicts; not all need have all keys.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.trainers.fitting import read_history, write_history
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "history.csv")
    ...     write_history(path, [{"step": 50, "loss": 1.5}])
    ...     read_history(path)
    [{'step': 50, 'loss': 1.5}]
    """
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        names = dict.fromkeys(name for row in history for name in row)
        writer = csv.DictWriter(file, fieldnames=list(names))
        writer.writeheader()
        writer.writerows(history)
