"""A pre-training that is killed 20 times, against one that is left alone.

Both are the command `unilmv2 pretrain`, with dropout. The one is killed by
SIGKILL at random moments of every kind, as the process itself tells what it is
about to do, and started again by the same command. In the end all tensors of
the last and of the best checkpoint and all losses are compared bit by bit.

    python -m benchmarks.kill_and_resume
"""

import collections
import csv
import functools
import glob
import itertools
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

# How many kills of each kind, and at which occurrence after a start they come
# at the latest.
KINDS = {
    "training": (8, 6),
    "evaluating": (4, 2),
    "saving": (5, 2),
    "saving the best": (3, 1),
}
OPTIONS = {
    "preset": "unilmv2_tiny",
    "num_steps": 600,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "steps_per_loop": 10,
    "evaluation_interval": 40,
    "evaluation_rows": 512,
    "checkpoint_interval": 20,
    "seed": 3,
}
_END = "between"


def marked(cls, name, mark, pipe):
    """Makes a method tell when it begins and ends."""
    method = getattr(cls, name)

    @functools.wraps(method)
    def wrapper(*arguments):
        os.write(pipe, f"{time.monotonic()} {mark}\n".encode())
        result = method(*arguments)
        os.write(pipe, f"{time.monotonic()} {_END}\n".encode())
        return result

    setattr(cls, name, wrapper)


def run_command(pipe, arguments):
    """The command, in this process, which tells what it does."""
    from unilmv2_tf.cli import main as unilmv2
    from unilmv2_tf.training.tensorflow_engine import TensorFlowEngine
    from unilmv2_tf.training.training_state import Checkpoints

    marked(TensorFlowEngine, "train", "training", pipe)
    marked(TensorFlowEngine, "evaluate", "evaluating", pipe)
    marked(Checkpoints, "save", "saving", pipe)
    marked(Checkpoints, "save_best", "saving the best", pipe)
    return unilmv2(arguments)


class Run:
    """A process that pre-trains, and what it says that it does.

    Args:
        data: string. The folder of shards.
        output: string.
    """

    def __init__(self, data, output):
        reader, writer = os.pipe()
        options = {"data": data, "output": output, **OPTIONS}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(writer), "pretrain", *arguments],
            pass_fds=[writer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writer)
        self._pipe = os.fdopen(reader)

    def marks(self):
        """Yields pairs of a time and what begins then."""
        for line in self._pipe:
            moment, mark = line.rstrip().split(" ", 1)
            yield float(moment), mark

    def kill_in(self, kind, occurrence, delay):
        """Kills it a while after something began.

        Args:
            kind: string.
            occurrence: int. The how many-th of its kind, from 1.
            delay: float. Seconds.

        Returns:
            What it did last, a string.
        """
        marks = self.marks()
        for _, mark in marks:
            occurrence -= mark == kind
            if not occurrence:
                time.sleep(delay)
                break
        else:
            raise SystemExit(f"The training was over before the {kind}.")
        self.process.kill()
        self.process.wait()
        return [kind, *(mark for _, mark in marks)][-1]


def durations(marks):
    """Median seconds of each kind; the first time, graphs are made."""
    marks = list(marks)
    seconds = collections.defaultdict(list)
    for (start, kind), (end, _) in itertools.pairwise(marks):
        seconds[kind].append(end - start)
    return {
        kind: sorted(values)[len(values) // 2]
        for kind, values in seconds.items()
    }


def kills(data, output, seconds, generator):
    """Kills runs, of one output, one after the other.

    Yields:
        Dicts of the moment that was chosen and what was hit.
    """
    kinds = [kind for kind, (count, _) in KINDS.items() for _ in range(count)]
    generator.shuffle(kinds)
    # Later there may be no better one any more.
    kinds.sort(key=lambda kind: kind != "saving the best")
    for kind in kinds:
        occurrence = generator.randint(1, KINDS[kind][1])
        delay = generator.uniform(0, seconds[kind])
        hit = Run(data, output).kill_in(kind, occurrence, delay)
        steps = [int(path.split("-")[-1][:-6]) for path in indices(output)]
        yield {
            "aimed_at": kind,
            "hit": hit,
            "left_a_half_written_checkpoint": has_leftovers(output),
            "last_checkpoint": max(steps, default=0),
        }


def indices(output, folder="checkpoints"):
    """The index files of the checkpoints of a run."""
    return glob.glob(os.path.join(output, folder, "step-*.index"))


def has_leftovers(output):
    """Whether there are files without an index, or temporary ones."""
    whole = {
        path[:-6]
        for folder in ("checkpoints", "best")
        for path in indices(output, folder)
    }
    return any(
        "temp" in path or path.split(".data")[0] not in whole
        for path in glob.glob(os.path.join(output, "*", "step-*"))
        if not path.endswith(".index")
    )


def differing(one, other, folder):
    """Compares the last checkpoints of two runs.

    Returns:
        The step, the number of tensors, and the names of those that differ.
    """
    import numpy as np
    import tensorflow as tf

    readers, steps = [], []
    for output in (one, other):
        paths = indices(output, folder)
        step = max(int(path.split("-")[-1][:-6]) for path in paths)
        path = os.path.join(output, folder, f"step-{step}")
        readers.append(tf.train.load_checkpoint(path))
        steps.append(step)
    # TensorFlow counts how often a process saved.
    names = [
        {name for name in reader.get_variable_to_shape_map()
         if not name.startswith(("save_counter", "_CHECKPOINTABLE"))}
        for reader in readers
    ]  # fmt: skip
    bad = [f"step: {steps}"] if steps[0] != steps[1] else []
    bad += sorted(names[0] ^ names[1])
    for name in sorted(names[0] & names[1]):
        values = [reader.get_tensor(name) for reader in readers]
        if not np.array_equal(*values):
            bad.append(name)
    return {"step": steps[0], "tensors": len(names[0]), "differing": bad}


def losses(output):
    """All figures but the speed."""
    with open(os.path.join(output, "history.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {key: row[key] for key in row if key != "examples_per_second"}
        for row in rows
    ]


def make_shards(folder):
    """Sentences of 60 words, 3 of which follow each."""
    from unilmv2_tf.datasets.packed.units import plan_units
    from unilmv2_tf.datasets.packed.writing import write_packed_folder
    from unilmv2_tf.preprocessing import UniLMv2Tokenizer

    generator = random.Random(1)
    words = [f"{a}{b}o" for a in "bdfgklmnprst" for b in "aeiou"]
    followers = {word: generator.choices(words, k=3) for word in words}
    documents = []
    for _ in range(1500):
        document = [generator.choice(words)]
        while len(document) < 60:
            document.append(generator.choice(followers[document[-1]]))
        documents.append(" ".join(document))
    text = os.path.join(folder, "text.txt")
    pathlib.Path(text).write_text("\n\n".join(documents))
    data = os.path.join(folder, "shards")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    write_packed_folder(
        plan_units(text),
        UniLMv2Tokenizer([*special, *words]),
        data,
        sequence_length=64,
        validation_share=0.2,
    )
    return data


def finish(run):
    """Waits until the end of a run; returns its marks."""
    marks = list(run.marks())
    if run.process.wait():
        raise SystemExit("A training failed.")
    return marks


def main():
    from benchmarks.report import write_results

    with tempfile.TemporaryDirectory() as folder:
        data = make_shards(folder)
        alone, killed = (os.path.join(folder, x) for x in ("alone", "killed"))
        seconds = durations(finish(Run(data, alone)))
        print({kind: round(value, 3) for kind, value in seconds.items()})
        done = []
        for kill in kills(data, killed, seconds, random.Random(2)):
            done.append(kill)
            print(kill, flush=True)
        finish(Run(data, killed))
        results = {
            "options": OPTIONS,
            "last_checkpoint": differing(alone, killed, "checkpoints"),
            "best_checkpoint": differing(alone, killed, "best"),
            "losses_differ": losses(alone) != losses(killed),
            "moments": collections.Counter(kill["hit"] for kill in done),
            "half_written_checkpoints": sum(
                kill["left_a_half_written_checkpoint"] for kill in done
            ),
            "kills": done,
        }
    write_results("kill_and_resume", results)
    print(results["last_checkpoint"], results["best_checkpoint"])


if __name__ == "__main__":
    if sys.argv[1:]:
        raise SystemExit(run_command(int(sys.argv[1]), sys.argv[2:]))
    main()
