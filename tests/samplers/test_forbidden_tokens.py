"""Tokens and sequences that no text may have."""

import itertools

import numpy as np
import pytest

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf.samplers.token_rules import forbidden_token_penalty


def contains(text, sequence):
    size = len(sequence)
    return any(tuple(text[i : i + size]) == sequence for i in range(len(text)))


def test_penalty_by_brute_force():
    rng = np.random.default_rng(0)
    forbidden = ((2,), (1, 3), (3, 3), (0, 1, 2), (1, 1, 1, 0))
    token_ids = rng.integers(0, 4, (64, 7))
    for index in range(7):
        penalty = np.asarray(
            forbidden_token_penalty(token_ids, np.array(index), forbidden, 5)
        )
        for row, token in np.ndindex(64, 5):
            text = (*token_ids[row, :index].tolist(), token)
            completes = any(
                text[-len(sequence) :] == sequence for sequence in forbidden
            )
            assert penalty[row, token] == (-10000 if completes else 0)


@pytest.mark.parametrize("forbidden", [(3,), ((1, 2), 3), ((1, 1, 2), (2, 1))])
def test_the_best_text_of_those_that_are_allowed(make_model, search, forbidden):
    model = make_model(20, vocabulary_size=4, seed=7)
    sampler = BeamSearchSampler(
        64, forbidden_token_ids=forbidden, return_scores=True
    )
    outputs = search(
        sampler, model, np.zeros((20, 4), "int32"), stop_token_ids=None
    )
    sequences = [
        entry if isinstance(entry, tuple) else (entry,) for entry in forbidden
    ]
    allowed = [
        text
        for text in itertools.product(range(4), repeat=4)
        if not any(contains(text, sequence) for sequence in sequences)
    ]
    for row in range(20):
        scores = {text: model.log_prob(row, (), text) for text in allowed}
        best = max(scores, key=scores.get)
        assert tuple(outputs["decoder_token_ids"][row].tolist()) == best
        assert outputs["scores"][row] == pytest.approx(scores[best], rel=1e-4)


def test_a_prefix_counts_as_what_stands_before(make_model, search):
    model = make_model(8, vocabulary_size=4, seed=8)
    prompt = np.zeros((8, 3), "int32")
    prompt[:, 0] = 1
    sampler = BeamSearchSampler(4, forbidden_token_ids=((1, 2), (1, 3)))
    ids = search(sampler, model, prompt, prompt > 0, stop_token_ids=None)
    assert set(ids[:, 1]) <= {0, 1}


@pytest.mark.parametrize("forbidden", [((),), (-1,), ("fox",), (1.5,)])
def test_bad_ids(forbidden):
    with pytest.raises(ValueError, match="`forbidden_token_ids` must hold"):
        BeamSearchSampler(forbidden_token_ids=forbidden)


def test_ids_beyond_the_vocabulary(make_model, search):
    model = make_model(1, vocabulary_size=4, seed=0)
    sampler = BeamSearchSampler(2, forbidden_token_ids=(4,))
    with pytest.raises(ValueError, match="below the vocabulary size"):
        search(sampler, model, np.zeros((1, 2), "int32"))
