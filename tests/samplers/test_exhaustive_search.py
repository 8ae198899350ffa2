"""Beam search against all the texts that there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf import BeamSearchSampler


def all_texts(vocabulary_size, length, stop_token_ids, min_length):
    """Every text that ends at a stop token, or is cut off at the length."""
    others = [v for v in range(vocabulary_size) if v not in stop_token_ids]
    for size in range(length):
        for begin in itertools.product(others, repeat=size):
            if size >= min_length:
                yield from ((*begin, stop) for stop in stop_token_ids)
    yield from itertools.product(others, repeat=length)


def exhaustive(model, row, prefix, max_length, stop_token_ids, sampler):
    """All texts with their scores, best first."""
    scores = {}
    for tokens in all_texts(
        model.log_probs.shape[-1],
        max_length - len(prefix),
        stop_token_ids,
        sampler.min_length,
    ):
        divisor = ((5 + len(tokens)) / 6) ** sampler.length_penalty
        log_prob = model.log_prob(row, prefix, tokens)
        scores[tokens] = (log_prob / divisor, log_prob)
    return dict(sorted(scores.items(), key=lambda item: -item[1][0]))


def generated(ids, prefix, stop_token_ids):
    """The tokens after the prefix, stop token included; the rest is 0."""
    tokens = ids[len(prefix) :].tolist()
    for place, token in enumerate(tokens):
        if token in stop_token_ids:
            assert not any(tokens[place + 1 :])
            return tuple(tokens[: place + 1])
    return tuple(tokens)


@settings(deadline=None, max_examples=12)
@given(
    vocabulary_size=st.integers(3, 5),
    max_length=st.integers(1, 4),
    length_penalty=st.sampled_from([0.0, 0.7, 1.0, 2.5]),
    min_length=st.integers(0, 4),
    num_stops=st.integers(1, 2),
    with_prefix=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_enough_beams_find_the_best_of_all_texts(
    make_model,
    search,
    vocabulary_size,
    max_length,
    length_penalty,
    min_length,
    num_stops,
    with_prefix,
    seed,
):
    num_rows = 17
    rng = np.random.default_rng(seed)
    model = make_model(num_rows, vocabulary_size, seed)
    sampler = BeamSearchSampler(
        # As many as there are continuations of open texts.
        num_beams=vocabulary_size**max_length,
        length_penalty=length_penalty,
        min_length=min_length,
        num_return_sequences=vocabulary_size - num_stops,
        return_scores=True,
    )
    prompt = np.zeros((num_rows, max_length), "int32")
    lengths = np.zeros(num_rows, int)
    if with_prefix:
        # Stop tokens among them; at least one token is left to choose.
        lengths = rng.integers(0, max_length, num_rows)
        prompt = rng.integers(0, vocabulary_size, prompt.shape)
    mask = np.arange(max_length) < lengths[:, None]
    prompt = prompt * mask
    # 0 is the last one, as it fills the rest of a text.
    stop_token_ids = (1, 0)[-num_stops:]
    outputs = search(sampler, model, prompt, mask, stop_token_ids)
    for row in range(num_rows):
        prefix = tuple(prompt[row, : lengths[row]].tolist())
        expected = exhaustive(
            model, row, prefix, max_length, stop_token_ids, sampler
        )
        found = [
            generated(ids, prefix, stop_token_ids)
            for ids in np.atleast_2d(outputs["decoder_token_ids"][row])
        ]
        assert len(set(found)) == len(found)
        best = list(expected.values())[: len(found)]
        scores = np.atleast_1d(outputs["scores"][row])
        np.testing.assert_allclose(
            scores, [score for score, _ in best], rtol=1e-4, atol=1e-5
        )
        # Its own score, in case that two texts are nearly equal.
        np.testing.assert_allclose(
            scores, [expected[text][0] for text in found], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            np.atleast_1d(outputs["log_probs"][row]),
            [expected[text][1] for text in found],
            rtol=1e-4,
            atol=1e-5,
        )
        begin = np.atleast_2d(outputs["decoder_token_ids"][row])
        assert (begin[:, : lengths[row]] == prompt[row, : lengths[row]]).all()


@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_long_prefixes_of_unequal_length(make_model, search, length_penalty):
    # Longer than the 5 in the length penalty, and one that fills its row.
    model = make_model(3, vocabulary_size=5, seed=6)
    rng = np.random.default_rng(0)
    lengths = np.array([9, 0, 12])
    mask = np.arange(12) < lengths[:, None]
    prompt = rng.integers(1, 5, (3, 12)) * mask
    sampler = BeamSearchSampler(
        125, length_penalty, no_repeat_ngram_size=4, return_scores=True
    )
    outputs = search(sampler, model, prompt, mask)
    assert np.isfinite(outputs["scores"]).all()
    ids = outputs["decoder_token_ids"]
    np.testing.assert_array_equal(ids[mask], prompt[mask])
    expected = exhaustive(
        model, 0, tuple(prompt[0, :9].tolist()), 12, (0,), sampler
    )
    assert generated(ids[0], prompt[0, :9], (0,)) == next(iter(expected))
    assert outputs["scores"][2] == 0


def test_more_beams_than_tokens(make_model, search):
    model = make_model(2, vocabulary_size=3, seed=10)
    ids = search(BeamSearchSampler(50), model, np.zeros((2, 3), "int32"))
    sampler = BeamSearchSampler()
    for row in range(2):
        expected = exhaustive(model, row, (), 3, (0,), sampler)
        assert generated(ids[row], (), (0,)) == next(iter(expected))
