"""The language model head against NumPy."""

import keras
import numpy as np
import pytest
from scipy.special import erf

from unilmv2_tf.layers.language_model_head import LanguageModelHead


@pytest.fixture
def head(randomize):
    embedding = keras.layers.ReversibleEmbedding(11, 6, dtype="float64")
    head = LanguageModelHead(
        embedding, layer_norm_epsilon=1e-3, dtype="float64"
    )
    head.build((None, None, 6))
    return randomize(head)


def test_equals_numpy(head):
    states = np.random.default_rng(1).normal(size=(2, 3, 6))
    x = states @ np.asarray(head.dense.kernel) + np.asarray(head.dense.bias)
    x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
    variance = x.var(axis=-1, keepdims=True)
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(variance + 1e-3)
    x = x * np.asarray(head.layer_norm.gamma) + np.asarray(head.layer_norm.beta)
    expected = x @ np.asarray(head.token_embedding.embeddings).T
    expected = expected + np.asarray(head.output_bias)
    # Keras divides by a float32 root of two in its gelu.
    np.testing.assert_allclose(head(states), expected, rtol=1e-6)


def test_embedding_is_tied(head):
    states = np.ones((1, 1, 6))
    before = np.asarray(head(states))[0, 0]
    table = np.asarray(head.token_embedding.embeddings).copy()
    table[4] = 0
    head.token_embedding.embeddings.assign(table)
    after = np.asarray(head(states))[0, 0]
    assert after[4] == pytest.approx(float(head.output_bias[4]))
    np.testing.assert_allclose(np.delete(after, 4), np.delete(before, 4))


def test_config_round_trip(head):
    config = keras.layers.serialize(head)
    restored = keras.layers.deserialize(config)
    assert keras.layers.serialize(restored) == config
    restored.set_weights(head.get_weights())
    states = np.random.default_rng(2).normal(size=(2, 3, 6))
    np.testing.assert_array_equal(restored(states), head(states))
    assert head.compute_output_shape((2, 3, 6)) == (2, 3, 11)


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_bfloat16"])
def test_low_precision_is_close(policy, head):
    embedding = keras.layers.ReversibleEmbedding(11, 6, dtype=policy)
    low = LanguageModelHead(embedding, layer_norm_epsilon=1e-3, dtype=policy)
    low.build((None, None, 6))
    low.set_weights(head.get_weights())
    states = np.random.default_rng(3).normal(size=(2, 3, 6))
    logits = np.asarray(low(states)).astype("float64")
    np.testing.assert_allclose(logits, head(states), atol=0.1)
