"""The visibility rule against the paper's two lines, pair by pair."""

import numpy as np
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unilmv2_tf.layers import step_visibility


def is_visible(query, key):
    """PAPER: section 3.2, the two lines of the rule."""
    if query >= 0:
        return 0 <= key <= query
    return 0 <= key < -query or key == query


@st.composite
def queries_and_keys(draw):
    leading = draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    steps = st.integers(-6, 6)
    lengths = st.integers(1, 7)
    return tuple(
        draw(hnp.arrays("int32", (*leading, draw(lengths)), elements=steps))
        for _ in range(2)
    )


@settings(deadline=None, max_examples=40)
@given(queries_and_keys())
def test_equals_the_rule_pair_by_pair(steps):
    query_steps, key_steps = steps
    visible = np.asarray(step_visibility(query_steps, key_steps))
    expected = np.zeros((*query_steps.shape, key_steps.shape[-1]), bool)
    for place in np.ndindex(expected.shape):
        query = query_steps[place[:-1]]
        key = key_steps[(*place[:-2], place[-1])]
        expected[place] = is_visible(query, key)
    assert visible.dtype == bool
    np.testing.assert_array_equal(visible, expected)


def test_worked_example_of_figure_5():
    # x1 .. x6 with the factorization steps <{4, 5}, {2}>.
    #        x1 M2 x3 M4 M5 x6  x4 x5 x2  P4  P5  P2
    steps = [0, 0, 0, 0, 0, 0, 1, 1, 2, -1, -1, -2]
    context = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    expected = [
        *[context] * 6,
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1],
    ]
    visible = step_visibility(np.array(steps), np.array(steps))
    assert np.asarray(visible).astype(int).tolist() == expected


def test_left_to_right_is_a_causal_mask():
    target = np.arange(1, 6)
    causal = np.tri(5, dtype=bool)
    np.testing.assert_array_equal(step_visibility(target, target), causal)
    # A pseudo mask reads the true tokens before its own, not that one.
    np.testing.assert_array_equal(
        step_visibility(-target, target), np.tri(5, k=-1, dtype=bool)
    )
    np.testing.assert_array_equal(
        step_visibility(-target, -target), np.eye(5, dtype=bool)
    )


def test_all_steps_zero_is_bidirectional():
    assert np.asarray(step_visibility(np.zeros(4), np.zeros(3))).all()
