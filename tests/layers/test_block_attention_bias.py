"""The parts of the attention bias against the visibility rule."""

import keras
import numpy as np
import pytest

from unilmv2_tf.layers import BlockAttentionBias
from unilmv2_tf.layers import RelativePositionBias
from unilmv2_tf.layers.block_attention_bias import mask_to_bias


def visible(bias):
    return (np.asarray(bias)[:, 0] == 0).astype(int).tolist()


def test_worked_example_of_figure_5():
    # Text x1 .. x6 and one padding; steps <{4, 5}, {2}>, and an unused slot.
    bias = BlockAttentionBias()(
        np.array([[1, 1, 1, 1, 1, 1, 0]]),
        steps=np.array([[1, 1, 2, 0]]),
        target_positions=np.array([[3, 4, 1, 0]]),
    )
    assert sorted(bias) == ["context_padding", "pseudo", "revealed"]
    assert visible(bias["context_padding"]) == [[[1, 1, 1, 1, 1, 1, 0]]]
    # Keys:  x1 M2 x3 M4 M5 x6 pad  x4 x5 x2 -
    assert visible(bias["revealed"]) == [
        [
            [1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0],
            [1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0],
            [1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0],
            [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        ]
    ]
    # Keys:  x1 M2 x3 M4 M5 x6 pad  x4 x5 x2 -  P4 P5 P2 -
    assert visible(bias["pseudo"]) == [
        [
            [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0],
            [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0],
            [1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 0],
            [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
    ]


def test_relative_bias_is_that_of_all_pairs(randomize):
    relative = RelativePositionBias(num_heads=3, num_buckets=8, max_distance=6)
    relative.build()
    randomize(relative)
    target_positions = np.array([[3, 1], [2, 4]])
    bias = BlockAttentionBias(relative)(
        np.ones((2, 5), "int32"),
        steps=np.array([[1, 1], [1, 1]]),
        target_positions=target_positions,
    )
    text = np.tile(np.arange(5), (2, 1))
    row = np.hstack([text, target_positions, target_positions])
    square = np.asarray(relative(row, row))
    assert bias["context"].shape == (1, 3, 5, 5)
    np.testing.assert_array_equal(bias["context"][0], square[0, :, :5, :5])
    np.testing.assert_array_equal(bias["context_padding"], 0)
    np.testing.assert_array_equal(bias["revealed"], square[:, :, 5:7, :7])
    # The revealed tokens are of no earlier step.
    pseudo = np.asarray(bias["pseudo"])
    seen = [0, 1, 2, 3, 4, 7, 8]
    np.testing.assert_array_equal(
        pseudo[..., seen], square[:, :, 7:9][..., seen]
    )
    assert (pseudo[..., 5:7] < -1e4).all()


def test_context_alone_has_no_other_blocks():
    bias = BlockAttentionBias()(np.array([[1, 0]]))
    assert list(bias) == ["context_padding"]
    bias = BlockAttentionBias(RelativePositionBias(num_heads=2))(
        np.array([[1, 0]]), context_positions=np.array([[4, 9]])
    )
    assert sorted(bias) == ["context", "context_padding"]


@pytest.mark.parametrize("with_relative_bias", [True, False])
def test_config_round_trip(with_relative_bias, randomize):
    relative = None
    if with_relative_bias:
        relative = RelativePositionBias(num_heads=2)
        relative.build()
        randomize(relative)
    layer = BlockAttentionBias(relative, name="bias")
    layer.build()
    config = keras.layers.serialize(layer)
    restored = keras.layers.deserialize(config)
    assert keras.layers.serialize(restored) == config
    restored.build()
    restored.set_weights(layer.get_weights())
    arguments = {
        "padding_mask": np.ones((1, 3), "int32"),
        "steps": np.array([[1, 2]]),
        "target_positions": np.array([[1, 2]]),
    }
    parts = restored(**arguments)
    for name, part in layer(**arguments).items():
        np.testing.assert_array_equal(parts[name], part)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_masked_scores_stay_finite(dtype):
    bias = mask_to_bias(np.array([True, False]), dtype)
    assert keras.backend.standardize_dtype(bias.dtype) == dtype
    allowed, masked = np.asarray(bias).astype("float32")
    assert allowed == 0
    # Twice masked is the lowest sum that occurs.
    assert np.isfinite(np.asarray(bias + bias).astype("float32")).all()
    assert np.exp(np.float32(masked)) == 0
