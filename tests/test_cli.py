"""Mistakes on the command line: one line on stderr, exit status 2."""

import os
import subprocess
import sys

import pytest

from unilmv2_tf.cli import COMMANDS
from unilmv2_tf.cli import main

SCRIPT = os.path.join(os.path.dirname(sys.executable), "unilmv2")
SPECIAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("low lower lowest\n\nnew newer newest")
    return path


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_vocabulary_writes_a_file(text, capsys):
    assert main(["vocabulary", str(text), "--vocabulary_size", "60"]) == 0
    assert "tokens written to vocabulary.txt" in capsys.readouterr().out
    tokens = open("vocabulary.txt").read().split()
    assert tokens[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(set(tokens)) == len(tokens)


def test_settings_from_a_file(text, capsys):
    with open("settings.yaml", "w") as file:
        file.write(f"sources: {text}\noutput: other.txt\n")
    assert main(["vocabulary", "--config", "settings.yaml"]) == 0
    assert os.path.exists("other.txt")
    assert main(["vocabulary", str(text), "--print_config"]) == 0
    assert "vocabulary_size: 8000" in capsys.readouterr().out


def test_a_recipe_by_its_name(capsys):
    where = ["--data", "shards", "--output", "run", "--print_config"]
    assert main(["pretrain", "--config", "base", *where]) == 0
    assert "batch_size: 7680" in capsys.readouterr().out
    # A file of that name comes first.
    with open("base", "w") as file:
        file.write("batch_size: 5\n")
    assert main(["pretrain", "--config=base", *where]) == 0
    assert "batch_size: 5\n" in capsys.readouterr().out


def test_one_objective(capsys):
    where = ["--data", "missing", "--output", "run"]
    assert main(["pretrain", *where, "--objectives", "ae"]) == 2
    assert "missing" in one_line(capsys)
    assert main(["pretrain", *where, "--objectives", "[ae,ae]"]) == 2
    assert "each once" in one_line(capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    assert "--config" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["frobnicate"], "unknown command 'frobnicate'"),
        (["vocabulary"], "required: sources"),
        (["vocabulary", "x.txt", "--frobnicate", "1"], "--frobnicate"),
        (["vocabulary", "x.txt", "--vocabulary_size", "many"], "many"),
        (["vocabulary", "missing.txt"], "missing.txt"),
        (["show-mask", " "], "`text` must hold a word"),
        (
            ["show-mask", "a b", "--mask_selection_rate", "2"],
            "`mask_selection_rate` must be in",
        ),
        (["show-mask", "a b", "--vocabulary", "no.txt"], "no.txt"),
        (["quickstart", "--task", "translate"], "translate"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in one_line(capsys)


def test_unknown_preset(capsys, tmp_path):
    (tmp_path / "quick").mkdir()
    arguments = ["quickstart", "--output", "quick", "--preset", "unilmv2_huge"]
    arguments += ["--vocabulary_size", "2000"]
    assert main(arguments) == 2
    assert "unilmv2_tiny" in one_line(capsys)


def test_empty_file(tmp_path, capsys):
    (tmp_path / "empty.txt").touch()
    assert main(["vocabulary", "empty.txt"]) == 2
    assert "empty" in one_line(capsys)


def test_invalid_utf8(tmp_path, capsys):
    (tmp_path / "latin.txt").write_bytes(b"fine\ncaf\xe9\n")
    assert main(["vocabulary", "latin.txt"]) == 2
    error = one_line(capsys)
    assert "latin.txt:2" in error and "UTF-8" in error


def test_folder_instead_of_file(tmp_path, capsys):
    (tmp_path / "folder.txt").mkdir()
    assert main(["vocabulary", "folder.txt"]) == 2
    assert "folder.txt" in one_line(capsys)


def test_output_that_cannot_be_written(text, capsys):
    assert main(["vocabulary", str(text), "--output", f"{text}/v.txt"]) == 2
    error = one_line(capsys)
    assert str(text) in error and ".tmp" not in error


@pytest.mark.parametrize(
    "content, message",
    [
        (SPECIAL + "word\n", "[MASK]"),
        ('{"model": {}}', "JSON"),
    ],
)
def test_vocabulary_with_a_defect(tmp_path, capsys, content, message):
    (tmp_path / "vocabulary.txt").write_text(content)
    arguments = ["show-mask", "a word", "--vocabulary", "vocabulary.txt"]
    assert main(arguments) == 2
    assert message in one_line(capsys)
    assert not os.path.exists("mask.png")


def test_debug_shows_the_traceback(capsys):
    assert main(["vocabulary", "missing.txt", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_show_mask(capsys):
    assert main(["show-mask", "the quick brown fox jumps"]) == 0
    output = capsys.readouterr().out
    assert "quick" in output and "mask.png" in output
    with open("mask.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_the_command_in_a_process_of_its_own():
    help_run = subprocess.run([SCRIPT, "--help"], capture_output=True)
    assert help_run.returncode == 0
    assert b"quickstart" in help_run.stdout
    mistake = subprocess.run([SCRIPT, "frobnicate"], capture_output=True)
    assert mistake.returncode == 2
    assert mistake.stdout == b""
    assert mistake.stderr.count(b"\n") == 1


def test_commands_of_two_words(capsys):
    assert main(["finetune", "--help"]) == 0
    listed = capsys.readouterr().out
    assert "finetune classify" in listed and "vocabulary" not in listed
    assert main(["finetune", "sing"]) == 2
    error = one_line(capsys)
    assert "'finetune sing'" in error and "finetune answer" in error
    assert main(["finetune"]) == 2
    assert "finetune classify" in one_line(capsys)


def test_dashes_do_for_underscores(text, capsys):
    arguments = ["vocabulary", str(text), "--vocabulary-size=60"]
    assert main([*arguments, "--print_config"]) == 0
    assert "vocabulary_size: 60" in capsys.readouterr().out
    # In names of flags only.
    assert main(["vocabulary", str(text), "--output", "a-b.txt"]) == 0
    assert os.path.exists("a-b.txt")
