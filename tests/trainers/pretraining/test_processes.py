"""Real processes that are stopped, killed, and that train together."""

import csv
import json
import os
import random
import signal
import socket
import time

import numpy as np
import psutil
import pytest

pytestmark = pytest.mark.slow
# Far beyond what a slow machine needs for anything here.
DEADLINE = 400


def wait_until(condition, *processes):
    """Waits for something that the processes will bring about."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        for process in processes:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "It takes too long."
        time.sleep(0.01)


def saved_step(folder):
    try:
        names = os.listdir(f"{folder}/checkpoints")
    except FileNotFoundError:
        return 0
    indices = [name for name in names if name.endswith(".index")]
    return max((int(name[5:-6]) for name in indices), default=0)


def finish(process):
    output, error = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, error
    return output


def losses(folder):
    with open(f"{folder}/history.csv", newline="") as file:
        return [
            [float(row[name]) for name in ("step", "loss", "val_loss")
             if row[name]]
            for row in csv.DictReader(file)
        ]  # fmt: skip


def test_stopped_inside_of_a_loop_that_is_long(start_process, tmp_path):
    folder = tmp_path / "run"
    names = ("num_steps", "steps_per_loop", "checkpoint_interval")
    arguments = [f"--{name}=1000000" for name in names]
    arguments += ["--evaluation_interval=1000000", f"--output={folder}"]
    steps = [0]
    for number, status in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        process = start_process(*arguments)
        member = psutil.Process(process.pid)

        def has_trained(member=member):
            # Seconds of the processor, which do not depend on other load.
            used = member.cpu_times()
            return used.user + used.system > 35

        wait_until(has_trained, process)
        process.send_signal(number)
        output, error = process.communicate(timeout=DEADLINE)
        assert process.returncode == status, error
        message = output if status == 0 else error
        steps.append(saved_step(folder))
        last = message.splitlines()[-1]
        assert f"saved at step {steps[-1]:,} of 1,000,000" in last
        assert "the same command goes on from there" in last
        assert "Traceback" not in error
    assert 0 < steps[1] < steps[2] < 1_000_000
    assert not (folder / "preset").exists()


def test_killed_at_random_moments(start_process, read_checkpoint, tmp_path):
    def start(name):
        return start_process(
            f"--output={tmp_path / name}",
            "--num_steps=60",
            "--steps_per_loop=5",
            "--checkpoint_interval=10",
            "--evaluation_interval=20",
        )

    finish(start("whole"))
    generator = random.Random(5)
    for step in (10, 30):
        process = start("killed")
        wait_until(lambda s=step: saved_step(tmp_path / "killed") >= s, process)
        time.sleep(generator.uniform(0, 0.5))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "killed" / "preset").exists()
    assert "goes on from step" in finish(start("killed"))
    assert saved_step(tmp_path / "killed") == 60
    for folder in ("checkpoints", "best"):
        whole = read_checkpoint(tmp_path / "whole", folder)
        killed = read_checkpoint(tmp_path / "killed", folder)
        assert whole.keys() == killed.keys() and len(whole) > 60
        for name, value in whole.items():
            np.testing.assert_array_equal(killed[name], value, err_msg=name)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")


@pytest.fixture
def start_same(start_process, tmp_path):
    """Starts a training that is the same whatever it runs on."""

    def start(name, *arguments, **environment):
        return start_process(
            f"--output={tmp_path / name}",
            "--backbone.dropout=0.0",
            "--num_steps=20",
            "--steps_per_loop=5",
            "--checkpoint_interval=5",
            "--evaluation_interval=10",
            "--clip_norm=0.5",
            *arguments,
            **environment,
        )

    return start


def test_two_devices_and_two_workers_train_as_one(start_same, tmp_path):
    finish(start_same("one"))
    expected = losses(tmp_path / "one")
    assert len(expected) == 4 and expected[-1][1] < expected[0][1]

    finish(start_same("two", "--strategy=mirrored", "--devices=2"))
    np.testing.assert_allclose(
        np.concatenate(losses(tmp_path / "two")),
        np.concatenate(expected),
        atol=1e-4,
    )

    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (first, second)]

    def start(index):
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        task = {"type": "worker", "index": index}
        return start_same(
            "workers",
            "--strategy=multiworker",
            TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
        )

    workers = [start(0), start(1)]
    wait_until(lambda: saved_step(tmp_path / "workers") >= 5, *workers)
    workers[1].kill()
    workers[1].wait()
    # The other one starts itself again, and waits for this.
    workers[1] = start(1)
    for worker in workers:
        finish(worker)
    np.testing.assert_allclose(
        np.concatenate(losses(tmp_path / "workers")),
        np.concatenate(expected),
        atol=1e-4,
    )
    # Only one of them wrote.
    assert sorted(os.listdir(tmp_path)) == ["one", "two", "workers"]
    assert sorted(os.listdir(tmp_path / "workers")) == sorted(
        os.listdir(tmp_path / "one")
    )
    names = os.listdir(tmp_path / "workers" / "checkpoints")
    assert sorted(names) == sorted(os.listdir(tmp_path / "one" / "checkpoints"))
