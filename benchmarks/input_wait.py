"""The share of a training step that is spent waiting for its input.

    python -m benchmarks.input_wait

The same steps are taken alternately with batches from shards, masked as they
are needed, and with one batch that is there already. Results go to
benchmarks/results/input_wait.json.
"""

import argparse
import os
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks.input_pipeline import random_rows
from benchmarks.input_pipeline import write_folder
from benchmarks.report import write_results
from unilmv2_tf.training.pretraining import inputs
from unilmv2_tf.training.pretraining.model import make_preprocessor
from unilmv2_tf.training.pretraining.model import make_task
from unilmv2_tf.training.pretraining.settings import PretrainingSettings
from unilmv2_tf.training.pretraining.train_step import TrainStep
from unilmv2_tf.training.pretraining.train_step import (
    reduced_gradient_optimizer,
)
from unilmv2_tf.training.pretraining.trainer import PretrainingTrainer
from unilmv2_tf.training.stopping import stop_variable
from unilmv2_tf.training.strategies import make_strategy


def make_trainers(shards, settings):
    """Two trainers of one model: with real input, and with a batch at hand."""
    strategy = make_strategy("one")
    preprocessor = make_preprocessor(settings, shards)
    task = make_task(settings, shards, preprocessor)
    optimizer = reduced_gradient_optimizer(settings)
    optimizer.build(task.trainable_variables)
    step = TrainStep(task, optimizer)
    dataset = inputs.training_dataset(
        strategy, shards, preprocessor, settings, first_step=0
    )
    at_hand = dataset.take(1).cache().repeat().prefetch(2)
    counter = tf.Variable(0, dtype=tf.int64)
    return {
        name: PretrainingTrainer(strategy, step, data, counter, stop_variable())
        for name, data in (("shards", dataset), ("at hand", at_hand))
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="unilmv2_tiny")
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    settings = PretrainingSettings(
        data="",
        output="",
        preset=options.preset,
        batch_size=options.batch_size,
    )
    with tempfile.TemporaryDirectory() as path:
        shards = write_folder(path, random_rows(4000, options.length))
        trainers = make_trainers(shards, settings)
        seconds = {name: [] for name in trainers}
        for repeat in range(options.repeats + 1):
            for name, trainer in trainers.items():
                start = time.perf_counter()
                trainer.train(tf.constant(options.steps))
                # The first calls build the graphs and fill the buffers.
                if repeat:
                    seconds[name].append(time.perf_counter() - start)
        del trainers
    shares = [
        1 - at_hand / real
        for real, at_hand in zip(seconds["shards"], seconds["at hand"])
    ]
    figures = {
        "preset": options.preset,
        "length": options.length,
        "batch_size": options.batch_size,
        "steps_per_second": options.steps
        / statistics.median(seconds["shards"]),
        "share_of_step_for_input": {
            "median": statistics.median(shares),
            "lowest": min(shares),
            "highest": max(shares),
        },
    }
    print(figures)
    write_results("input_wait", figures)


if __name__ == "__main__":
    main()
