"""Several devices and several processes, with the losses of one device."""

import csv
import json
import os
import socket
import time

import pytest

from unilmv2_tf.cli import main

FLAGS = [
    "--num_steps=20",
    "--steps_per_loop=5",
    "--checkpoint_interval=5",
    "--evaluation_interval=10",
    "--clip_norm=0.5",
    "--backbone.dropout=0",
]
LOSSES = ("loss", "ae_loss", "par_loss", "val_loss", "val_par_loss")


def curves_of(folder):
    with open(os.path.join(folder, "history.csv"), newline="") as file:
        return {
            (int(row["step"]), name): float(row[name])
            for row in csv.DictReader(file)
            for name in LOSSES
            if row[name]
        }


@pytest.fixture(scope="module")
def alone(process_arguments, tmp_path_factory):
    """The output folder of a run on one device."""
    folder = str(tmp_path_factory.mktemp("alone") / "run")
    assert (
        main(["pretrain", *process_arguments, *FLAGS, f"--output={folder}"])
        == 0
    )
    return folder


@pytest.fixture
def assert_curves(alone):
    """A function that compares a run with one on one device."""

    def assert_curves(folder):
        expected, received = curves_of(alone), curves_of(folder)
        assert len(expected) == 4 * 3 + 2 * 2
        assert received == pytest.approx(expected, abs=1e-4)
        assert set(os.listdir(folder)) == set(os.listdir(alone))
        for name in ("checkpoints", "best"):
            assert sorted(os.listdir(f"{folder}/{name}")) == sorted(
                os.listdir(f"{alone}/{name}")
            )

    return assert_curves


@pytest.mark.slow
def test_two_devices(start_process, tmp_path, assert_curves):
    folder = f"{tmp_path}/two"
    process = start_process(
        *FLAGS, f"--output={folder}", "--strategy=mirrored", "--devices=2"
    )
    error = process.communicate()[1]
    assert process.returncode == 0, error
    assert_curves(folder)


@pytest.fixture
def start_worker(start_process, tmp_path):
    """A function from an index to a process, one of two on this machine."""
    addresses = []
    for _ in range(2):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{one.getsockname()[1]}")

    def start(index):
        return start_process(
            *FLAGS,
            f"--output={tmp_path}/workers",
            "--strategy=multiworker",
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                }
            ),
        )

    return start


@pytest.mark.slow
def test_two_workers_one_of_which_is_killed(
    start_worker, tmp_path, assert_curves
):
    workers = [start_worker(0), start_worker(1)]
    while not os.path.exists(f"{tmp_path}/workers/checkpoints/step-10.index"):
        assert workers[0].poll() is None, workers[0].communicate()[1]
        time.sleep(0.002)
    workers[1].kill()
    workers[1].wait()
    workers[1] = start_worker(1)
    outputs = [worker.communicate(timeout=400) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert "another worker was lost" in outputs[0][1]
    assert "resumes from step" in outputs[0][0]
    # One of them speaks.
    assert "done" in outputs[0][0] and "done" not in outputs[1][0]
    assert_curves(f"{tmp_path}/workers")
