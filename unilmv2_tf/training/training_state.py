import glob
import os
import re
import shutil
import sys

import tensorflow as tf

_PREFIX = "step"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
# What TensorFlow raises for files that are cut short, changed or not there.
_DAMAGE = (
    AssertionError,
    IndexError,
    RuntimeError,
    tf.errors.OpError,
)


class Checkpoints:
    """All that a training needs to go on, saved so that some state survives.

    A checkpoint counts once its index file is there, which is renamed into
    place after the data; older ones are removed after that. So a process that
    is killed at any moment leaves the last checkpoint whole.

    Args:
        folder: string. Latest checkpoints go to its `checkpoints`, the one of
            the lowest loss to its `best`.
        state: dict from names to variables or lists of them.
        keep: int. How many of the latest are kept. Defaults to `3`.
        is_writer: bool. Whether this process writes, or only reads. Defaults
            to `True`.

    Example:

    >>> import tempfile
    >>> import tensorflow as tf
    >>> from unilmv2_tf.training.training_state import Checkpoints
    >>> step = tf.Variable(7)
    >>> checkpoints = Checkpoints(tempfile.mkdtemp(), {"step": step})
    >>> checkpoints.save(7)
    >>> _ = step.assign(0)
    >>> checkpoints.restore(), int(step)
    (7, 7)
    """

    def __init__(self, folder, state, keep=3, is_writer=True):
        self.folder = os.path.join(folder, "checkpoints")
        self.best_folder = os.path.join(folder, "best")
        self._state = state
        self._checkpoint = tf.train.Checkpoint(**state)
        self._is_writer = is_writer
        self._keep = keep
        if is_writer:
            _remove_leftovers(self.folder)
            _remove_leftovers(self.best_folder)
            self._latest = self._manager(self.folder, keep)
            self._best = self._manager(self.best_folder, 1)

    def save(self, step):
        """Saves the state.

        Args:
            step: int.

        Raises:
            OSError: if it cannot be written.
        """
        if self._is_writer:
            self._save(self._latest, step)

    def save_best(self, step):
        """Saves the state as the best so far.

        Args:
            step: int.

        Raises:
            OSError: if it cannot be written.
        """
        if self._is_writer:
            self._save(self._best, step)

    def restore(self):
        """Restores the latest state that can be read.

        A damaged one is skipped, with a warning on stderr, and put aside.

        Returns:
            The step it was saved at, 0 if there is no checkpoint.

        Raises:
            ValueError: if there are checkpoints and none can be read, or the
                latest is of another model.
        """
        steps = saved_steps(self.folder)
        for step in reversed(steps):
            path = os.path.join(self.folder, f"{_PREFIX}-{step}")
            try:
                self._check_shapes(path, tf.train.load_checkpoint(path))
                # Each time a new one: where one fails, TensorFlow goes on
                # looking for the rest of its values in the next.
                status = tf.train.Checkpoint(**self._state).restore(path)
                status.assert_existing_objects_matched()
                return step
            except _DAMAGE as error:
                print(
                    f"warning: the checkpoint {path} is damaged and skipped: "
                    f"{_reason(error)}",
                    file=sys.stderr,
                )
                if self._is_writer:
                    self._put_aside(path)
        if steps:
            raise ValueError(
                f"None of the checkpoints in {self.folder} can be read (steps "
                f"{', '.join(map(str, steps))}). Choose another output, or "
                "delete that folder to begin anew."
            )
        return 0

    def size(self):
        """The bytes of one checkpoint, about.

        Returns:
            An int.
        """
        leaves = tf.nest.flatten(self._state)
        return sum(v.dtype.size * v.shape.num_elements() for v in leaves)

    def _check_shapes(self, path, reader):
        shapes = {
            name.removesuffix(_SUFFIX): shape
            for name, shape in reader.get_variable_to_shape_map().items()
            if name.endswith(_SUFFIX)
        }
        expected = _shapes(self._state)
        differing = [
            f"{name}: {shapes.get(name)} instead of {shape}"
            for name, shape in expected.items()
            if shapes.get(name) != shape
        ]
        if differing:
            raise ValueError(
                f"The checkpoint {path} is of another model or optimizer ("
                f"{len(differing)} of {len(expected)} tensors differ, the "
                f"first {differing[0]}). Give the settings it was made with, "
                "or another output."
            )

    def _manager(self, folder, keep):
        paths = [
            os.path.join(folder, f"{_PREFIX}-{step}")
            for step in saved_steps(folder)
        ]
        if _listed(folder) != paths:
            # What is there counts, and not a list that is damaged or older.
            _write_list(folder, paths)
        return tf.train.CheckpointManager(
            self._checkpoint, folder, max_to_keep=keep, checkpoint_name=_PREFIX
        )

    def _save(self, manager, step):
        try:
            manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            _remove_leftovers(manager.directory)
            kept = saved_steps(manager.directory)
            raise OSError(
                f"The checkpoint of step {step} could not be written to "
                f"{manager.directory}: {_reason(error)}. Kept there: "
                f"{', '.join(map(str, kept)) or 'none'}. Make room, and run "
                "the same command to go on from the last of them"
            ) from None

    def _put_aside(self, path):
        for file in glob.glob(f"{glob.escape(path)}.*"):
            folder, name = os.path.split(file)
            os.replace(file, os.path.join(folder, f"damaged-{name}"))
        self._latest = self._manager(self.folder, self._keep)


def seed_states(task):
    """The variables that dropout draws from, which Keras saves nowhere.

    Args:
        task: a Keras model.

    Returns:
        A list of variables.
    """
    return [v for v in task.variables if "seed_generator" in v.path]


def saved_steps(folder):
    """The steps of the checkpoints in a folder.

    Args:
        folder: string.

    Returns:
        A sorted list of ints.
    """
    if not os.path.isdir(folder):
        return []
    names = os.listdir(folder)
    found = [re.fullmatch(rf"{_PREFIX}-(\d+)\.index", name) for name in names]
    return sorted(int(match.group(1)) for match in found if match)


def _remove_leftovers(folder):
    """Removes what a killed process left of a checkpoint it was writing."""
    if not os.path.isdir(folder):
        return
    whole = {f"{_PREFIX}-{step}" for step in saved_steps(folder)}
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name == "checkpoint" or name.startswith("damaged-"):
            continue
        if name.split(".")[0] not in whole or "temp" in name:
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.remove(path)


def _listed(folder):
    """The paths that TensorFlow's list of checkpoints names."""
    try:
        state = tf.train.get_checkpoint_state(folder)
    except ValueError:
        # It is empty, or so damaged that it is no text.
        return None
    return list(state.all_model_checkpoint_paths) if state else []


def _write_list(folder, paths):
    if not paths:
        os.remove(os.path.join(folder, "checkpoint"))
        return
    times = [os.path.getmtime(f"{path}.index") for path in paths]
    # Without times they would be kept for ever.
    tf.compat.v1.train.update_checkpoint_state(
        folder,
        paths[-1],
        all_model_checkpoint_paths=paths,
        all_model_checkpoint_timestamps=times,
        last_preserved_timestamp=min(times) - 1,
    )


def _shapes(state):
    """By the name in a checkpoint, the shapes of a state."""
    shapes = {}
    for name, value in state.items():
        variables = (
            {f"{name}/{index}": v for index, v in enumerate(value)}
            if isinstance(value, list)
            else {name: value}
        )
        shapes.update({key: v.shape.as_list() for key, v in variables.items()})
    return shapes


def _reason(error):
    text = getattr(error, "message", None) or str(error) or str(type(error))
    return text.splitlines()[0].split("; ")[-1]
