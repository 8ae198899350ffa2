"""Dropout of 16 bits against what the definition of dropout says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.layers.dropout import Dropout
from unilmv2_tf.layers.tensorflow_fast_paths import drop

SEED = tf.constant([3, 5])


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
def test_the_share_is_the_rate(rate):
    size = 1_000_000
    dropped = np.mean(drop(tf.ones(size), rate, SEED).numpy() == 0)
    # Five standard deviations of a binomial share.
    assert dropped == pytest.approx(
        rate, abs=5 * (rate * (1 - rate) / size) ** 0.5
    )


@given(
    rate=st.floats(0, 0.99),
    shape=st.lists(st.integers(0, 5), min_size=0, max_size=4),
)
@settings(max_examples=15, deadline=None)
def test_what_is_kept_is_scaled(rate, shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    y = drop(tf.constant(x), rate, SEED)
    assert y.shape == x.shape
    rate = round(rate * 65536) / 65536
    kept = y.numpy() != 0
    np.testing.assert_allclose(y.numpy(), x * kept / (1 - rate), rtol=1e-6)


def test_neighbors_are_independent():
    """The two halves of a draw, above all."""
    kept = drop(tf.ones(400_000), 0.5, SEED).numpy() != 0
    for distance in (1, 2, 3):
        both = np.mean(kept[:-distance] & kept[distance:])
        assert both == pytest.approx(0.25, abs=0.004)


def test_the_gradient_goes_where_the_values_went():
    x = tf.random.stateless_normal((7, 9), SEED)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = drop(x, 0.3, SEED)
    gradient = tape.gradient(y, x).numpy()
    np.testing.assert_allclose(gradient * x.numpy(), y.numpy(), rtol=1e-6)
    assert 0 < np.mean(gradient == 0) < 1


def test_graph_and_xla_drop_the_same():
    x = tf.ones((5, 33))
    expected = drop(x, 0.2, SEED).numpy()
    for is_compiled in (False, True):
        function = tf.function(
            lambda x: drop(x, 0.2, SEED), jit_compile=is_compiled
        )
        np.testing.assert_allclose(function(x).numpy(), expected, rtol=1e-6)


def test_a_seed_says_what_is_dropped():
    x = np.ones((40, 40), "float32")
    first, again, other = (
        np.array(Dropout(0.5, seed=seed)(x, training=True))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    layer = Dropout(0.5, seed=1)
    calls = [np.array(layer(x, training=True)) for _ in range(2)]
    assert np.any(calls[0] != calls[1])


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_inference_and_both_ends_of_the_rate(rate):
    x = np.ones((8, 8), "float32")
    layer = Dropout(rate)
    np.testing.assert_array_equal(layer(x), x)
    y = np.array(layer(x, training=True))
    if rate in (0, 1):
        np.testing.assert_array_equal(y, x * (1 - rate))


def test_noise_shape_and_narrow_numbers():
    x = np.ones((6, 50), "float32")
    y = np.array(Dropout(0.5, noise_shape=(6, 1))(x, training=True))
    assert all(len(set(row)) == 1 for row in y)
    y = Dropout(0.5, dtype="mixed_bfloat16")(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert set(np.unique(np.array(keras.ops.cast(y, "float32")))) == {0, 2}


def test_it_is_saved_as_a_layer_of_ours():
    layer = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(Dropout(0.25, name="d"))
    )
    assert type(layer) is Dropout
    assert layer.rate == 0.25
