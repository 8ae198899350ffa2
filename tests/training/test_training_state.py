"""Checkpoints that are damaged, half written, or do not fit on the disk."""

import glob
import os
import resource
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.training.training_state import Checkpoints
from unilmv2_tf.training.training_state import saved_steps


def new_state():
    return {
        "step": tf.Variable(0, dtype=tf.int64),
        "weights": [tf.Variable(tf.zeros([40, 50])), tf.Variable([0.0])],
    }


def fill(state, step):
    state["step"].assign(step)
    state["weights"][0].assign(tf.fill([40, 50], step + 0.5))
    state["weights"][1].assign([step + 0.25])


def assert_state(state, step):
    assert int(state["step"].numpy()) == step
    np.testing.assert_array_equal(
        state["weights"][0], np.full([40, 50], step + 0.5 if step else 0.0)
    )
    assert float(state["weights"][1].numpy()[0]) == (step and step + 0.25)


@pytest.fixture
def saved(tmp_path):
    """A folder with the checkpoints of steps 10 and 20."""
    state = new_state()
    checkpoints = Checkpoints(str(tmp_path), state)
    for step in (10, 20):
        fill(state, step)
        checkpoints.save(step)
    return tmp_path


def data_file(folder, step):
    (path,) = glob.glob(f"{folder}/checkpoints/step-{step}.data-*")
    return path


def truncate(path):
    os.truncate(path, os.path.getsize(path) // 2)


def flip_byte(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


DAMAGES = {
    "data truncated": lambda folder: truncate(data_file(folder, 20)),
    "data empty": lambda folder: os.truncate(data_file(folder, 20), 0),
    "data gone": lambda folder: os.remove(data_file(folder, 20)),
    "byte flipped": lambda folder: flip_byte(data_file(folder, 20)),
    "index truncated": lambda folder: truncate(
        f"{folder}/checkpoints/step-20.index"
    ),
    "index empty": lambda folder: os.truncate(
        f"{folder}/checkpoints/step-20.index", 0
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_skipped(saved, damage, capsys):
    DAMAGES[damage](saved)
    state = new_state()
    checkpoints = Checkpoints(str(saved), state)
    assert checkpoints.restore() == 10
    assert_state(state, 10)
    warning = capsys.readouterr().err
    assert warning.startswith("warning: ") and "step-20" in warning
    assert len(warning.splitlines()) == 1

    # Training resumes from there, over the damaged one.
    for step in (20, 30):
        fill(state, step)
        checkpoints.save(step)
    again = new_state()
    assert Checkpoints(str(saved), again).restore() == 30
    assert_state(again, 30)
    assert saved_steps(saved / "checkpoints") == [10, 20, 30]


def test_an_index_that_is_gone(saved):
    """Without it the checkpoint was never finished."""
    os.remove(saved / "checkpoints/step-20.index")
    state = new_state()
    assert Checkpoints(str(saved), state).restore() == 10
    assert_state(state, 10)
    assert not glob.glob(f"{saved}/checkpoints/step-20*")


def test_all_damaged(saved):
    for step in (10, 20):
        truncate(data_file(saved, step))
    with pytest.raises(ValueError, match=r"None of the checkpoints.*10, 20"):
        Checkpoints(str(saved), new_state()).restore()


def test_none(tmp_path):
    state = new_state()
    assert Checkpoints(str(tmp_path), state).restore() == 0
    assert_state(state, 0)


def test_leftovers_of_a_killed_save_are_removed(saved):
    folder = saved / "checkpoints"
    before = set(os.listdir(folder))
    (folder / "step-30_temp").mkdir()
    (folder / "step-30_temp/part-00000-of-00001.data-00000").write_text("x")
    (folder / "step-30.data-00000-of-00001").write_text("x")
    (folder / "step-30.index.tempstate123").write_text("x")
    (folder / "step-20.data-00000-of-00001.tempstate123").write_text("x")
    state = new_state()
    reader = Checkpoints(str(saved), state, is_writer=False)
    assert set(os.listdir(folder)) > before, "a reader removes nothing"
    assert reader.restore() == 20
    assert Checkpoints(str(saved), state).restore() == 20
    assert set(os.listdir(folder)) == before


@pytest.mark.parametrize("keep", [1, 3])
def test_how_many_are_kept(tmp_path, keep):
    state = new_state()
    checkpoints = Checkpoints(str(tmp_path), state, keep)
    for step in (1, 2, 3, 4, 5):
        checkpoints.save(step)
        checkpoints.save_best(step)
        if step == 3:
            checkpoints = Checkpoints(str(tmp_path), state, keep)
    assert saved_steps(checkpoints.folder) == [1, 2, 3, 4, 5][-keep:]
    assert saved_steps(checkpoints.best_folder) == [5]


def test_another_worker_writes_nothing(tmp_path):
    checkpoints = Checkpoints(str(tmp_path), new_state(), is_writer=False)
    checkpoints.save(1)
    checkpoints.save_best(1)
    assert not os.listdir(tmp_path)


def test_a_checkpoint_of_another_model(saved, capsys):
    state = new_state()
    state["weights"][0] = tf.Variable(tf.zeros([40, 51]))
    with pytest.raises(ValueError, match="another model"):
        Checkpoints(str(saved), state).restore()
    # It is not damaged, and stays where it is.
    assert saved_steps(saved / "checkpoints") == [10, 20]


def assert_older_is_whole(folder, error, step):
    assert f"{folder}/checkpoints" in str(error.value)
    assert f"step {step}" in str(error.value)
    state = new_state()
    assert Checkpoints(str(folder), state).restore() == 20
    assert_state(state, 20)
    names = os.listdir(folder / "checkpoints")
    assert {name.split(".")[0] for name in names} == {"step-10", "step-20"}


def test_files_that_are_too_large(saved):
    state = new_state()
    checkpoints = Checkpoints(str(saved), state)
    checkpoints.restore()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="could not be written") as error:
            checkpoints.save(30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_older_is_whole(saved, error, 30)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, check=False).returncode
    ):
        pytest.skip("mounting a small file system is not allowed here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk(saved, small_disk):
    shutil.copytree(saved / "checkpoints", small_disk / "checkpoints")
    state = new_state()
    checkpoints = Checkpoints(str(small_disk), state)
    checkpoints.restore()
    # 28 kB are there, and another 16.
    (small_disk / "other").write_bytes(b"x" * 16_000)
    with pytest.raises(OSError, match="could not be written") as error:
        for step in (30, 40, 50):
            checkpoints.save(step)
    assert "No space left" in str(error.value)
    steps = saved_steps(small_disk / "checkpoints")
    again = new_state()
    os.remove(small_disk / "other")
    assert Checkpoints(str(small_disk), again).restore() == steps[-1] >= 20
