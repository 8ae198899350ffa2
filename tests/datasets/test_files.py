import os

import pytest

from unilmv2_tf.datasets import files


def test_broken_links_and_pipes(tmp_path):
    link = tmp_path / "a.txt"
    link.symlink_to(tmp_path / "gone.txt")
    assert files.find_files(str(link)) == [str(link)]
    with pytest.raises(FileNotFoundError, match="leads nowhere"):
        files.open_file(str(link))
    link.unlink()
    os.mkfifo(link)
    with pytest.raises(ValueError, match="not a regular file"):
        files.open_file(str(link))


def test_globs_are_sorted_and_brackets_may_be_names(tmp_path):
    for name in ("b.txt", "a.txt", "c[1].txt", "deep/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")

    def found(pattern):
        return [
            os.path.relpath(path, tmp_path)
            for path in files.find_files(str(tmp_path / pattern))
        ]

    assert found("[ab].txt") == ["a.txt", "b.txt"]
    assert found("c[1].txt") == ["c[1].txt"]
    assert found("**/*.txt") == ["a.txt", "b.txt", "c[1].txt", "deep/d.txt"]


def test_no_match_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No file matches .*none\*"):
        files.find_files(str(tmp_path / "none*.txt"))
    with pytest.raises(IsADirectoryError, match=r"is a folder.*\*\.txt"):
        files.find_files(str(tmp_path))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("text")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "open", refuse, raising=False)
    with pytest.raises(PermissionError, match=r"a\.txt may not be read"):
        files.open_file(str(path))
