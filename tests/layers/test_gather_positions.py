"""Gathering hidden states against NumPy's fancy indexing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.layers import GatherPositions


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_equals_take_along_axis(dtype):
    rng = np.random.default_rng(0)
    states = rng.normal(size=(3, 7, 4)).astype("float32")
    positions = rng.integers(0, 7, (3, 5)).astype(dtype)
    expected = np.take_along_axis(states, positions[..., None], axis=1)
    layer = GatherPositions()
    np.testing.assert_array_equal(layer(states, positions), expected)
    assert layer.compute_output_shape(states.shape, positions.shape) == (
        3,
        5,
        4,
    )


def test_gradient_sums_repeated_positions():
    states = tf.Variable(tf.zeros((1, 4, 2)))
    with tf.GradientTape() as tape:
        picked = GatherPositions()(states, np.array([[2, 2, 0]]))
        total = tf.reduce_sum(picked * [[[1.0], [2.0], [4.0]]])
    gradient = tf.convert_to_tensor(tape.gradient(total, states))
    np.testing.assert_array_equal(gradient[0, :, 0], [4, 0, 3, 0])


def test_unknown_shapes():
    states = keras.Input((None, 4))
    positions = keras.Input((None,), dtype="int32")
    outputs = GatherPositions()(states, positions)
    assert outputs.shape == (None, None, 4)
    model = keras.Model([states, positions], outputs)
    x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    at = np.array([[5, 0, 1], [3, 3, 2]])
    expected = np.stack([x[0, at[0]], x[1, at[1]]])
    np.testing.assert_array_equal(model([x, at]), expected)
