"""The whole update, with the optimizer, is one XLA program."""

import re

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.datasets.packed.pipeline import masked_batches
from unilmv2_tf.trainers.pretraining.model import make_preprocessor
from unilmv2_tf.trainers.pretraining.model import make_task
from unilmv2_tf.trainers.pretraining.train_step import TrainStep
from unilmv2_tf.trainers.pretraining.train_step import (
    reduced_gradient_optimizer,
)

# What runs on the host, or may: none of them has an XLA kernel.
HOST_OPERATIONS = re.compile(
    "PyFunc|Host|Infeed|Outfeed|Print|Read(er|File)|WriteFile|Queue|Dataset|"
    "Iterator|LookupTable|String|Summary|Save|Restore|Where$|Unique"
)


@pytest.fixture(scope="module")
def batch(shards):
    from unilmv2_tf.trainers.pretraining.settings import PretrainingSettings

    settings = PretrainingSettings(data=shards.folder, output="unused")
    preprocessor = make_preprocessor(settings, shards)
    return next(iter(masked_batches(shards, "train", preprocessor, 8)))


def make_step(settings, shards):
    tf.keras.utils.set_random_seed(0)
    task = make_task(settings, shards, make_preprocessor(settings, shards))
    optimizer = reduced_gradient_optimizer(settings)
    optimizer.build(task.trainable_variables)
    return TrainStep(task, optimizer, settings.accumulation_steps)


def all_graphs(function):
    """The graph of a concrete function and of all that it calls."""
    definition = function.graph.as_graph_def()
    yield from definition.node
    for called in definition.library.function:
        yield from called.node_def


@pytest.mark.slow
def test_it_compiles_and_equals_the_uncompiled_step(
    make_settings, shards, batch
):
    settings = make_settings(accumulation_steps=2, clip_norm=1.0)
    # XLA draws other random numbers.
    settings.backbone = {**settings.backbone, "dropout": 0.0}
    settings.epsilon = 1e-4
    arguments = batch, tf.constant(3, tf.int64)
    step, other = [make_step(settings, shards) for _ in range(2)]
    before = [v.numpy() for v in other.task.trainable_variables]
    sums = tf.function(step, jit_compile=True)(*arguments).numpy()
    expected = tf.function(other)(*arguments).numpy()
    np.testing.assert_allclose(sums, expected, rtol=1e-4)
    assert int(step.optimizer.iterations.numpy()) == 1
    moved = 0.0
    for ours, theirs, old in zip(
        step.task.trainable_variables, other.task.trainable_variables, before
    ):
        theirs = theirs.numpy()
        moved = max(moved, np.abs(theirs - old).max())
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
    assert moved > 1e-4


def test_nothing_calls_the_host_and_all_shapes_are_static(
    make_settings, shards, batch
):
    # Dropout, clipping and two parts: all that may be in it.
    settings = make_settings(accumulation_steps=2, clip_norm=1.0)
    function = tf.function(make_step(settings, shards), jit_compile=True)
    arguments = batch, tf.constant(3, tf.int64)
    concrete = function.get_concrete_function(*arguments)
    nodes = list(all_graphs(concrete))
    assert len(nodes) > 500
    assert not [n.op for n in nodes if HOST_OPERATIONS.search(n.op)]
    for node in nodes:
        types = [a.type for a in node.attr.values()]
        assert tf.string.as_datatype_enum not in types, node.name
    for tensor in concrete.inputs:
        assert tensor.dtype == tf.resource or tensor.shape.is_fully_defined()
    hlo = function.experimental_get_compiler_ir(*arguments)(stage="hlo")
    assert "HloModule" in hlo and "dot(" in hlo
    assert "custom-call" not in hlo
    # A bounded dynamic dimension is printed as [<=8,32].
    assert "<=" not in hlo.replace("direction=LE", "")
    assert not re.search("infeed|outfeed|send|recv|dynamic-dimension", hlo)
