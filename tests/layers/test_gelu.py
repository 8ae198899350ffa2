"""The gelus against SciPy's normal distribution."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from unilmv2_tf.layers import fusible_gelu
from unilmv2_tf.layers import training_gelu

X = np.linspace(-6, 6, 1001)


@pytest.mark.parametrize("gelu", [fusible_gelu, training_gelu])
def test_value_and_slope(gelu):
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gelu(x)
    np.testing.assert_allclose(y, X * norm.cdf(X), atol=1e-12)
    slope = norm.cdf(X) + X * norm.pdf(X)
    np.testing.assert_allclose(tape.gradient(y, x), slope, atol=1e-12)


def test_narrow_numbers_lose_only_their_own_rounding():
    x = tf.cast(X, tf.bfloat16)
    exact = tf.cast(x, tf.float64).numpy()
    exact = exact * norm.cdf(exact)
    y = training_gelu(x)
    assert y.dtype == tf.bfloat16
    error = np.abs(tf.cast(y, tf.float64).numpy() - exact)
    # Half of the last of 8 bits, and what float32 loses by `1 + erf(x)`.
    assert np.all(error <= np.abs(exact) * 2**-8 + 1e-6)


def test_the_approximation_stays_one():
    x = tf.constant(X, tf.float32)
    for gelu in (fusible_gelu, training_gelu):
        np.testing.assert_allclose(
            gelu(x, approximate=True),
            0.5 * X * (1 + np.tanh((2 / np.pi) ** 0.5 * (X + 0.044715 * X**3))),
            atol=2e-6,
        )
