"""Groups of beams that keep out of each other's way."""

import numpy as np
import pytest

from unilmv2_tf import BeamSearchSampler


def greedy_groups(model, row, num_groups, max_length, penalty):
    """Groups of one beam, step by step: the text of each."""
    texts = [[] for _ in range(num_groups)]
    states = [1] * num_groups
    for _ in range(max_length):
        counts = np.zeros(model.log_probs.shape[-1])
        for group, text in enumerate(texts):
            if text and text[-1] == 0:
                continue
            scores = model.log_probs[row, states[group]] - penalty * counts
            text.append(int(scores.argmax()))
            counts[text[-1]] += 1
            states[group] = model.read(states[group], text[-1])
    return texts


@pytest.mark.parametrize("penalty", [0.0, 0.5, 3.0, 100.0])
def test_each_group_avoids_what_was_chosen_before(make_model, search, penalty):
    model = make_model(6, vocabulary_size=9, seed=3)
    sampler = BeamSearchSampler(
        num_beams=4,
        num_groups=4,
        diversity_penalty=penalty,
        num_return_sequences=4,
        return_scores=True,
    )
    outputs = search(sampler, model, np.zeros((6, 5), "int32"))
    for row in range(6):
        texts = greedy_groups(model, row, 4, 5, penalty)
        # Scores are the model's own, whatever the choice cost.
        scores = [model.log_prob(row, (), text) for text in texts]
        order = np.argsort(-np.array(scores), kind="stable")
        np.testing.assert_allclose(
            outputs["scores"][row], np.array(scores)[order], rtol=1e-4
        )
        for found, place in zip(outputs["decoder_token_ids"][row], order):
            text = texts[place]
            assert found.tolist() == text + [0] * (5 - len(text))
        if penalty == 100.0:
            assert len({text[0] for text in texts}) == 4


def test_without_penalty_every_group_is_the_same_search(make_model, search):
    model = make_model(4, vocabulary_size=7, seed=4)
    prompt = np.zeros((4, 6), "int32")
    arguments = {"length_penalty": 0.7, "return_scores": True}
    alone = search(
        BeamSearchSampler(3, num_return_sequences=2, **arguments), model, prompt
    )
    grouped = search(
        BeamSearchSampler(6, num_groups=2, num_return_sequences=4, **arguments),
        model,
        prompt,
    )
    for name, expected in alone.items():
        for group in range(2):
            np.testing.assert_allclose(
                grouped[name][:, group::2], expected, rtol=1e-6
            )


def test_one_of_each_group_is_returned(make_model, search):
    model = make_model(5, vocabulary_size=9, seed=5)
    prompt = np.zeros((5, 4), "int32")
    arguments = {"num_groups": 3, "diversity_penalty": 50.0}
    best = search(BeamSearchSampler(6, **arguments), model, prompt)
    outputs = search(
        BeamSearchSampler(6, num_return_sequences=3, **arguments), model, prompt
    )
    np.testing.assert_array_equal(outputs[:, 0], best)
    for texts in outputs:
        assert len(set(texts[:, 0])) == 3


def test_a_prefix_is_forced_in_every_group(make_model, search):
    model = make_model(2, vocabulary_size=9, seed=6)
    prompt = np.array([[5, 6, 0, 0, 0], [7, 0, 0, 0, 0]])
    sampler = BeamSearchSampler(
        4, num_groups=2, diversity_penalty=50.0, num_return_sequences=4
    )
    outputs = search(sampler, model, prompt, prompt > 0)
    assert (outputs[0, :, :2] == [5, 6]).all()
    assert (outputs[1, :, 0] == 7).all()
    assert len(set(outputs[0, :, 2])) > 1


def test_groups_that_do_not_fit():
    with pytest.raises(ValueError, match="num_groups=3, num_beams=4"):
        BeamSearchSampler(4, num_groups=3)
    with pytest.raises(ValueError, match="set `num_groups` to 2 or more"):
        BeamSearchSampler(4, diversity_penalty=1.0)
