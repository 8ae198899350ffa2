"""Fixtures for pre-training: a small corpus, a small model, real processes."""

import glob
import os
import re
import subprocess
import sys

import numpy as np
import pytest

LENGTH = 32
WORDS = [f"word{letter}{digit}" for letter in "abcde" for digit in range(11)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
BACKBONE = {
    "num_layers": 1,
    "hidden_dim": 32,
    "num_heads": 2,
    "intermediate_dim": 64,
}


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """About 300 rows of 32 tokens for training, 40 for validation."""
    from unilmv2_tf.datasets.shard_plan import plan_shards
    from unilmv2_tf.datasets.shard_writing import write_token_shards
    from unilmv2_tf.preprocessing import UniLMv2Tokenizer

    folder = tmp_path_factory.mktemp("pretraining")
    generator = np.random.default_rng(3)
    documents = []
    for size in generator.integers(5, 60, 320):
        # Half of the words follow from the one before.
        words = [int(generator.integers(len(WORDS)))]
        for other in generator.integers(0, 2 * len(WORDS), size):
            is_random = other < len(WORDS)
            words.append(other if is_random else (words[-1] + 1) % len(WORDS))
        documents.append(" ".join(WORDS[word] for word in words))
    text = folder / "text.txt"
    text.write_text("\n\n".join(documents) + "\n")
    write_token_shards(
        plan_shards(text),
        UniLMv2Tokenizer(VOCABULARY),
        folder / "shards",
        sequence_length=LENGTH,
        validation_share=0.12,
    )
    return str(folder / "shards")


@pytest.fixture
def make_settings(shards, tmp_path):
    """A function that makes settings of a small run."""
    from unilmv2_tf.training.arguments import PretrainArgs

    def make(backbone=None, **settings):
        return PretrainArgs(
            **{
                "data": shards,
                "output": str(tmp_path / "run"),
                "preset": "unilmv2_tiny",
                "backbone": {**BACKBONE, "dropout": 0.0, **(backbone or {})},
                "num_steps": 10,
                "batch_size": 16,
                "learning_rate": 1e-2,
                "warmup_steps": 2,
                "tensorboard": False,
                **settings,
            }
        )

    return make


@pytest.fixture
def make_step(make_settings):
    """A function that makes a `TrainStep` of settings, also as a graph."""
    import keras
    import tensorflow as tf

    from unilmv2_tf.datasets import open_token_shards
    from unilmv2_tf.training.optimizer import make_optimizer
    from unilmv2_tf.training.pretraining_task import make_preprocessor
    from unilmv2_tf.training.pretraining_task import make_task
    from unilmv2_tf.training.train_step import TrainStep

    def make(**settings):
        settings = make_settings(**settings)
        keras.utils.set_random_seed(settings.seed)
        shards = open_token_shards(settings.data)
        preprocessor = make_preprocessor(settings, shards)
        task = make_task(settings, shards, preprocessor)
        optimizer = make_optimizer(
            settings, settings.num_steps, settings.warmup_steps
        )
        optimizer.build(task.trainable_variables)
        step = TrainStep(
            task,
            optimizer,
            settings.accumulation_steps,
            bool(settings.jit_compile),
            settings.seed,
        )
        step.in_graph = tf.function(step)
        return step

    return make


@pytest.fixture(scope="session")
def batches(shards):
    """Six masked batches of 16 rows."""
    from unilmv2_tf.datasets import masked_batches
    from unilmv2_tf.datasets import open_token_shards
    from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor

    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        open_token_shards(shards).tokenizer(), LENGTH, seed=0
    )
    return list(masked_batches(shards, "train", preprocessor, 16).take(6))


@pytest.fixture(scope="session")
def process_arguments(shards):
    """Flags of a small run with dropout, for processes."""
    size = [f"--backbone.{name}={value}" for name, value in BACKBONE.items()]
    return [
        f"--data={shards}",
        "--preset=unilmv2_tiny",
        *size,
        "--batch_size=16",
        "--learning_rate=1e-2",
        "--warmup_steps=2",
        "--tensorboard=false",
    ]


@pytest.fixture
def start_process(process_arguments):
    """A function that starts `unilmv2 pretrain`; all end with the test."""
    script = os.path.join(os.path.dirname(sys.executable), "unilmv2")
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [script, "pretrain", *process_arguments, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
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

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def read_checkpoint():
    """A function from an output folder to the arrays of its last checkpoint."""
    import tensorflow as tf

    def read(folder, subfolder="checkpoints"):
        paths = glob.glob(os.path.join(folder, subfolder, "step-*.index"))
        steps = [int(re.search(r"step-(\d+)\.index", x)[1]) for x in paths]
        reader = tf.train.load_checkpoint(
            os.path.join(folder, subfolder, f"step-{max(steps)}")
        )
        # How often a manager saved is no part of a training.
        return {
            name: reader.get_tensor(name)
            for name in reader.get_variable_to_shape_map()
            if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
            and "save_counter" not in name
        }

    return read
