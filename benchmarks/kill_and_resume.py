"""A pre-training that is killed 20 times, against one that is left alone.

Both are the command `unilmv2 pretrain`, with dropout. One is killed by SIGKILL,
half of the times at a random moment, half of the times right after a file of a
checkpoint appeared or changed, and is started again by the same command. In the
end all tensors of all checkpoints and all losses are compared bit by bit.

    python -m benchmarks kill_and_resume
"""

import contextlib
import csv
import pathlib
import random
import subprocess
import sys
import tempfile
import time

QUICK = {"num_kills": 2, "num_steps": 120}
COMMAND = "import sys; from unilmv2_tf.cli import main; sys.exit(main())"
FLAGS = {
    "preset": "unilmv2_tiny",
    "batch_size": 16,
    "learning_rate": 5e-4,
    "steps_per_loop": 10,
    "evaluation_interval": 40,
    "evaluation_rows": 512,
    "checkpoint_interval": 20,
    "seed": 3,
}


def run(num_kills: int = 20, num_steps: int = 1000):
    """Kills at most so often, and compares."""
    flags, rng = {**FLAGS, "num_steps": num_steps}, random.Random(2)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        make_shards(folder)
        alone, killed = folder / "alone", folder / "killed"
        start(folder, alone, flags).wait()
        num_kills_done = 0
        for number in range(num_kills):
            process = start(folder, killed, flags)
            # Every other one right after a file was written.
            longest_wait = 0.05 if number % 2 else 1
            if not kill_one(process, killed, rng.uniform(0, longest_wait)):
                break
            num_kills_done += 1
            print(f"  kill {num_kills_done}", flush=True)
        start(folder, killed, flags).wait()
        figures = {
            "options": flags,
            "checkpoints": compare_checkpoints(alone, killed),
            "losses_differ": losses(alone) != losses(killed),
            "kills": num_kills_done,
        }
    print(f"  checkpoints: {figures['checkpoints']}")
    print(f"  losses differ: {figures['losses_differ']}")
    return figures


def make_shards(folder):
    """Shards of the embedded corpus."""
    for command in (
        "vocabulary docstrings: --output=vocabulary.txt --vocabulary_size=1000",
        "prepare docstrings: vocabulary.txt shards --sequence_length=64",
    ):
        arguments = [sys.executable, "-c", COMMAND, *command.split()]
        subprocess.run(arguments, cwd=folder, check=True)


def start(folder, output, flags):
    """Starts `unilmv2 pretrain` in a process."""
    flags = {"data": folder / "shards", "output": output, **flags}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "pretrain",
         *(f"--{name}={value}" for name, value in flags.items())],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def kill_one(process, output, delay):
    """Kills a training after it wrote; returns whether it was still running."""
    before = written_files(output)
    while written_files(output) == before:
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    process.wait()
    return True


def written_files(output):
    """The files of checkpoints and their sizes."""
    found = set()
    for path in output.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            found.add((path, path.stat().st_size))
    return found


def compare_checkpoints(one, other):
    """The tensors of two runs' checkpoints that differ."""
    import numpy as np
    import tensorflow as tf

    paths = {path.relative_to(one) for path in one.rglob("*.index")}
    others = {path.relative_to(other) for path in other.rglob("*.index")}
    differing = [str(path) for path in paths ^ others]
    num_tensors = 0
    for path in paths & others:
        readers = [
            tf.train.load_checkpoint(str((folder / path).with_suffix("")))
            for folder in (one, other)
        ]
        for name in readers[0].get_variable_to_shape_map():
            # TensorFlow counts how often a process saved.
            if name.startswith(("save_counter", "_CHECKPOINTABLE")):
                continue
            num_tensors += 1
            values = [reader.get_tensor(name) for reader in readers]
            if not np.array_equal(*values):
                differing.append(f"{path}: {name}")
    return {"tensors": num_tensors, "differing": sorted(differing)}


def losses(output):
    """All figures of the history but the speed."""
    with open(output / "history.csv", newline="") as file:
        return [
            {k: v for k, v in row.items() if k != "examples_per_second"}
            for row in csv.DictReader(file)
        ]
