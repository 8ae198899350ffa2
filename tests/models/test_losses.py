"""The smoothed loss against a divergence that SciPy computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.special import rel_entr
from scipy.special import softmax

from unilmv2_tf.models import SmoothedCrossEntropy


def divergence(label, logits, smoothing):
    """KL(q || p) for one slot, from its definition."""
    if label == 0:
        return 0.0
    target = np.full(len(logits), smoothing / (len(logits) - 2))
    target[0] = 0
    target[label] = 1 - smoothing
    return rel_entr(target, softmax(logits)).sum()


@settings(deadline=None, max_examples=25)
@given(
    vocabulary_size=st.integers(3, 9),
    smoothing=st.floats(0.01, 0.9),
    seed=st.integers(0, 10**6),
)
def test_equals_the_divergence(vocabulary_size, smoothing, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, vocabulary_size, (2, 3))
    logits = rng.normal(0, 4, (2, 3, vocabulary_size)).astype("float32")
    loss = SmoothedCrossEntropy(smoothing)
    expected = [
        [divergence(label, slot, smoothing) for label, slot in zip(*row)]
        for row in zip(labels, logits.astype("float64"))
    ]
    np.testing.assert_allclose(
        loss.call(labels, logits), expected, rtol=1e-4, atol=2e-5
    )


def test_mean_is_over_the_weights():
    rng = np.random.default_rng(0)
    labels = np.array([[3, 1, 0], [2, 4, 4]])
    logits = rng.normal(0, 2, (2, 3, 6)).astype("float32")
    weights = np.array([[1, 0, 1], [1, 0.5, 0]], "float32")
    total = sum(
        weights[place] * divergence(labels[place], logits[place], 0.1)
        for place in np.ndindex(2, 3)
    )
    # The label 0 costs nothing, and counts.
    np.testing.assert_allclose(
        SmoothedCrossEntropy(0.1)(labels, logits, weights),
        total / 3.5,
        rtol=1e-5,
    )


def test_no_weight_at_all_is_no_loss():
    loss = SmoothedCrossEntropy(0.1)
    value = loss(np.ones((1, 2)), np.ones((1, 2, 4)), np.zeros((1, 2)))
    assert float(value) == 0


def test_without_smoothing_it_is_the_cross_entropy_of_keras():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (3, 4))
    logits = rng.normal(0, 2, (3, 4, 5)).astype("float32")
    weights = rng.random((3, 4)).astype("float32")
    plain = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    np.testing.assert_allclose(
        SmoothedCrossEntropy(0.0)(labels, logits, weights),
        plain(labels, logits, weights),
        rtol=1e-6,
    )


def test_minimum_is_zero():
    label, smoothing = 2, 0.3
    target = np.array([0, 0.1, 0.7, 0.1, 0.1])
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(target), -60)[None, None].astype("float32")
    loss = SmoothedCrossEntropy(smoothing)
    labels = np.array([[label]])
    assert float(loss(labels, logits)) == pytest.approx(0, abs=1e-5)


def test_gradient_is_prediction_minus_target():
    logits = tf.constant(np.random.default_rng(0).normal(size=(1, 1, 6)))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = SmoothedCrossEntropy(0.2, dtype="float64")([[4]], logits)
    target = np.array([0, 0.05, 0.05, 0.05, 0.8, 0.05])
    expected = softmax(logits.numpy()[0, 0]) - target
    np.testing.assert_allclose(
        tape.gradient(value, logits)[0, 0], expected, atol=1e-7
    )


def test_large_logits_stay_finite():
    logits = np.array([[[0.0, 1e4, -1e4, 50.0]]], "float32")
    value = float(SmoothedCrossEntropy(0.1)(np.array([[2]]), logits))
    log_p = log_softmax(logits[0, 0].astype("float64"))
    target = np.array([0, 0.05, 0.9, 0.05])
    used = target > 0
    expected = (target[used] * (np.log(target[used]) - log_p[used])).sum()
    assert value == pytest.approx(expected, rel=1e-5)


def test_labels_with_an_axis_more():
    labels = np.array([[1, 2]])
    logits = np.random.default_rng(0).normal(size=(1, 2, 4))
    loss = SmoothedCrossEntropy()
    np.testing.assert_array_equal(
        loss.call(labels[..., None], logits), loss.call(labels, logits)
    )


def test_config_round_trip():
    loss = SmoothedCrossEntropy(0.3, reduction="sum", name="mine")
    config = keras.losses.serialize(loss)
    restored = keras.losses.deserialize(config)
    assert isinstance(restored, SmoothedCrossEntropy)
    assert restored.get_config() == loss.get_config()
    assert restored.label_smoothing == 0.3


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0, 2])
def test_bad_smoothing(label_smoothing):
    with pytest.raises(ValueError, match=rf"\[0, 1\).*={label_smoothing}"):
        SmoothedCrossEntropy(label_smoothing)
