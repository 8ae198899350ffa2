"""What the README shows works, as it stands there."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands():
    lines = "\n".join(blocks("shell")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.strip()]


def run(command, folder):
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_keras_examples(tmp_path):
    # The second example uses names of the first.
    example = "\n".join(blocks("python"))
    result = run([sys.executable, "-c", example], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "['delivery']" in result.stdout


@pytest.mark.slow
def test_commands_one_after_the_other(tmp_path):
    for command in commands():
        if command.startswith("unilmv2 "):
            result = run(["bash", "-c", command], tmp_path)
            assert result.returncode == 0, f"{command}\n{result.stderr}"


def test_make_targets_exist():
    targets = [c.split()[1] for c in commands() if c.startswith("make ")]
    assert targets == ["quickstart", "test"]
    for target in targets:
        result = run(["make", "--dry-run", target], ROOT)
        assert result.returncode == 0, result.stderr


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
