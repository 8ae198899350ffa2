"""Signals to a process whose graph is in the middle of many steps."""

import os
import re
import signal
import time

import pytest


def wait_for(path, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not os.path.exists(path):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_in_the_middle_of_a_loop(
    start_process, tmp_path, read_checkpoint, number, status
):
    process = start_process(
        f"--output={tmp_path}/run",
        "--num_steps=1000000",
        "--steps_per_loop=400",
        "--checkpoint_interval=400",
        "--evaluation_interval=1000000",
    )
    wait_for(f"{tmp_path}/run/checkpoints/step-400.index", process)
    time.sleep(0.2)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == status, error
    last_line = error.splitlines()[-1]
    saved = re.search("saved at step ([0-9,]+) of 1,000,000; ", last_line)
    assert last_line.endswith("the same command resumes from there")
    step = int(saved[1].replace(",", ""))
    assert 400 < step < 800
    state = read_checkpoint(f"{tmp_path}/run")
    assert state["step/.ATTRIBUTES/VARIABLE_VALUE"] == step
