"""Versions appear whole, one after the other."""

import errno
import os
import stat

import pytest

from unilmv2_tf.serving.versions import list_versions
from unilmv2_tf.serving.versions import newest_version
from unilmv2_tf.serving.versions import publish_version


def fill(folder):
    with open(os.path.join(folder, "saved_model.pb"), "w") as file:
        file.write("graph")


def test_numbers_go_on_above_the_highest(tmp_path):
    path = tmp_path / "models" / "toy"
    assert publish_version(path, fill) == str(path / "1")
    for name in ("9", "10", "notes", "\u0663", "-1", "12.bak"):
        (path / name).mkdir()
    assert list_versions(path) == [1, 9, 10]
    assert publish_version(path, fill) == str(path / "11")
    assert newest_version(path) == str(path / "11")
    assert newest_version(path / "1") == str(path / "1")


def test_a_number_that_is_taken_meanwhile(tmp_path):
    path = tmp_path / "toy"

    def fill_while_another_exports(folder):
        fill(folder)
        publish_version(path, fill)

    assert publish_version(path, fill_while_another_exports) == str(path / "2")
    assert sorted(os.listdir(path)) == ["1", "2"]


def test_a_number_that_is_taken_at_the_last_moment(tmp_path, monkeypatch):
    rename, calls = os.rename, []

    def late(source, target):
        calls.append(target)
        if len(calls) == 1:
            os.mkdir(target)
            fill(target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert publish_version(tmp_path, fill) == str(tmp_path / "2")
    assert [os.path.basename(target) for target in calls] == ["1", "2"]


def test_a_failure_leaves_nothing(tmp_path):
    def fail(folder):
        fill(folder)
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        publish_version(tmp_path / "toy", fail)
    assert os.listdir(tmp_path) == []


def test_others_may_read_a_version(tmp_path):
    """A server usually runs as another user."""
    umask = os.umask(0o022)
    try:
        folder = publish_version(tmp_path, fill)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o755


def test_a_path_that_is_no_folder(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "toy"):
        with pytest.raises(NotADirectoryError, match="`path` must be a folder"):
            publish_version(path, fill)
    with pytest.raises(ValueError, match="local folder"):
        publish_version("gs://bucket/toy", fill)
    version = publish_version(tmp_path / "toy", fill)
    with pytest.raises(ValueError, match="above the versions"):
        publish_version(version, fill)

    def read_only(path, mode=0o777):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "mkdir", read_only)
    with pytest.raises(PermissionError, match="can be written"):
        publish_version(tmp_path, fill)


def test_no_saved_model_to_be_found(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no saved_model\.pb"):
        newest_version(tmp_path)


def test_a_number_of_ones_own(tmp_path):
    path = tmp_path / "toy"
    assert publish_version(path, fill, version=20) == str(path / "20")
    assert publish_version(path, fill, version=3) == str(path / "3")
    assert publish_version(path, fill) == str(path / "21")
    with pytest.raises(ValueError, match="must be a new one"):
        publish_version(path, fill, version=3)

    def fill_while_another_takes_it(folder):
        fill(folder)
        publish_version(path, fill, version=30)

    with pytest.raises(ValueError, match="version=30"):
        publish_version(path, fill_while_another_takes_it, version=30)
    assert list_versions(path) == [3, 20, 21, 30]
    assert len(os.listdir(path)) == 4
