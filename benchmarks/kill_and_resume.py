"""Kills a pre-training 20 times and compares it with one that ran through.

    python benchmarks/kill_and_resume.py

Two trainings of a tiny model, with dropout, on the same packed rows. One runs
from its first to its last step; the other is ended by SIGKILL at random moments
while it starts, trains, evaluates and saves, and is started again each time. In
the end all tensors of their last and best checkpoints, their histories and
their models are compared bit by bit. Writes `results/kill_and_resume.json`.
Takes about five minutes on two cores.
"""

import argparse
import collections
import csv
import glob
import importlib.metadata
import json
import mmap
import os
import platform
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

from unilmv2_tf.atomic import write_text

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULT = os.path.join(
    os.path.dirname(os.path.abspath(__file__)),
    "results",
    "kill_and_resume.json",
)
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
MOMENTS = ["starting", "training", "evaluating", "saving", "saving the best"]
# What a training tells whoever kills it: the moment and the step.
STATE = struct.Struct("<bq")


def train(shards, output, num_steps, state_path):
    """One life of a training, which says in a file what it is doing."""
    from unilmv2_tf.trainers.pretraining.run import PretrainingRun
    from unilmv2_tf.trainers.pretraining.settings import PretrainingSettings

    with open(state_path, "r+b") as file:
        state = mmap.mmap(file.fileno(), STATE.size)

    def tell(moment, step):
        STATE.pack_into(state, 0, MOMENTS.index(moment), step)

    class TellingRun(PretrainingRun):
        def _train_loop(self, controller, step, progress):
            tell("training", step)
            return super()._train_loop(controller, step, progress)

        def _evaluate(self, controller, step):
            tell("evaluating", step)
            super()._evaluate(controller, step)

        def _save(self, step):
            tell("saving", step)
            super()._save(step)

    settings = PretrainingSettings(
        data=shards,
        output=output,
        preset="unilmv2_tiny",
        backbone={
            "num_layers": 1,
            "hidden_dim": 64,
            "num_heads": 2,
            "intermediate_dim": 128,
            "dropout": 0.1,
        },
        num_steps=num_steps,
        batch_size=16,
        learning_rate=3e-3,
        clip_norm=1.0,
        steps_per_loop=5,
        evaluation_interval=40,
        checkpoint_interval=20,
        tensorboard=False,
    )
    run = TellingRun(settings)
    save_best = run.checkpoints.save_best

    def telling_save_best(step):
        tell("saving the best", step)
        save_best(step)

    run.checkpoints.save_best = telling_save_best
    run.run()


class Life:
    """A process that trains, seen from outside."""

    def __init__(self, shards, output, num_steps, folder):
        path = os.path.join(folder, "state")
        with open(path, "wb") as file:
            file.write(STATE.pack(0, -1))
        with open(path, "r+b") as file:
            self._state = mmap.mmap(file.fileno(), STATE.size)
        self.process = subprocess.Popen(
            [
                sys.executable,
                os.path.abspath(__file__),
                f"--life={shards}",
                f"--output={output}",
                f"--num_steps={num_steps}",
                f"--state={path}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def now(self):
        """The moment it is at, and the step."""
        moment, step = STATE.unpack_from(self._state)
        return MOMENTS[moment], step

    def wait_for(self, wanted, first_step):
        """Waits until it is at some moment, at a step or later."""
        while self.process.poll() is None:
            moment, step = self.now()
            if moment == wanted and step >= first_step:
                return True
            time.sleep(0.0002)
        return False

    def kill(self):
        """Ends it, and returns where it was."""
        self.process.kill()
        self.process.wait()
        return self.now()


def run_with_kills(shards, output, num_steps, num_kills, folder, seed):
    generator = random.Random(seed)
    wanted = [MOMENTS[i % len(MOMENTS)] for i in range(num_kills)]
    generator.shuffle(wanted)
    kills = []
    step = 0
    for index, moment in enumerate(wanted):
        life = Life(shards, output, num_steps, folder)
        lives_left = num_kills - index
        # Leaves steps for the lives to come.
        target = step + generator.randrange(
            max(2 * (num_steps - 60 - step) // (lives_left + 1), 1)
        )
        if moment == "starting":
            time.sleep(generator.uniform(1, 8))
        elif not life.wait_for(moment, target):
            raise RuntimeError(f"It ended before it was {moment} at {target}.")
        # How long such a moment takes, about.
        time.sleep(generator.uniform(0, 0.05 if "saving" in moment else 0.2))
        now, reached = life.kill()
        step = max(step, reached)
        files = [
            name
            for sub in ("checkpoints", "best")
            for name in glob.glob(os.path.join(output, sub, "*temp*"))
        ]
        kills.append(
            {
                "moment": now,
                "step": reached,
                "half_written": [os.path.basename(name) for name in files],
            }
        )
        print(f"kill {index + 1}: {kills[-1]}", flush=True)
    return kills


def run_through(shards, output, num_steps, folder):
    start = time.perf_counter()
    code = Life(shards, output, num_steps, folder).process.wait()
    if code:
        raise RuntimeError(f"A training ended with status {code}.")
    return time.perf_counter() - start


def make_shards(folder, seed):
    """Rows of random words of letters."""
    from unilmv2_tf.datasets.packed.units import plan_units
    from unilmv2_tf.datasets.packed.writing import write_packed_folder
    from unilmv2_tf.preprocessing import UniLMv2Tokenizer

    generator = random.Random(seed)
    documents = [
        " ".join(generator.choices(LETTERS, range(1, 27), k=60))
        for _ in range(800)
    ]
    text = os.path.join(folder, "text.txt")
    write_text(text, "\n\n".join(documents) + "\n")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = UniLMv2Tokenizer([*special, *LETTERS])
    shards = os.path.join(folder, "shards")
    write_packed_folder(
        plan_units(text),
        tokenizer,
        shards,
        sequence_length=32,
        validation_share=0.3,
    )
    return shards


def tensors_of(folder):
    """The step of the latest checkpoint in a folder, and its arrays."""
    import tensorflow as tf

    steps = [
        int(re.search(r"step-(\d+)\.index", path)[1])
        for path in glob.glob(os.path.join(folder, "step-*.index"))
    ]
    reader = tf.train.load_checkpoint(
        os.path.join(folder, f"step-{max(steps)}")
    )
    # How often a manager saved is no part of a training.
    return max(steps), {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and "save_counter" not in name
    }


def compare_checkpoints(first, second):
    (step, expected), (other_step, received) = map(tensors_of, (first, second))
    differing = [
        name
        for name in sorted(set(expected) | set(received))
        if name not in expected
        or name not in received
        or expected[name].tobytes() != received[name].tobytes()
    ]
    return {
        "steps": [step, other_step],
        "tensors": len(expected),
        "differing": differing,
    }


def losses_of(output):
    """The rows of a history, without the speeds."""
    with open(os.path.join(output, "history.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["examples_per_second"]
    return rows


def same_weights(first, second):
    """Whether two presets have the same weights, bit by bit."""
    import numpy as np

    import unilmv2_tf

    models = [
        unilmv2_tf.UniLMv2PseudoMaskedLM.from_preset(
            os.path.join(output, "preset")
        )
        for output in (first, second)
    ]
    return all(
        np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(models[0].weights, models[1].weights)
    )


def measure(num_kills, num_steps, seed):
    with tempfile.TemporaryDirectory() as folder:
        shards = make_shards(folder, seed)
        whole = os.path.join(folder, "whole")
        killed = os.path.join(folder, "killed")
        seconds = run_through(shards, whole, num_steps, folder)
        print(f"ran through in {seconds:.0f} s", flush=True)
        kills = run_with_kills(
            shards, killed, num_steps, num_kills, folder, seed
        )
        run_through(shards, killed, num_steps, folder)
        return {
            "kills": kills,
            "moments": collections.Counter(kill["moment"] for kill in kills),
            "last_checkpoint": compare_checkpoints(
                os.path.join(whole, "checkpoints"),
                os.path.join(killed, "checkpoints"),
            ),
            "best_checkpoint": compare_checkpoints(
                os.path.join(whole, "best"), os.path.join(killed, "best")
            ),
            "same_history": losses_of(whole) == losses_of(killed),
            "same_model": same_weights(whole, killed),
            "num_steps": num_steps,
            "seed": seed,
            "seconds_of_the_whole_run": round(seconds, 1),
        }


def environment():
    with open("/proc/cpuinfo") as file:
        cpu = re.search(r"model name\s*: (.*)", file.read())
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("tensorflow", "keras", "keras-hub", "unilmv2_tf")
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--num_steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--result", default=RESULT)
    for name in ("life", "output", "state"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.life:
        train(options.life, options.output, options.num_steps, options.state)
        return
    result = measure(options.kills, options.num_steps, options.seed)
    result.update(environment())
    write_text(options.result, json.dumps(result, indent=2) + "\n")
    print(
        f"{len(result['kills'])} kills; differing tensors: "
        f"{len(result['last_checkpoint']['differing'])} of "
        f"{result['last_checkpoint']['tensors']}; same history: "
        f"{result['same_history']}; same model: {result['same_model']}"
    )


if __name__ == "__main__":
    main()
