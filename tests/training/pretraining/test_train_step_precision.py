"""Updates in mixed precision: float32 weights, and a loss scale that adapts."""

import numpy as np
import pytest
import tensorflow as tf


def update(step, batch, number=3):
    return step.in_graph(batch, tf.constant(number, tf.int64)).numpy()


def weights_of(step):
    return [v.numpy() for v in step.task.trainable_variables]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_the_update_is_about_that_of_float32(make_step, batches, precision):
    settings = {"warmup_steps": 0, "epsilon": 1e-3, "clip_norm": 0.5}
    exact = make_step(**settings)
    mixed = make_step(precision=precision, **settings)
    for variable, other in zip(exact.task.weights, mixed.task.weights):
        other.assign(variable)
    before = weights_of(exact)
    expected, sums = update(exact, batches[0]), update(mixed, batches[0])
    np.testing.assert_allclose(sums[[0, 1, 3]], expected[[0, 1, 3]], rtol=0.02)
    changes = [
        np.concatenate(
            [(w - b).ravel() for w, b in zip(weights_of(step), before)]
        )
        for step in (exact, mixed)
    ]
    error = np.linalg.norm(changes[0] - changes[1])
    assert 0 < error < 0.1 * np.linalg.norm(changes[0])
    assert {v.dtype for v in mixed.task.trainable_variables} == {"float32"}
    assert mixed.task.backbone.compute_dtype == precision.split("_")[1]


def test_the_loss_scale(make_step, batches):
    step = make_step(precision="mixed_float16", warmup_steps=0)
    optimizer = step.optimizer
    scale = float(optimizer.dynamic_scale.numpy())

    # Near the end of a long time without an overflow.
    optimizer.step_counter.assign(optimizer.dynamic_growth_steps - 1)
    update(step, batches[0])
    assert float(optimizer.dynamic_scale.numpy()) == 2 * scale

    # Beyond what float16 can hold.
    (table,) = [
        v
        for v in step.task.trainable_variables
        if v.path.endswith("embeddings") and v.shape[0] == 60
    ]
    table.assign(table.numpy() + 1e30)
    before = weights_of(step)
    iterations = int(optimizer.inner_optimizer.iterations.numpy())
    update(step, batches[0])
    assert float(optimizer.dynamic_scale.numpy()) == scale
    assert int(optimizer.inner_optimizer.iterations.numpy()) == iterations
    for weight, earlier in zip(weights_of(step), before):
        np.testing.assert_array_equal(weight, earlier)
