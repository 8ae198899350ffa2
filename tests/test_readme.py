"""What the README shows works, as it stands there."""

import pathlib
import re
import shlex
import subprocess

import pytest

from unilmv2_tf.cli import main

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands():
    lines = "\n".join(blocks("shell")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.strip()]


@pytest.mark.slow
def test_keras_examples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # The second example uses names of the first.
    exec("\n".join(blocks("python")), {})
    assert "['delivery']" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("small_docstrings")
def test_commands_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in commands():
        program, *arguments = shlex.split(command)
        if program == "unilmv2":
            if arguments[0] == "vocabulary":
                # So many are not in two packages.
                arguments[-1] = "2000"
            assert main(arguments) == 0, (command, capsys.readouterr().err)


def test_make_targets_exist():
    targets = [c.split()[1] for c in commands() if c.startswith("make ")]
    assert targets == ["quickstart", "test"]
    for target in targets:
        subprocess.run(
            ["make", "--dry-run", target],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )


def test_figures_are_those_of_the_results():
    speed = (ROOT / "docs" / "results" / "speed.md").read_text()
    ratios = re.findall(r"\d+\.\d+x \([\d.-]+\)", " ".join(README.split()))
    assert len(ratios) == 2
    for ratio in ratios:
        assert f"faster than KerasHub BART by {ratio}" in speed or (
            f"faster than Hugging Face BART by {ratio}" in speed
        )


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", README)
    for link in links:
        if "://" not in link:
            assert (ROOT / link).exists(), link
