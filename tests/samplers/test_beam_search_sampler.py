"""What the search keeps, when it ends, and what it forbids."""

import keras
import keras_hub
import numpy as np
import pytest
from scipy.special import log_softmax

from unilmv2_tf import BeamSearchSampler


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("num_beams", [1, 2, 3, 5])
def test_scores_are_those_of_the_texts(
    make_model, search, num_beams, length_penalty
):
    model = make_model(5, vocabulary_size=7, seed=num_beams)
    sampler = BeamSearchSampler(
        num_beams,
        length_penalty,
        num_return_sequences=num_beams,
        return_scores=True,
    )
    outputs = search(sampler, model, np.zeros((5, 6), "int32"), None, (0, 3))
    ids = outputs["decoder_token_ids"].reshape(5, num_beams, 6)
    scores = outputs["scores"].reshape(5, num_beams)
    for row, beam in np.ndindex(5, num_beams):
        tokens = ids[row, beam].tolist()
        ends = [i for i, token in enumerate(tokens) if token in (0, 3)]
        tokens = tokens[: ends[0] + 1] if ends else tokens
        expected = model.log_prob(row, (), tokens)
        expected /= ((5 + len(tokens)) / 6) ** length_penalty
        assert scores[row, beam] == pytest.approx(expected, rel=1e-4)
    assert (np.diff(scores, axis=1) <= 0).all()


def greedy(model, row, max_length, stop_token_id):
    tokens, text = [], 1
    while len(tokens) < max_length and stop_token_id not in tokens:
        tokens.append(int(model.log_probs[row, text].argmax()))
        text = model.read(text, tokens[-1])
    return tokens


def test_one_beam_is_greedy(make_model, search):
    model = make_model(8, vocabulary_size=5, seed=0)
    ids = search(BeamSearchSampler(1), model, np.zeros((8, 6), "int32"))
    for row in range(8):
        expected = greedy(model, row, 6, 0)
        assert ids[row].tolist() == expected + [0] * (6 - len(expected))


def test_without_stop_token_it_is_the_search_of_keras_hub(make_model, search):
    model = make_model(8, vocabulary_size=9, seed=1)
    prompt = np.zeros((8, 6), "int32")
    # KerasHub takes the texts that go on at the length, as we do then.
    expected = search(
        keras_hub.samplers.BeamSampler(4), model, prompt, None, None
    )
    ids = search(BeamSearchSampler(4), model, prompt, None, None)
    np.testing.assert_array_equal(ids, expected)


def test_an_ended_hypothesis_is_kept(make_model, search):
    # A text that ends at once is worth 0.4; beams of texts that go on push
    # its continuations out, and each of those is worth less in the end.
    model = make_model(1, 3, seed=0)
    model.log_probs[:] = np.log(1 / 3)
    model.log_probs[0, 1] = np.log([0.4, 0.3, 0.3])
    for num_beams in (1, 2, 3):
        sampler = BeamSearchSampler(num_beams, return_scores=True)
        outputs = search(sampler, model, np.zeros((1, 5), "int32"))
        assert outputs["decoder_token_ids"].tolist() == [[0, 0, 0, 0, 0]]
        assert outputs["scores"][0] == pytest.approx(np.log(0.4))


def test_length_penalty_favours_longer_texts(make_model, search):
    model = make_model(30, vocabulary_size=4, seed=3)
    lengths = []
    for length_penalty in (0.0, 1.0, 3.0):
        ids = search(
            BeamSearchSampler(256, length_penalty),
            model,
            np.zeros((30, 4), "int32"),
        )
        lengths.append((ids > 0).sum(axis=1))
    assert (lengths[0] <= lengths[1]).all() and (lengths[1] <= lengths[2]).all()
    assert lengths[0].sum() < lengths[1].sum() < lengths[2].sum()


@pytest.mark.parametrize("min_length", [1, 3, 6, 9])
def test_minimum_length(make_model, search, min_length):
    model = make_model(10, vocabulary_size=4, seed=4)
    model.log_probs = log_softmax(model.log_probs + [5, 0, 0, 0], axis=-1)
    ids = search(
        BeamSearchSampler(3, min_length=min_length),
        model,
        np.zeros((10, 6), "int32"),
    )
    assert ((ids > 0).sum(axis=1) == min(min_length, 6)).all()


def test_search_ends_when_nothing_can_overtake(make_model, search):
    model = make_model(4, vocabulary_size=4, seed=5)
    model.log_probs = log_softmax(model.log_probs + [30, 0, 0, 0], axis=-1)
    ids = search(BeamSearchSampler(3), model, np.zeros((4, 50), "int32"))
    assert not ids.any()
    assert model.num_calls == 1
    model.num_calls = 0
    search(
        BeamSearchSampler(3, min_length=4), model, np.zeros((4, 50), "int32")
    )
    assert model.num_calls == 5
    model.num_calls = 0
    search(BeamSearchSampler(3), model, np.zeros((4, 9), "int32"), None, None)
    assert model.num_calls == 9


def test_examples_of_a_batch_are_independent(make_model, search):
    model = make_model(6, vocabulary_size=6, seed=7)
    sampler = BeamSearchSampler(3, 0.7, return_scores=True)
    together = search(sampler, model, np.zeros((6, 7), "int32"))
    for row in range(6):
        one = make_model(1, 6, seed=0)
        one.log_probs = model.log_probs[row : row + 1]
        alone = search(sampler, one, np.zeros((1, 7), "int32"))
        for name, values in together.items():
            np.testing.assert_allclose(alone[name][0], values[row], rtol=1e-5)


def repeated_ngrams(tokens, size, ignored):
    ngrams = [tuple(tokens[i : i + size]) for i in range(len(tokens))]
    ngrams = [ngram for ngram in ngrams if len(ngram) == size]
    return {
        ngram
        for ngram in ngrams
        if ngrams.count(ngram) > 1 and not set(ngram) & set(ignored)
    }


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("ignored", [(), (1, 2)])
def test_no_ngram_is_repeated(make_model, search, size, ignored):
    num_rows, vocabulary_size, max_length = 8, 14, 12
    # Bigrams that would like to run in circles.
    rng = np.random.default_rng(size)
    model = make_model(num_rows, vocabulary_size, seed=size)
    model.read = lambda text, token: token
    logits = rng.normal(0, 4, model.log_probs.shape)
    logits[..., 0] -= 20
    model.log_probs = log_softmax(logits, axis=-1)
    prompt = np.zeros((num_rows, max_length), "int32")
    free = search(BeamSearchSampler(3), model, prompt)
    sampler = BeamSearchSampler(
        3, no_repeat_ngram_size=size, ignored_token_ids=ignored
    )
    bound = search(sampler, model, prompt)
    assert any(repeated_ngrams(ids.tolist(), size, ignored) for ids in free)
    for ids in bound:
        assert not repeated_ngrams(ids.tolist(), size, ignored)
    if ignored and size == 1:
        # They do occur again.
        counts = [np.isin(ids, ignored).sum() for ids in bound]
        assert max(counts) > 2


def test_ngrams_of_the_prefix_do_not_count(make_model, search):
    model = make_model(1, 3, seed=0)
    model.read = lambda text, token: token
    model.log_probs[:] = np.log([0.1, 0.2, 0.7])
    for max_length in (6, 7):
        prompt = np.where(np.arange(max_length) < 3, 2, 0)[None]
        sampler = BeamSearchSampler(2, no_repeat_ngram_size=3)
        ids = search(sampler, model, prompt, prompt > 0)
        # Three of it anew, and not a fourth.
        assert (ids == 2).all() == (max_length == 6)


def test_temperature_flattens(make_model, search):
    model = make_model(4, vocabulary_size=5, seed=8)
    sampler = BeamSearchSampler(625, temperature=4.0, return_scores=True)
    outputs = search(sampler, model, np.zeros((4, 4), "int32"))
    model.log_probs = log_softmax(model.log_probs / 4.0, axis=-1)
    plain = BeamSearchSampler(625, return_scores=True)
    expected = search(plain, model, np.zeros((4, 4), "int32"))
    np.testing.assert_array_equal(
        outputs["decoder_token_ids"], expected["decoder_token_ids"]
    )
    np.testing.assert_allclose(outputs["scores"], expected["scores"], rtol=1e-4)


def test_prompt_keeps_its_type_and_shape(make_model, search):
    model = make_model(2, vocabulary_size=4, seed=9)
    for dtype in ("int32", "int64"):
        prompt = np.zeros((2, 3), dtype)
        ids = search(BeamSearchSampler(3), model, prompt)
        assert (ids.shape, ids.dtype) == ((2, 3), dtype)
        ids = search(
            BeamSearchSampler(3, num_return_sequences=2), model, prompt
        )
        assert (ids.shape, ids.dtype) == ((2, 2, 3), dtype)


def test_config_round_trip():
    sampler = BeamSearchSampler(
        num_beams=7,
        length_penalty=0.6,
        min_length=2,
        no_repeat_ngram_size=3,
        ignored_token_ids=[np.int64(5), 9],
        num_return_sequences=4,
        return_scores=True,
        temperature=1.5,
        forbidden_token_ids=[4, (5, np.int64(6))],
    )
    config = keras.saving.serialize_keras_object(sampler)
    restored = keras.saving.deserialize_keras_object(config)
    assert isinstance(restored, BeamSearchSampler)
    assert restored.get_config() == sampler.get_config()
    assert restored.get_config() == {
        "num_beams": 7,
        "length_penalty": 0.6,
        "min_length": 2,
        "no_repeat_ngram_size": 3,
        "ignored_token_ids": [5, 9],
        "num_return_sequences": 4,
        "return_scores": True,
        "forbidden_token_ids": [[4], [5, 6]],
        "num_groups": 1,
        "diversity_penalty": 0.0,
        "temperature": 1.5,
    }


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_beams", 0),
        ("length_penalty", -0.5),
        ("min_length", -1),
        ("no_repeat_ngram_size", -2),
        ("num_return_sequences", 0),
        ("num_groups", 0),
        ("diversity_penalty", -1.0),
    ],
)
def test_bad_arguments(argument, value):
    with pytest.raises(ValueError, match=rf"`{argument}`.*{argument}={value}"):
        BeamSearchSampler(**{argument: value})


def test_no_more_sequences_than_beams():
    with pytest.raises(
        ValueError, match=r"num_return_sequences=4, num_beams=3"
    ):
        BeamSearchSampler(num_beams=3, num_return_sequences=4)
