"""Attention by blocks against dense attention under the full mask."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.layers import BlockAttentionBias
from unilmv2_tf.layers import BlockSelfAttention
from unilmv2_tf.layers import RelativePositionBias
from unilmv2_tf.layers.block_attention import QueryStates

NUM_BUCKETS, MAX_DISTANCE = 8, 6


@pytest.fixture(scope="module")
def attention(randomize):
    layer = BlockSelfAttention(num_heads=2, hidden_dim=6, dtype="float64")
    layer.build((None, None, 6))
    return randomize(layer, seed=1)


@pytest.fixture(scope="module")
def relative(randomize):
    layer = RelativePositionBias(
        num_heads=2,
        num_buckets=NUM_BUCKETS,
        max_distance=MAX_DISTANCE,
        dtype="float64",
    )
    layer.build()
    return randomize(layer, seed=2, scale=2.0)


def bucket(distance):
    """T5's formula for one distance: exact up to 1, then by logarithm."""
    side = 4 if distance > 0 else 0
    distance = abs(distance)
    if distance < 2:
        return side + distance
    share = math.log(distance / 2) / math.log(MAX_DISTANCE / 2)
    return side + min(2 + int(share * 2 + 1e-12), 3)


def full_mask(padding_mask, steps):
    """The square of the whole row by the paper's two lines."""
    batch, num_context = padding_mask.shape
    length = num_context + 2 * steps.shape[1]
    mask = np.zeros((batch, length, length), bool)
    for b in range(batch):
        of = [0] * num_context + steps[b].tolist() + (-steps[b]).tolist()
        there = padding_mask[b].tolist() + 2 * (steps[b] != 0).tolist()
        for q, k in np.ndindex(length, length):
            if of[q] >= 0:
                visible = 0 <= of[k] <= of[q]
            else:
                visible = 0 <= of[k] < -of[q] or of[k] == of[q]
            mask[b, q, k] = visible and there[k]
    return mask


def dense_attention(layer, relative, states, mask, positions):
    """Softmax attention over the whole square, in TensorFlow."""
    batch, length, hidden_dim = states.shape
    heads = layer.num_heads

    def project(dense):
        x = states @ dense.kernel.value + dense.bias.value
        return tf.reshape(x, (batch, length, heads, hidden_dim // heads))

    query, key, value = map(project, (layer.query, layer.key, layer.value))
    scores = tf.einsum("bqhd,bkhd->bhqk", query, key)
    scores = scores / math.sqrt(hidden_dim // heads)
    if relative is not None:
        buckets = np.zeros((batch, length, length), int)
        for b, q, k in np.ndindex(buckets.shape):
            buckets[b, q, k] = bucket(positions[b, k] - positions[b, q])
        bias = tf.gather(relative.table.value + 0.0, buckets)
        scores = scores + tf.transpose(bias, (0, 3, 1, 2))
    scores = tf.where(mask[:, None], scores, -np.inf)
    x = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), value)
    x = tf.reshape(x, (batch, length, hidden_dim))
    dense = layer.output_dense
    return x @ dense.kernel.value + dense.bias.value


@st.composite
def rows(draw):
    """Lengths of text, padding, and steps with unused slots anywhere."""
    batch = draw(st.integers(1, 3))
    num_context = draw(st.integers(2, 6))
    num_slots = draw(st.integers(1, 5))
    seed = draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, num_context + 1, batch)
    padding_mask = (np.arange(num_context) < lengths[:, None]).astype("int32")
    steps = rng.integers(0, 4, (batch, num_slots)).astype("int32")
    positions = rng.integers(0, 12, (batch, num_slots)).astype("int32")
    states = rng.normal(size=(batch, num_context + 2 * num_slots, 6))
    return padding_mask, steps, positions, states


def outputs_and_gradients(function, states, weights):
    states = tf.constant(states)
    with tf.GradientTape() as tape:
        tape.watch(states)
        output = function(states)
        # Different weights for all numbers of the output.
        loss = tf.reduce_sum(
            output
            * np.sin(np.arange(output.shape.num_elements())).reshape(
                output.shape
            )
        )
    gradients = tape.gradient(loss, [states, *weights])
    return [output, *map(tf.convert_to_tensor, gradients)]


@pytest.mark.parametrize("with_relative_bias", [True, False])
@settings(deadline=None, max_examples=15)
@given(row=rows())
def test_equals_dense_attention(attention, relative, with_relative_bias, row):
    padding_mask, steps, target_positions, states = row
    relative = relative if with_relative_bias else None
    weights = [weight.value for weight in attention.trainable_weights]
    if with_relative_bias:
        weights.append(relative.table.value)

    def by_blocks(states):
        bias = BlockAttentionBias(relative, dtype="float64")(
            padding_mask, steps=steps, target_positions=target_positions
        )
        return attention(states, bias)

    text = np.tile(np.arange(padding_mask.shape[1]), (len(steps), 1))
    positions = np.hstack([text, target_positions, target_positions])

    def dense(states):
        mask = full_mask(padding_mask, steps)
        return dense_attention(attention, relative, states, mask, positions)

    for actual, expected in zip(
        outputs_and_gradients(by_blocks, states, weights),
        outputs_and_gradients(dense, states, weights),
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("with_relative_bias", [True, False])
@pytest.mark.parametrize("with_positions", [True, False])
def test_context_alone_equals_dense_attention(
    attention, relative, with_relative_bias, with_positions
):
    relative = relative if with_relative_bias else None
    rng = np.random.default_rng(0)
    padding_mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    states = rng.normal(size=(2, 5, 6))
    positions = np.tile(np.arange(5), (2, 1))
    given_positions = None
    if with_positions:
        positions = given_positions = rng.integers(0, 30, (2, 5))
    bias = BlockAttentionBias(relative, dtype="float64")(
        padding_mask, context_positions=given_positions
    )
    mask = full_mask(padding_mask, np.zeros((2, 0), int))
    expected = dense_attention(
        attention, relative, tf.constant(states), mask, positions
    )
    np.testing.assert_allclose(attention(states, bias), expected, rtol=1e-9)


def test_lengths_unknown_while_tracing(attention, relative):
    bias_layer = BlockAttentionBias(relative, dtype="float64")
    ids = tf.TensorSpec((None, None), tf.int32)

    @tf.function(
        input_signature=[
            ids,
            ids,
            ids,
            tf.TensorSpec((None, None, 6), "double"),
        ]
    )
    def traced(padding_mask, steps, positions, states):
        bias = bias_layer(padding_mask, steps=steps, target_positions=positions)
        return attention(states, bias)

    rng = np.random.default_rng(0)
    for batch, num_context, num_slots in ((2, 5, 3), (1, 3, 1), (3, 4, 4)):
        padding_mask = np.ones((batch, num_context), "int32")
        steps = rng.integers(0, 4, (batch, num_slots)).astype("int32")
        positions = rng.integers(0, 9, steps.shape).astype("int32")
        states = rng.normal(size=(batch, num_context + 2 * num_slots, 6))
        bias = bias_layer(padding_mask, steps=steps, target_positions=positions)
        np.testing.assert_allclose(
            traced(padding_mask, steps, positions, states),
            attention(states, bias),
            rtol=1e-9,
        )


@pytest.mark.parametrize("with_relative_bias", [True, False])
def test_no_intermediate_is_as_large_as_the_square(
    randomize, with_relative_bias
):
    # All of these and their sums are different, hidden_dim is small.
    batch, heads, num_context, num_slots = 3, 5, 17, 13
    length = num_context + 2 * num_slots
    attention = BlockSelfAttention(num_heads=heads, hidden_dim=10)
    attention.build((None, None, 10))
    relative = RelativePositionBias(num_heads=heads)
    relative.build()
    bias_layer = BlockAttentionBias(relative if with_relative_bias else None)
    bias_layer.build()
    ids = tf.TensorSpec((batch, num_slots), tf.int32)

    @tf.function
    def training_step(padding_mask, steps, positions, states):
        with tf.GradientTape() as tape:
            tape.watch(states)
            bias = bias_layer(
                padding_mask, steps=steps, target_positions=positions
            )
            loss = tf.reduce_sum(attention(states, bias) ** 2)
        weights = [weight.value for weight in attention.trainable_weights]
        return tape.gradient(loss, [states, *weights])

    graph = training_step.get_concrete_function(
        tf.TensorSpec((batch, num_context), tf.int32),
        ids,
        ids,
        tf.TensorSpec((batch, length, 10)),
    ).graph
    shapes = [
        tuple(output.shape)
        for operation in graph.get_operations()
        for output in operation.outputs
        if output.shape.is_fully_defined()
    ]
    assert (batch, heads, num_context, num_context) in shapes
    assert (batch, heads, num_slots, length) in shapes
    largest = max(shapes, key=math.prod)
    assert math.prod(largest) < batch * heads * length * length, largest
    # Nor, without heads, the square with buckets or hidden numbers.
    assert not [shape for shape in shapes if shape.count(length) > 1]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("with_indices", [True, False])
@pytest.mark.parametrize("with_steps", [True, False])
def test_query_states_equal_numpy(dtype, with_indices, with_steps):
    if not (with_indices or with_steps):
        return
    rng = np.random.default_rng(0)
    states = rng.normal(size=(3, 9, 4)).astype("float32")
    indices = rng.integers(0, 9, (3, 5)).astype(dtype)
    expected = []
    if with_indices:
        expected.append(np.take_along_axis(states, indices[..., None], axis=1))
    if with_steps:
        expected.append(states[:, 7:])
    arguments = (
        indices if with_indices else None,
        np.ones((3, 2), dtype) if with_steps else None,
    )
    expected = np.concatenate(expected, axis=1)
    outputs = QueryStates()(states, *arguments)
    np.testing.assert_array_equal(outputs, expected)
    shapes = [None if x is None else x.shape for x in arguments]
    shape = QueryStates().compute_output_shape(states.shape, *shapes)
    assert shape == expected.shape


def test_query_states_of_unknown_lengths():
    states = keras.Input((None, 3))
    indices = keras.Input((None,), dtype="int32")
    steps = keras.Input((None,), dtype="int32")
    outputs = QueryStates()(states, indices, steps)
    assert outputs.shape == (None, None, 3)
    model = keras.Model([states, indices, steps], outputs)
    for length, slots in ((5, 2), (8, 3)):
        x = np.random.default_rng(0).normal(size=(2, length, 3))
        x = x.astype("float32")
        output = model([x, np.array([[4, 0], [3, 3]]), np.ones((2, slots))])
        expected = [x[0, [4, 0]], x[1, [3, 3]]]
        expected = np.hstack([np.stack(expected), x[:, length - slots :]])
        np.testing.assert_array_equal(output, expected)


def test_gradient_of_query_states_sums_repeated_indices():
    states = tf.Variable(tf.zeros((1, 4, 2)))
    with tf.GradientTape() as tape:
        gathered = QueryStates()(states, np.array([[2, 2, 0]]))
        total = tf.reduce_sum(gathered * [[[1.0], [2.0], [4.0]]])
    gradient = tf.convert_to_tensor(tape.gradient(total, states))
    np.testing.assert_array_equal(gradient[0, :, 0], [4, 0, 3, 0])


def test_dropout_is_for_training_only():
    layer = BlockSelfAttention(num_heads=2, hidden_dim=4, dropout=0.5)
    bias = BlockAttentionBias()(np.ones((1, 8), "int32"))
    states = np.random.default_rng(0).normal(size=(1, 8, 4)).astype("float32")
    np.testing.assert_array_equal(layer(states, bias), layer(states, bias))
    trained = layer(states, bias, training=True)
    assert np.abs(trained - layer(states, bias)).max() > 1e-3


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_bfloat16"])
def test_low_precision_is_close(policy, attention):
    low = BlockSelfAttention(num_heads=2, hidden_dim=6, dtype=policy)
    low.build((None, None, 6))
    low.set_weights(attention.get_weights())
    rng = np.random.default_rng(0)
    arguments = {
        "padding_mask": np.array([[1, 1, 1, 0]]),
        "steps": np.array([[1, 2, 0]]),
        "target_positions": np.array([[1, 2, 0]]),
    }
    states = rng.normal(size=(1, 10, 6))
    output = low(states, BlockAttentionBias(dtype=policy)(**arguments))
    assert output.dtype.name == policy.removeprefix("mixed_")
    expected = attention(
        states, BlockAttentionBias(dtype="float64")(**arguments)
    )
    np.testing.assert_allclose(
        np.asarray(output).astype("float64"), expected, atol=0.1
    )


def test_config_round_trip(attention):
    config = keras.layers.serialize(attention)
    restored = keras.layers.deserialize(config)
    assert keras.layers.serialize(restored) == config
    if not restored.built:
        restored.build((None, None, 6))
    restored.set_weights(attention.get_weights())
    bias = BlockAttentionBias(dtype="float64")(np.ones((1, 3), "int32"))
    states = np.random.default_rng(0).normal(size=(1, 3, 6))
    np.testing.assert_array_equal(
        restored(states, bias), attention(states, bias)
    )


def test_heads_must_divide():
    with pytest.raises(ValueError, match=r"divisible.*hidden_dim=10, num_h"):
        BlockSelfAttention(num_heads=4, hidden_dim=10)
