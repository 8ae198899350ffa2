import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.preprocessing.windows import NO_SCORE
from unilmv2_tf.preprocessing.windows import best_spans
from unilmv2_tf.preprocessing.windows import sliding_windows

LENGTH, STRIDE = 14, 4


def random_rows(tokenizer, seed, sizes=(0, 1, 3, 9, 10, 11, 25, 40, 17)):
    """Windows whose tokens share characters now and then."""
    rng = np.random.default_rng(seed)
    ids, starts, ends = [], [], []
    for size in sizes:
        repeated = np.cumsum(rng.random(size) < 0.6)
        starts.append((10 * repeated).tolist())
        ends.append((10 * repeated + 7).tolist())
        ids.append(rng.integers(5, 30, size).tolist())
    questions = [rng.integers(5, 30, n % 3).tolist() for n in range(len(sizes))]
    values = [tf.ragged.constant(x, tf.int32) for x in (ids, starts, ends)]
    questions = tf.ragged.constant(questions, tf.int32)
    return sliding_windows(questions, values, tokenizer, LENGTH, STRIDE), len(
        sizes
    )


def spans_by_hand(rows, start, end, example, max_length):
    """All spans of a passage, each judged where its context is largest."""
    rows = {key: value.numpy() for key, value in rows.items()}
    judged = {}
    for row in np.flatnonzero(rows["example_index"] == example):
        places = np.flatnonzero(rows["token_starts"][row] >= 0)
        for i in places:
            for j in places[(places >= i) & (places < i + max_length)]:
                context = min(i - places[0], places[-1] - j)
                first = rows["window_start"][row] + i - places[0]
                span = (first, first + j - i)
                if span not in judged or context > judged[span][0]:
                    characters = (
                        rows["token_starts"][row, i],
                        rows["token_ends"][row, j],
                    )
                    score = start[row, i] + end[row, j]
                    judged[span] = (context, score, characters)
    best = {}
    for _, score, characters in judged.values():
        best[characters] = max(score, best.get(characters, NO_SCORE))
    scores = [score for _, score, _ in judged.values()]
    return sorted(best.items(), key=lambda item: -item[1]), scores


@pytest.mark.parametrize("n_best", [1, 7])
@pytest.mark.parametrize("max_length", [1, 3, 30])
def test_equals_brute_force(tokenizer, n_best, max_length):
    rows, batch_size = random_rows(tokenizer, seed=n_best)
    rng = np.random.default_rng(max_length)
    start, end = rng.normal(0, 3, (2, *rows["token_ids"].shape))
    start, end = start.astype("float32"), end.astype("float32")
    found = best_spans(
        rows, tf.constant(start), tf.constant(end), batch_size, STRIDE,
        n_best, max_length,
    )  # fmt: skip
    found = {key: value.numpy() for key, value in found.items()}
    index = rows["example_index"].numpy()
    for example in range(batch_size):
        expected, scores = spans_by_hand(rows, start, end, example, max_length)
        expected = expected[:n_best]
        missing = n_best - len(expected)
        characters = list(zip(found["start"][example], found["end"][example]))
        assert characters == [span for span, _ in expected] + missing * [
            (-1, -1)
        ]
        np.testing.assert_allclose(
            found["score"][example],
            [score for _, score in expected] + missing * [NO_SCORE],
            rtol=1e-6,
        )
        null_score = (start + end)[index == example, 0].min()
        assert found["null_score"][example] == null_score
        total = np.exp(np.array([*scores, null_score], "float64")).sum()
        np.testing.assert_allclose(
            found["probability"][example],
            [np.exp(score) / total for _, score in expected] + missing * [0],
            rtol=1e-4,
        )
        np.testing.assert_allclose(
            found["null_probability"][example],
            np.exp(null_score) / total,
            rtol=1e-4,
        )


def test_every_span_is_judged_in_one_window(tokenizer):
    rows, batch_size = random_rows(tokenizer, seed=3, sizes=(40,))
    # Scores are equal, so that the sum counts spans.
    zeros = tf.zeros(rows["token_ids"].shape)
    found = best_spans(rows, zeros, zeros, batch_size, STRIDE, 1, 2)
    num_spans = 40 + 39
    np.testing.assert_allclose(
        found["probability"], [[1 / (num_spans + 1)]], rtol=1e-5
    )
