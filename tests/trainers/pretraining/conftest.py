"""Fixtures for pre-training: small shards and a smaller model."""

import dataclasses
import json
import os
import random
import re
import subprocess
import sys

import pytest

from unilmv2_tf.datasets.packed import open_packed_folder
from unilmv2_tf.trainers.pretraining.settings import PretrainingSettings

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"{a}{b}o" for a in "bdfgklmnprst" for b in "aeiou"]
SMALL = {
    "preset": "unilmv2_tiny",
    "backbone": {
        "num_layers": 1,
        "hidden_dim": 32,
        "num_heads": 2,
        "intermediate_dim": 64,
        "max_sequence_length": 32,
    },
    "num_steps": 20,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "warmup_steps": 0,
    "steps_per_loop": 5,
    "evaluation_interval": 10,
    "evaluation_rows": 0,
    "checkpoint_interval": 10,
    "tensorboard": False,
}


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """About 300 rows of 32 tokens: chains of words, 3 of which follow each."""
    from unilmv2_tf.datasets.packed.units import plan_units
    from unilmv2_tf.datasets.packed.writing import write_packed_folder
    from unilmv2_tf.preprocessing import UniLMv2Tokenizer

    generator = random.Random(1)
    followers = {word: generator.choices(WORDS, k=3) for word in WORDS}
    documents = []
    for _ in range(400):
        document = [generator.choice(WORDS)]
        while len(document) < 24:
            document.append(generator.choice(followers[document[-1]]))
        documents.append(" ".join(document))
    folder = tmp_path_factory.mktemp("shards")
    (folder / "text.txt").write_text("\n\n".join(documents))
    write_packed_folder(
        plan_units(folder / "text.txt"),
        UniLMv2Tokenizer([*SPECIAL, *WORDS]),
        folder / "packed",
        sequence_length=32,
        validation_share=0.1,
    )
    return open_packed_folder(folder / "packed")


@pytest.fixture
def make_settings(shards, tmp_path):
    """Settings of a small training; arguments replace some."""

    def make(**changes):
        settings = {"data": shards.folder, "output": str(tmp_path / "run")}
        return PretrainingSettings(**{**settings, **SMALL, **changes})

    return make


@pytest.fixture
def configured(make_settings, tmp_path):
    """The arguments of `unilmv2 pretrain` for settings, in a file."""

    def write(**changes):
        settings = dataclasses.asdict(make_settings(**changes))
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        # JSON is YAML.
        path.write_text(json.dumps(settings))
        return ["pretrain", "--config", str(path)]

    return write


@pytest.fixture
def start():
    """Starts the program in processes of their own; ends what is left."""
    processes = []

    def run(arguments, **environment):
        script = os.path.join(os.path.dirname(sys.executable), "unilmv2")
        process = subprocess.Popen(
            [script, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "CUDA_VISIBLE_DEVICES": "-1",
                "TF_CPP_MIN_LOG_LEVEL": "3",
                **environment,
            },
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def last_tensors():
    """A function that reads all tensors of a run's last checkpoint."""
    import tensorflow as tf

    def read(output, folder="checkpoints"):
        names = os.listdir(os.path.join(output, folder))
        found = [re.fullmatch(r"step-(\d+)\.index", name) for name in names]
        step = max(int(match.group(1)) for match in found if match)
        reader = tf.train.load_checkpoint(
            os.path.join(output, folder, f"step-{step}")
        )
        # TensorFlow counts how often a process saved.
        return step, {
            name: reader.get_tensor(name)
            for name in reader.get_variable_to_shape_map()
            if not name.startswith(("save_counter", "_CHECKPOINTABLE"))
        }

    return read
