"""The rule against repeated n-grams, token by token."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.samplers.token_rules import repeated_ngram_penalty


def forbidden_tokens(text, ngram_size, vocabulary_size, ignored):
    """Tokens that would complete an n-gram which the text has already."""
    last = text[len(text) - ngram_size + 1 :]
    if len(text) < ngram_size or set(last) & set(ignored):
        return set()
    ngrams = {
        tuple(text[i : i + ngram_size])
        for i in range(len(text) - ngram_size + 1)
    }
    return {
        token
        for token in range(vocabulary_size)
        if token not in ignored and (*last, token) in ngrams
    }


@settings(deadline=None, max_examples=25)
@given(
    vocabulary_size=st.integers(1, 4),
    max_length=st.integers(1, 10),
    ngram_size=st.integers(1, 4),
    ignored=st.sets(st.integers(0, 3), max_size=2),
    data=st.data(),
)
def test_equals_the_rule_token_by_token(
    vocabulary_size, max_length, ngram_size, ignored, data
):
    seed = data.draw(st.integers(0, 10**6))
    index = data.draw(st.integers(0, max_length))
    rng = np.random.default_rng(seed)
    token_ids = rng.integers(0, vocabulary_size, (3, max_length))
    starts = rng.integers(0, max_length + 1, 3)
    penalty = np.asarray(
        repeated_ngram_penalty(
            token_ids,
            np.array(index),
            starts,
            ngram_size,
            vocabulary_size,
            tuple(ignored),
        )
    )
    assert penalty.shape == (3, vocabulary_size)
    for row, text, start in zip(penalty, token_ids.tolist(), starts):
        expected = forbidden_tokens(
            text[start:index], ngram_size, vocabulary_size, ignored
        )
        assert set(np.nonzero(row)[0]) == expected
        assert set(row) <= {0.0, -10000.0}


@pytest.mark.parametrize(
    ("text", "ngram_size", "expected"),
    [
        # a b c a b: c followed the first (a, b).
        ([1, 2, 3, 1, 2], 3, {3}),
        ([1, 2, 3, 1, 2], 2, {3}),
        ([1, 2, 3, 1, 2], 1, {1, 2, 3}),
        ([1, 2, 3, 1, 2], 4, set()),
        # A run of one token completes itself.
        ([1, 1, 1], 3, {1}),
        ([1, 1], 3, set()),
        # Two continuations have been used up.
        ([1, 2, 1, 3, 1], 2, {2, 3}),
    ],
)
def test_worked_examples(text, ngram_size, expected):
    token_ids = np.array([[*text, 0, 0]])
    index = np.array(len(text))
    penalty = repeated_ngram_penalty(
        token_ids, index, np.array([0]), ngram_size, vocabulary_size=5
    )
    assert set(np.nonzero(penalty[0])[0]) == expected


def test_ignored_tokens():
    token_ids = np.array([[1, 9, 2, 1, 9]])

    def penalised(index, ignored):
        penalty = repeated_ngram_penalty(
            token_ids, np.array(index), np.array([0]), 2, 10, ignored
        )
        return np.nonzero(penalty[0])[0].tolist()

    # After "1 9 2 1" comes no 9, unless 9 may always repeat.
    assert penalised(4, ()) == [9]
    assert penalised(4, (9,)) == []
    # No rule applies while the last token is an ignored one.
    assert penalised(5, ()) == [2]
    assert penalised(5, (9,)) == []
