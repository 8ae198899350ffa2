"""Checkpoints of a training in progress."""

import glob
import os
import re
import shutil
import sys

import tensorflow as tf

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
# What TensorFlow raises for files that are truncated, changed or missing.
_DAMAGE = (
    AssertionError,
    IndexError,
    RuntimeError,
    tf.errors.OpError,
)


class Checkpoints:
    """The state of a training, saved so that a kill at any time loses none.

    A checkpoint counts once its index file is there, which is renamed into
    place after the data; older checkpoints are removed after that. `state` is a
    dict from names to variables or lists of them.
    """

    def __init__(self, folder, state, keep=3, is_writer=True):
        self.folder = os.path.join(folder, "checkpoints")
        self.best_folder = os.path.join(folder, "best")
        self._state = state
        self._keep = keep
        self._is_writer = is_writer
        if is_writer:
            _remove_leftovers(self.folder)
            _remove_leftovers(self.best_folder)

    def save(self, step):
        """Saves the state; OSError if it cannot be written."""
        if self._is_writer:
            self._save(self.folder, step, self._keep)

    def save_best(self, step):
        """Saves the state as the best so far."""
        if self._is_writer:
            self._save(self.best_folder, step, 1)

    def restore(self):
        """Restores the latest state that can be read; returns its step, or 0.

        A damaged checkpoint is renamed, with a warning. ValueError if none of
        them can be read, or the latest is of another model.
        """
        steps = saved_steps(self.folder)
        for step in reversed(steps):
            path = _path(self.folder, step)
            try:
                self._check_shapes(path, tf.train.load_checkpoint(path))
                # A new object each time: after a failed read, TensorFlow looks
                # for the missing values in the next file, too.
                status = tf.train.Checkpoint(**self._state).read(path)
                status.assert_existing_objects_matched()
                return step
            except _DAMAGE as error:
                print(
                    f"warning: the checkpoint {path} is damaged and skipped: "
                    f"{_reason(error)}",
                    file=sys.stderr,
                )
                if self._is_writer:
                    for file in glob.glob(f"{glob.escape(path)}.*"):
                        folder, name = os.path.split(file)
                        os.replace(
                            file, os.path.join(folder, f"damaged-{name}")
                        )
        if steps:
            raise ValueError(
                f"None of the checkpoints in {self.folder} can be read (steps "
                f"{', '.join(map(str, steps))}). Choose another output, or "
                "delete that folder to start again."
            )
        return 0

    def size(self):
        """The approximate number of bytes of one checkpoint."""
        leaves = tf.nest.flatten(self._state)
        return sum(v.dtype.size * v.shape.num_elements() for v in leaves)

    def _save(self, folder, step, keep):
        os.makedirs(folder, exist_ok=True)
        try:
            tf.train.Checkpoint(**self._state).write(_path(folder, step))
        except (tf.errors.OpError, OSError) as error:
            # On a full disk, TensorFlow may leave an incomplete index file.
            _remove(folder, step)
            _remove_leftovers(folder)
            kept = saved_steps(folder)
            raise OSError(
                f"The checkpoint of step {step} could not be written to "
                f"{folder}: {_reason(error)}. Kept there: "
                f"{', '.join(map(str, kept)) or 'none'}. Free some space, and "
                "run the same command to resume from the last of them"
            ) from None
        for old in saved_steps(folder)[:-keep]:
            _remove(folder, old)

    def _check_shapes(self, path, reader):
        shapes = {
            name.removesuffix(_SUFFIX): shape
            for name, shape in reader.get_variable_to_shape_map().items()
            if name.endswith(_SUFFIX)
        }
        expected = {
            f"{name}/{index}" if isinstance(value, list) else name: v.shape
            for name, value in self._state.items()
            for index, v in enumerate(tf.nest.flatten(value))
        }
        differing = [
            f"{name}: {shapes.get(name)} instead of {shape}"
            for name, shape in expected.items()
            if name not in shapes or shape != shapes[name]
        ]
        if differing:
            raise ValueError(
                f"The checkpoint {path} is of another model or optimizer ("
                f"{len(differing)} of {len(expected)} tensors differ, the "
                f"first {differing[0]}). Give the settings it was made with, "
                "or another output."
            )


def seed_states(task):
    """The states of the dropout seeds, which Keras saves nowhere."""
    return [v for v in task.variables if "seed_generator" in v.path]


def saved_steps(folder):
    """The steps of the complete checkpoints in a folder, in order."""
    if not os.path.isdir(folder):
        return []
    found = [
        re.fullmatch(r"step-(\d+)\.index", name) for name in os.listdir(folder)
    ]
    return sorted(int(match.group(1)) for match in found if match)


def _path(folder, step):
    return os.path.join(folder, f"step-{step}")


def _remove(folder, step):
    # The index first: without it the data do not count.
    pattern = f"{glob.escape(_path(folder, step))}.*"
    for file in sorted(glob.glob(pattern), reverse=True):
        os.remove(file)


def _remove_leftovers(folder):
    """Removes what a killed process left of an unfinished checkpoint."""
    if not os.path.isdir(folder):
        return
    complete = {f"step-{step}" for step in saved_steps(folder)}
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith("damaged-"):
            continue
        if name.split(".")[0] not in complete or "temp" in name:
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.remove(path)


def _reason(error):
    text = getattr(error, "message", None) or str(error) or str(type(error))
    return text.splitlines()[0].split("; ")[-1]
