"""Checkpoints that were damaged, cut short, or could not be written."""

import os
import resource
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.trainers.pretraining.checkpoints import Checkpoints
from unilmv2_tf.trainers.pretraining.checkpoints import saved_steps


class Training:
    """A state whose values are a function of the step."""

    def __init__(self, folder, keep=3, size=1000, **keywords):
        self.step = tf.Variable(0, dtype=tf.int64)
        self.weights = [tf.Variable(tf.zeros([size])), tf.Variable(0.0)]
        state = {"step": self.step, "weights": self.weights}
        self.checkpoints = Checkpoints(str(folder), state, keep, **keywords)

    def values(self, step):
        return np.random.default_rng(step).normal(size=1000).astype("float32")

    def save(self, step, method="save"):
        self.step.assign(step)
        self.weights[0].assign(self.values(step))
        self.weights[1].assign(step / 7)
        getattr(self.checkpoints, method)(step)

    def is_at(self, step):
        weights, number = (v.numpy() for v in self.weights)
        return (
            int(self.step.numpy()) == step
            and np.array_equal(weights, self.values(step))
            and number == np.float32(step / 7)
        )


@pytest.fixture
def saved(tmp_path):
    training = Training(tmp_path)
    for step in (10, 20, 30):
        training.save(step)
    training.save(20, "save_best")
    return tmp_path


def test_all_comes_back(saved):
    training = Training(saved)
    assert training.checkpoints.restore() == 30
    assert training.is_at(30)
    reader = tf.train.load_checkpoint(str(saved / "best" / "step-20"))
    weights = reader.get_tensor("weights/0/.ATTRIBUTES/VARIABLE_VALUE")
    assert np.array_equal(weights, training.values(20))


def test_nothing_to_restore(tmp_path):
    assert Training(tmp_path).checkpoints.restore() == 0


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_latest_are_kept(keep, tmp_path):
    steps = [5, 10, 15, 20]
    for first, last in ((0, 3), (3, 4)):
        # The second, of another process, keeps as many in all.
        training = Training(tmp_path, keep)
        for step in steps[first:last]:
            training.save(step)
            training.save(step, "save_best")
    assert saved_steps(tmp_path / "checkpoints") == steps[-keep:]
    assert saved_steps(tmp_path / "best") == [20]
    names = os.listdir(tmp_path / "checkpoints")
    assert len(names) == 1 + 2 * len(steps[-keep:])


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


DATA, INDEX = "data-00000-of-00001", "index"
DAMAGES = {
    "data cut": (DATA, cut),
    "data empty": (DATA, lambda path: path.write_bytes(b"")),
    "data changed": (DATA, flip),
    "data missing": (DATA, lambda path: path.unlink()),
    "index cut": (INDEX, cut),
    "index empty": (INDEX, lambda path: path.write_bytes(b"")),
    "index changed": (INDEX, flip),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_skipped(damage, saved, capfd):
    suffix, harm = DAMAGES[damage]
    harm(saved / "checkpoints" / f"step-30.{suffix}")
    training = Training(saved)
    assert training.checkpoints.restore() == 20
    assert training.is_at(20)
    warnings = [
        line
        for line in capfd.readouterr().err.splitlines()
        if line.startswith("warning: ")
    ]
    assert len(warnings) == 1
    assert "step-30 is damaged and skipped" in warnings[0]
    # It goes on as if that had never been, also in the next process.
    training.save(30)
    again = Training(saved)
    assert again.checkpoints.restore() == 30 and again.is_at(30)
    assert saved_steps(saved / "checkpoints") == [10, 20, 30]


def test_without_its_index_it_is_a_leftover(saved):
    (saved / "checkpoints" / "step-30.index").unlink()
    training = Training(saved)
    assert training.checkpoints.restore() == 20 and training.is_at(20)
    assert not list((saved / "checkpoints").glob("step-30*"))


@pytest.mark.parametrize("content", [b"", b"\xff garbage {", None])
def test_the_list_of_checkpoints_is_not_needed(content, saved):
    path = saved / "checkpoints" / "checkpoint"
    path.unlink() if content is None else path.write_bytes(content)
    training = Training(saved)
    assert training.checkpoints.restore() == 30 and training.is_at(30)
    training.save(40)
    assert saved_steps(saved / "checkpoints") == [20, 30, 40]


def test_a_reader_changes_nothing(saved, capfd):
    flip(saved / "checkpoints" / f"step-30.{DATA}")
    names = sorted(os.listdir(saved / "checkpoints"))
    training = Training(saved, is_writer=False)
    assert training.checkpoints.restore() == 20
    training.save(40)
    assert sorted(os.listdir(saved / "checkpoints")) == names
    assert "damaged" in capfd.readouterr().err


def test_all_are_damaged(saved):
    for path in (saved / "checkpoints").glob("*.data*"):
        cut(path)
    with pytest.raises(ValueError, match=r"None of.*steps 10, 20, 30.*anew"):
        Training(saved).checkpoints.restore()


def test_of_another_model(saved):
    training = Training(saved, size=999)
    with pytest.raises(ValueError, match=r"another model.*\[1000\].*\[999\]"):
        training.checkpoints.restore()
    # It is not damaged: nothing is put aside.
    assert saved_steps(saved / "checkpoints") == [10, 20, 30]


def test_leftovers_of_a_killed_save_are_removed(saved):
    folder = saved / "checkpoints"
    before = sorted(os.listdir(folder))
    # As TensorFlow names them, seen in killed processes.
    (folder / "step-40_temp").mkdir()
    (folder / "step-40_temp" / f"part-00000-of-00001.{DATA}").write_text("x")
    (folder / "step-40.data-00000-of-00001").write_text("x")
    (folder / "step-40.index.tempstate123").write_text("x")
    (folder / "step-30.data-00000-of-00001.tempstate9").write_text("x")
    training = Training(saved)
    assert sorted(os.listdir(folder)) == before
    assert training.checkpoints.restore() == 30 and training.is_at(30)


CHILD = textwrap.dedent(
    """
    import sys
    import tensorflow as tf
    from unilmv2_tf.trainers.pretraining.checkpoints import Checkpoints
    value = tf.Variable(tf.random.normal([int(sys.argv[2])]))
    checkpoints = Checkpoints(sys.argv[1], {"value": value})
    try:
        checkpoints.save(20)
    except OSError as error:
        print("OSError", error)
    """
)


@pytest.mark.slow
def test_a_file_that_cannot_grow(tmp_path):
    Checkpoints(str(tmp_path), {"value": tf.Variable([1.0])}).save(10)
    process = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), "300000"],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (500_000, 500_000)
        ),
    )
    assert process.returncode == 0, process.stderr
    check_full(tmp_path, process.stdout)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk):
    first = Checkpoints(str(small_disk), {"value": tf.Variable([1.0])})
    first.save(10)
    large = tf.Variable(tf.random.normal([300_000]))
    with pytest.raises(OSError) as caught:
        Checkpoints(str(small_disk), {"value": large}).save(20)
    check_full(small_disk, str(caught.value))


def check_full(folder, message):
    assert f"step 20 could not be written to {folder}" in message
    assert "Kept there: 10" in message
    assert "\n" not in message.strip()
    assert sorted(os.listdir(folder / "checkpoints")) == [
        "checkpoint",
        f"step-10.{DATA}",
        "step-10.index",
    ]
    value = tf.Variable([0.0])
    assert Checkpoints(str(folder), {"value": value}).restore() == 10
    assert value.numpy() == [1.0]
