"""Weights prepared for decoding give what the layers themselves give."""

import gc

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy.stats import norm

from unilmv2_tf.layers.transformer_block import TransformerBlock
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import tensorflow_decoding
from unilmv2_tf.models.decoding_weights import DecodingLayer
from unilmv2_tf.models.decoding_weights import fusible_gelu
from unilmv2_tf.models.decoding_weights import multiply
from unilmv2_tf.samplers import BeamSearchSampler


def make_block(policy, rng):
    block = TransformerBlock(
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        approximate_gelu=True,
        dtype=policy,
    )
    block.build((None, None, 8))
    for weight in block.weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    return block


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(
        np.asarray(actual).astype("float32"),
        np.asarray(expected).astype("float32"),
        # Where a bias is rounded differs in bfloat16.
        atol=1e-6 if actual.dtype.name == "float32" else 0.04,
    )


@pytest.mark.parametrize("change", [None, "lora", "int8"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_same_as_the_layer(policy, change):
    rng = np.random.default_rng(0)
    block = make_block(policy, rng)
    attention = block.self_attention
    dense = (
        *(attention.query, attention.key, attention.value),
        *(attention.output_dense, block.intermediate_dense, block.output_dense),
    )
    for layer in dense:
        if change == "lora":
            layer.enable_lora(2)
            layer.lora_kernel_b.assign(rng.normal(0, 0.3, (2, layer.units)))
        elif change == "int8":
            layer.quantize("int8")
    ready = DecodingLayer(block)

    x, y = rng.normal(size=(2, 3, 8)).astype(block.compute_dtype)
    queries, keys, values = np.split(
        np.asarray(ready.projections(x)).astype("float32"), 3, axis=-1
    )
    for part, layer in zip((queries, keys, values), dense):
        assert_same(part.astype(block.compute_dtype), np.asarray(layer(x)))
    assert_same(ready.attention_output(x), attention.output_dense(x))
    assert_same(ready.feed_forward(x, y), block.feed_forward(x, y))


@given(
    output_dims=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    input_dim=st.integers(1, 40),
    dtype=st.sampled_from(["float32", "float16", "bfloat16"]),
)
@settings(max_examples=10, deadline=None)
def test_tiles_hold_all_columns(output_dims, input_dim, dtype):
    rng = np.random.default_rng(0)
    kernels = [
        tf.cast(rng.normal(size=(input_dim, dim)), dtype) for dim in output_dims
    ]
    tiles = tensorflow_decoding.KernelTiles(kernels).tensors
    expected = [tf.cast(kernel, tf.float32).numpy() for kernel in kernels]
    del kernels
    # The tensors own their memory.
    gc.collect()
    for tile, kernel in zip(tiles, expected, strict=True):
        assert tile.dtype == dtype
        columns = tf.cast(tf.concat(list(tile), axis=1), tf.float32).numpy()
        num_columns = kernel.shape[1]
        np.testing.assert_array_equal(columns[:, :num_columns], kernel)
        assert not columns[:, num_columns:].any()


@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 8)])
def test_tiles_give_the_same_product(shape):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape).astype("float32")
    kernel = rng.normal(size=(8, 150)).astype("float32")
    bias = rng.normal(size=150).astype("float32")
    (tiles,) = tensorflow_decoding.KernelTiles([tf.constant(kernel)]).tensors
    np.testing.assert_allclose(
        multiply(x, tiles, bias), x @ kernel + bias, atol=1e-5
    )


@pytest.mark.parametrize("approximate", [False, True])
def test_fusible_gelu(approximate):
    x = np.linspace(-6, 6, 1001)
    expected = x * norm.cdf(x)
    if approximate:
        inner = (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)
        expected = 0.5 * x * (1 + np.tanh(inner))
    actual = fusible_gelu(tf.constant(x), approximate)
    # Keras's constant of the approximation has single precision.
    np.testing.assert_allclose(actual, expected, atol=1e-6)


ROWS = {
    "encoder_token_ids": np.array([[2, 7, 8, 3], [2, 9, 3, 0]], "int32"),
    "encoder_padding_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]], "int32"),
    "decoder_token_ids": np.zeros((2, 6), "int32"),
    "decoder_padding_mask": np.zeros((2, 6), "int32"),
}


def make_task(dtype="float32"):
    task = UniLMv2Seq2SeqLM(
        UniLMv2Backbone.from_preset(
            "unilmv2_tiny",
            load_weights=False,
            vocabulary_size=99,
            num_layers=1,
            dtype=dtype,
        ),
        pseudo_token_id=4,
    )
    rng = np.random.default_rng(2)
    for weight in task.weights:
        weight.assign(weight + rng.normal(0, 0.2, weight.shape))
    return task


def generate(task, monkeypatch, is_tiled):
    monkeypatch.setattr(
        tensorflow_decoding,
        "MIN_BYTES_TO_TILE",
        0 if is_tiled else float("inf"),
    )
    return task.generate(ROWS, stop_token_ids=(3,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampler, change",
    [
        (BeamSearchSampler(3, num_return_sequences=2), "lora"),
        (keras_hub.samplers.GreedySampler(), "int8"),
    ],
    ids=["beam", "greedy"],
)
def test_generation_is_the_same_with_tiles(sampler, change, monkeypatch):
    task = make_task()
    if change == "lora":
        task.backbone.enable_lora(2)
        for weight in task.trainable_weights:
            if "lora_kernel_b" in weight.path:
                weight.assign(0.3 * np.ones(weight.shape))
    elif change == "int8":
        task.quantize("int8")
    task.compile(sampler=sampler)
    plain, tiled = (generate(task, monkeypatch, is_it) for is_it in (0, 1))
    assert plain.keys() == tiled.keys()
    for name, expected in plain.items():
        np.testing.assert_allclose(tiled[name], expected, rtol=1e-4)


def test_tiles_follow_the_weights(monkeypatch):
    """Of a task that generates, is trained, and generates again."""
    task = make_task()
    task.compile(sampler=BeamSearchSampler(2))
    before = generate(task, monkeypatch, True)["decoder_token_ids"]
    rng = np.random.default_rng(3)
    for weight in task.weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    after, expected = (
        generate(task, monkeypatch, is_it)["decoder_token_ids"]
        for is_it in (True, False)
    )
    np.testing.assert_array_equal(after, expected)
    assert np.any(after != before)
