"""Weights made ready for a loop give what the layers themselves give."""

import numpy as np
import pytest

from unilmv2_tf.layers import TransformerBlock
from unilmv2_tf.models.decoding_weights import DecodingLayer


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
