"""Compared with Keras's AdamW, which it must not differ from."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.training.fused_adamw import FusedAdamW
from unilmv2_tf.training.optimization import LinearWarmupDecay

SHAPES = {"kernel": (7, 5), "bias": (5,), "table": (9, 5)}


def train(optimizer_cls, dtype="float32", num_steps=6, **arguments):
    """Variables and optimizer's variables after some steps in a graph."""
    rng = np.random.default_rng(0)
    variables = [
        keras.Variable(rng.normal(size=shape), name=name, dtype=dtype)
        for name, shape in SHAPES.items()
    ]
    arguments = {
        "learning_rate": LinearWarmupDecay(0.1, 10, 2),
        "weight_decay": 0.1,
        "beta_2": 0.98,
        "epsilon": 1e-6,
        **arguments,
    }
    optimizer = optimizer_cls(**arguments)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(variables)
    apply = tf.function(
        lambda *gradients: optimizer.apply(gradients, variables)
    )
    for _ in range(num_steps):
        gradients = [rng.normal(size=shape) for shape in SHAPES.values()]
        apply(*[tf.cast(gradient, dtype) for gradient in gradients])
    return variables, optimizer


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"global_clipnorm": 0.5},
        {"gradient_accumulation_steps": 3},
        {"amsgrad": True},
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"weight_decay": 0.0},
    ],
    ids=lambda arguments: next(iter(arguments), "plain"),
)
def test_same_as_keras(arguments):
    ours, our_optimizer = train(FusedAdamW, **arguments)
    theirs, their_optimizer = train(keras.optimizers.AdamW, **arguments)
    for one, other in zip(ours, theirs):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)
    assert [v.path.split("/", 1)[1] for v in our_optimizer.variables] == [
        v.path.split("/", 1)[1] for v in their_optimizer.variables
    ]
    for one, other in zip(our_optimizer.variables, their_optimizer.variables):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6)


def test_same_as_keras_in_double_precision():
    # Keras rounds betas and decay to single precision: of these only decay.
    betas = {"beta_1": 0.875, "beta_2": 0.96875, "epsilon": 2.0**-20}
    ours, _ = train(FusedAdamW, dtype="float64", **betas)
    theirs, _ = train(keras.optimizers.AdamW, dtype="float64", **betas)
    for one, other in zip(ours, theirs):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def test_bfloat16_variables():
    ours, _ = train(FusedAdamW, dtype="bfloat16")
    theirs, _ = train(keras.optimizers.AdamW, dtype="bfloat16")
    for one, other in zip(ours, theirs):
        one, other = (np.array(v.value, "float32") for v in (one, other))
        np.testing.assert_allclose(one, other, atol=0.1)


def test_smaller_graph_than_keras():
    def num_nodes(optimizer_cls):
        variables = [keras.Variable(np.ones(3)) for _ in range(4)]
        optimizer = optimizer_cls(0.1)
        optimizer.build(variables)
        gradients = [tf.ones(3) for _ in variables]
        step = tf.function(lambda: optimizer.apply(gradients, variables))
        return len(step.get_concrete_function().graph.get_operations())

    assert num_nodes(FusedAdamW) < num_nodes(keras.optimizers.AdamW) / 1.5
