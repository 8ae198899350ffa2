"""Relative positions against golden buckets and lookups by hand."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.layers import RelativePositionBias
from unilmv2_tf.layers.relative_position_bias import relative_position_buckets


@pytest.fixture(scope="module")
def golden_buckets(golden_dir):
    with np.load(golden_dir / "relpos_buckets.npz") as arrays:
        return dict(arrays)


def bucket_by_logarithm(distance, num_buckets, max_distance):
    """T5's formula for one distance, in double precision."""
    half = num_buckets // 2
    exact = half // 2
    side = half if distance > 0 else 0
    distance = abs(distance)
    if distance < exact:
        return side + distance
    # Where the logarithm is a whole number, it must not fall below it.
    share = math.log(distance / exact) / math.log(max_distance / exact)
    return side + min(exact + int(share * (half - exact) + 1e-12), half - 1)


def test_golden_buckets(golden_buckets):
    relative = golden_buckets["rel"]
    names = [name for name in golden_buckets if name != "rel"]
    assert len(names) == 5
    for name in names:
        num_buckets, max_distance = map(int, name.split("_")[1:])
        buckets = relative_position_buckets(num_buckets, max_distance)
        clipped = np.clip(relative, -max_distance, max_distance)
        np.testing.assert_array_equal(
            buckets[clipped + max_distance], golden_buckets[name], name
        )


@pytest.mark.parametrize(
    ("num_buckets", "max_distance"), [(4, 2), (4, 100), (8, 6), (12, 40)]
)
def test_other_sizes_follow_the_formula(num_buckets, max_distance):
    buckets = relative_position_buckets(num_buckets, max_distance)
    expected = [
        bucket_by_logarithm(distance, num_buckets, max_distance)
        for distance in range(-max_distance, max_distance + 1)
    ]
    assert buckets.tolist() == expected


def test_bias_is_a_table_lookup(golden_buckets):
    layer = RelativePositionBias(
        num_heads=3, kernel_initializer=keras.initializers.RandomNormal(seed=1)
    )
    rng = np.random.default_rng(0)
    queries = rng.integers(0, 400, (2, 5))
    keys = rng.integers(0, 400, (2, 6))
    bias = np.asarray(layer(queries, keys))
    table = np.asarray(layer.table)
    bucket = dict(zip(golden_buckets["rel"], golden_buckets["bucket_32_128"]))
    assert bias.shape == (2, 3, 5, 6)
    for b, h, q, k in np.ndindex(bias.shape):
        distance = keys[b, k] - queries[b, q]
        assert bias[b, h, q, k] == table[bucket[distance], h]


def test_gradient_counts_the_pairs_of_a_bucket():
    layer = RelativePositionBias(num_heads=2, num_buckets=8, max_distance=6)
    positions = np.arange(5)[None]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(positions, positions))
    gradient = tape.gradient(total, layer.table.value)
    assert isinstance(gradient, tf.Tensor)
    counts = np.zeros((8, 2))
    for query in range(5):
        for key in range(5):
            counts[bucket_by_logarithm(key - query, 8, 6)] += 1
    np.testing.assert_array_equal(gradient, counts)


def test_config_round_trip():
    layer = RelativePositionBias(
        num_heads=2, num_buckets=8, max_distance=6, name="bias"
    )
    layer.build()
    config = keras.layers.serialize(layer)
    restored = keras.layers.deserialize(config)
    assert keras.layers.serialize(restored) == config
    positions = np.arange(4)[None]
    bias = layer(positions, positions)
    restored.set_weights(layer.get_weights())
    np.testing.assert_array_equal(restored(positions, positions), bias)
    assert tuple(bias.shape) == layer.compute_output_shape((1, 4), (1, 4))


@pytest.mark.parametrize("num_buckets", [0, 2, 6, 30, -4])
def test_number_of_buckets(num_buckets):
    with pytest.raises(ValueError, match=r"`num_buckets`.*multiple of 4"):
        RelativePositionBias(num_heads=2, num_buckets=num_buckets)


@pytest.mark.parametrize("max_distance", [8, 3, 0])
def test_max_distance_above_the_exact_ones(max_distance):
    with pytest.raises(ValueError, match=f"max_distance={max_distance}"):
        RelativePositionBias(
            num_heads=2, num_buckets=32, max_distance=max_distance
        )
