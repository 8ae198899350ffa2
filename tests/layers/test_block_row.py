"""The row of one forward pass as literal integers."""

import keras
import numpy as np

from unilmv2_tf.layers import BlockRow
from unilmv2_tf.layers import PseudoBlock


def test_worked_example():
    # x1 .. x5, of which x5 is predicted first, then x3; segments 0 0 0 1 1.
    row = BlockRow()(
        np.array([[11, 12, 4, 14, 4]]),
        np.array([[0, 0, 0, 1, 1]]),
        revealed_token_ids=np.array([[13, 15]]),
        pseudo_token_ids=np.array([[4, 4]]),
        target_segment_ids=np.array([[0, 1]]),
        target_positions=np.array([[2, 4]]),
    )
    assert {name: np.asarray(ids).tolist() for name, ids in row.items()} == {
        "token_ids": [[11, 12, 4, 14, 4, 13, 15, 4, 4]],
        "segment_ids": [[0, 0, 0, 1, 1, 0, 1, 0, 1]],
        "position_ids": [[0, 1, 2, 3, 4, 2, 4, 2, 4]],
    }


def test_rows_of_a_batch_are_their_own():
    rng = np.random.default_rng(0)
    context, segments = rng.integers(0, 99, (2, 3, 7))
    blocks = rng.integers(0, 99, (4, 3, 4))
    row = BlockRow()(context, segments, *blocks)
    revealed, pseudo, target_segments, positions = blocks
    text = np.tile(np.arange(7), (3, 1))
    for name, parts in (
        ("token_ids", (context, revealed, pseudo)),
        ("segment_ids", (segments, target_segments, target_segments)),
        ("position_ids", (text, positions, positions)),
    ):
        np.testing.assert_array_equal(row[name], np.hstack(parts))
        assert row[name].dtype == "int32"


def test_pseudo_block_is_the_end_of_the_row():
    states = np.arange(2 * 9 * 3, dtype="float32").reshape(2, 9, 3)
    steps = np.ones((2, 2), "int32")
    block = PseudoBlock()(states, steps)
    np.testing.assert_array_equal(block, states[:, 7:])
    assert PseudoBlock().compute_output_shape(states.shape, steps.shape) == (
        2,
        2,
        3,
    )


def test_symbolic_lengths():
    states = keras.Input((None, 3))
    steps = keras.Input((None,), dtype="int32")
    model = keras.Model([states, steps], PseudoBlock()(states, steps))
    for length, slots in ((5, 2), (8, 3)):
        x = np.random.default_rng(0).normal(size=(2, length, 3))
        output = model([x, np.ones((2, slots))])
        np.testing.assert_allclose(output, x[:, length - slots :], rtol=1e-6)
