"""A transformer layer against NumPy, and under other precisions."""

import keras
import numpy as np
import pytest
from scipy.special import erf
from scipy.special import softmax

from unilmv2_tf.layers import BlockAttentionBias
from unilmv2_tf.layers.transformer_block import TransformerBlock


def make_block(dtype="float64", **kwargs):
    block = TransformerBlock(
        num_heads=2,
        hidden_dim=6,
        intermediate_dim=10,
        dtype=dtype,
        **{"layer_norm_epsilon": 1e-3, **kwargs},
    )
    block.build((None, None, 6))
    return block


@pytest.fixture(scope="module")
def block(randomize):
    return randomize(make_block())


@pytest.fixture(scope="module")
def row():
    arguments = {
        "padding_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0]]),
        "steps": np.array([[1, 1, 2], [2, 1, 0]]),
        "target_positions": np.array([[1, 2, 3], [1, 0, 0]]),
    }
    states = np.random.default_rng(0).normal(size=(2, 10, 6))
    return states, arguments


def affine(dense, x):
    return x @ np.asarray(dense.kernel) + np.asarray(dense.bias)


def norm(layer, x):
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-3)
    return x * np.asarray(layer.gamma) + np.asarray(layer.beta)


def test_one_example_equals_numpy(block):
    states = np.random.default_rng(1).normal(size=(1, 4, 6))
    bias = BlockAttentionBias(dtype="float64")(np.array([[1, 1, 1, 0]]))
    x = states[0]
    attention = block.self_attention
    query, key, value = (
        affine(dense, x)
        for dense in (attention.query, attention.key, attention.value)
    )
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        scores = query[:, head] @ key[:3, head].T / np.sqrt(3)
        heads.append(softmax(scores, axis=-1) @ value[:3, head])
    x = x + affine(attention.output_dense, np.hstack(heads))
    x = norm(block.self_attention_layer_norm, x)
    inner = affine(block.intermediate_dense, x)
    inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
    x = norm(block.output_layer_norm, x + affine(block.output_dense, inner))
    # The tanh gelu would be off by 1e-4.
    np.testing.assert_allclose(block(states, bias)[0], x, atol=1e-7)


def test_keys_and_values_are_those_of_the_attention(block, row):
    states, arguments = row
    bias = BlockAttentionBias(dtype="float64")(**arguments)
    output, keys, values = block.call_with_keys(states, bias)
    np.testing.assert_allclose(output, block(states, bias), rtol=1e-12)
    for tensor, dense in (
        (keys, block.self_attention.key),
        (values, block.self_attention.value),
    ):
        expected = affine(dense, states).reshape(2, 10, 2, 3)
        np.testing.assert_allclose(
            tensor, expected.transpose(0, 2, 1, 3), rtol=1e-9
        )


@pytest.mark.parametrize(
    "policy", ["float16", "bfloat16", "mixed_bfloat16", "float64"]
)
def test_dtype_policies(block, row, policy):
    states, arguments = row
    low = make_block(dtype=policy)
    low.set_weights(block.get_weights())
    output = low(states, BlockAttentionBias(dtype=policy)(**arguments))
    assert output.dtype.name == policy.removeprefix("mixed_")
    expected = block(states, BlockAttentionBias(dtype="float64")(**arguments))
    np.testing.assert_allclose(
        np.asarray(output).astype("float64"), expected, atol=0.25
    )


def test_config_round_trip(block, row):
    config = keras.layers.serialize(block)
    restored = keras.layers.deserialize(config)
    assert keras.layers.serialize(restored) == config
    restored.set_weights(block.get_weights())
    states, arguments = row
    bias = BlockAttentionBias(dtype="float64")(**arguments)
    np.testing.assert_array_equal(restored(states, bias), block(states, bias))
    assert block.compute_output_shape((2, 10, 6)) == (2, 10, 6)


def test_kernels_start_differently():
    block = make_block(kernel_initializer=keras.initializers.RandomNormal())
    kernels = [
        np.asarray(dense.kernel)
        for dense in (
            block.self_attention.query,
            block.self_attention.key,
            block.self_attention.value,
            block.self_attention.output_dense,
        )
    ]
    for i, kernel in enumerate(kernels):
        for other in kernels[:i]:
            assert np.abs(kernel - other).min() > 0


def test_dropout_is_for_training_only(row):
    block = make_block(dropout=0.5)
    states, arguments = row
    bias = BlockAttentionBias(dtype="float64")(**arguments)
    still = np.asarray(block(states, bias))
    np.testing.assert_array_equal(block(states, bias), still)
    assert np.abs(block(states, bias, training=True) - still).max() > 1e-3
