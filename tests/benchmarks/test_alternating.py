import os
import sys

import pytest

from benchmarks.alternating import measure

CONTENDERS = """
import os

def make(settings):
    log = open(settings["log"], "a")
    def step():
        print(settings["name"], os.environ.get("FLAG"), file=log, flush=True)
        if settings["name"] == "bad":
            raise ArithmeticError("no such step")
    return step
"""


@pytest.fixture
def factory(tmp_path, monkeypatch):
    (tmp_path / "some_contenders.py").write_text(CONTENDERS)
    # Processes that are spawned take over the path.
    monkeypatch.setattr(sys, "path", [os.fspath(tmp_path), *sys.path])
    return "some_contenders:make"


def test_contenders_take_turns(factory, tmp_path):
    log = tmp_path / "log"
    samples = measure(
        {
            "a": (factory, {"name": "a", "environment": {"FLAG": "1"}}),
            "b": (factory, {"name": "b"}),
        },
        rounds=3,
        settings={"log": os.fspath(log)},
        say=lambda line: None,
    )
    steps = log.read_text().splitlines()
    # Two each to warm up.
    assert steps[:4] == ["a 1", "a 1", "b None", "b None"]
    assert steps[4:] == ["a 1", "b None"] * 3
    for sample in samples.values():
        assert len(sample["seconds"]) == len(sample["peak_mb"]) == 3
    assert "FLAG" not in os.environ


def test_a_contender_that_fails_is_named(factory, tmp_path):
    log = os.fspath(tmp_path / "log")
    with pytest.raises(RuntimeError, match="no such step"):
        measure(
            {"bad": (factory, {"name": "bad"})}, 1, {"log": log},
            say=lambda line: None,
        )  # fmt: skip
