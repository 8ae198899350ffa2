"""Losses on held-out rows, compared with Keras's `evaluate`."""

import keras
import numpy as np
import pytest

from unilmv2_tf.datasets import open_token_shards
from unilmv2_tf.datasets.shard_reading import evaluation_batches
from unilmv2_tf.training.pretraining_task import make_preprocessor
from unilmv2_tf.training.pretraining_task import make_task
from unilmv2_tf.training.tensorflow_engine import TensorFlowEngine


@pytest.fixture
def evaluate(make_settings):
    """A function from settings to the task and two evaluations."""

    def evaluate(**settings):
        args = make_settings(backbone={"dropout": 0.2}, **settings)
        keras.utils.set_random_seed(args.seed)
        shards = open_token_shards(args.data)
        preprocessor = make_preprocessor(args, shards)
        engine = TensorFlowEngine(args)
        engine.build(lambda: make_task(args, shards, preprocessor))
        engine.start_input(shards, preprocessor, 0)
        return engine.task, engine.evaluate(), engine.evaluate()

    return evaluate


@pytest.mark.parametrize("num_rows", [0, 20])
def test_is_that_of_keras(evaluate, shards, num_rows):
    task, figures, again = evaluate(batch_size=16, evaluation_rows=num_rows)
    assert figures == again
    num_rows = num_rows or open_token_shards(shards).num_rows("validation")
    assert num_rows % 16, "the last batch must be filled up"
    # All rows at once, so that nothing is filled up.
    batches = evaluation_batches(
        shards, "validation", task.preprocessor, num_rows, num_rows
    )
    (batch,) = batches
    assert len(batch[1]) == num_rows
    # They are masked already.
    task.preprocessor = None
    task.compile()
    expected = task.evaluate(batches, return_dict=True, verbose=0)
    assert len(figures) == 5
    for name, value in figures.items():
        of_keras = expected[name.removeprefix("val_")]
        assert value == pytest.approx(of_keras, rel=1e-5), name


@pytest.mark.slow
def test_does_not_depend_on_the_batch(evaluate):
    figures = [
        evaluate(batch_size=size, accumulation_steps=parts)[1]
        for size, parts in ((16, 4), (200, 1))
    ]
    one, other = (list(values.values()) for values in figures)
    np.testing.assert_allclose(other, one, rtol=1e-5)
