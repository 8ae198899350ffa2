"""Many texts at once: order, batches, shapes, odd inputs."""

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor


@pytest.fixture(scope="module")
def sources():
    rng = np.random.default_rng(0)
    words = "the a quick lazy brown fox dog cat jumped slept over under".split()
    lengths = rng.permutation(np.arange(12)).tolist()
    return [" ".join(rng.choice(words, length)) for length in lengths]


@pytest.fixture(scope="module")
def model(make_backbone, tokenizer, randomize):
    model = randomize(
        UniLMv2Seq2SeqLM(
            make_backbone(num_layers=1),
            UniLMv2Seq2SeqLMPreprocessor(
                tokenizer, encoder_sequence_length=12, decoder_sequence_length=8
            ),
            sampler=BeamSearchSampler(
                3, length_penalty=0.7, return_scores=True
            ),
        ),
        seed=3,
    )
    return model


def assert_same(outputs, expected):
    assert outputs["generated_text"] == expected["generated_text"]
    np.testing.assert_allclose(
        outputs["scores"], expected["scores"], rtol=1e-4, atol=1e-5
    )


def test_batch_size_changes_nothing(model, sources, monkeypatch):
    expected = [model.generate([source]) for source in sources]
    expected = {
        "generated_text": [x["generated_text"][0] for x in expected],
        "scores": np.array([x["scores"][0] for x in expected]),
    }
    for batch_size in (1, 5, 12, 100):
        num_done = []
        outputs = model.generate(
            sources, batch_size=batch_size, on_batch=num_done.append
        )
        assert_same(outputs, expected)
        assert sum(num_done) == 12 and max(num_done) <= batch_size
    # Whatever the sources are cut to.
    for width in (1, 4):
        monkeypatch.setattr(
            "unilmv2_tf.models.batched_generation.BUCKET_WIDTH", width
        )
        assert_same(model.generate(sources, batch_size=5), expected)


def test_one_trace_for_all_shapes(model, sources):
    for batch_size in (1, 4, 5):
        model.generate(sources, batch_size=batch_size)
    model.generate(sources[0])
    (function,) = model.make_generate_function().functions.values()
    assert function.experimental_get_tracing_count() == 1
    model.generate(sources[0], max_length=5)
    assert len(model.make_generate_function().functions) == 2


def test_prompts_can_be_left_out(model, sources):
    inputs = {
        "encoder_text": sources[:3],
        "decoder_text": ["a fox", "", "the lazy dog"],
    }
    whole = model.generate(inputs)["generated_text"]
    rest = model.generate(inputs, strip_prompt=True)["generated_text"]
    for prefix, text, end in zip(inputs["decoder_text"], whole, rest):
        assert text == f"{prefix} {end}".strip()
    # The caller's dict stays as it was.
    assert inputs["encoder_text"] == sources[:3]


def test_no_sources(model):
    assert model.generate([]) == []
    empty = tf.data.Dataset.from_tensor_slices(["the fox"]).batch(2)
    assert len(model.generate(empty)["generated_text"]) == 1


def test_an_empty_source_among_others(model, sources):
    outputs = model.generate(["", *sources[:4]])
    assert_same(
        {name: x[1:] for name, x in outputs.items()},
        model.generate(sources[:4]),
    )
    alone = model.generate("")
    assert alone["generated_text"] == outputs["generated_text"][0]


def test_a_source_longer_than_its_row_is_cut(model):
    words = "the quick brown fox jumped over a lazy cat and slept under".split()
    # [CLS] and [SEP] take two of the twelve places.
    cut = model.generate(" ".join(words[:10]))
    assert model.generate(" ".join(words)) == cut


def test_targets_beyond_the_position_table(model):
    with pytest.raises(ValueError, match=r"decoder length 29.*`max_length`"):
        model.generate("the fox", max_length=29)


@pytest.mark.parametrize("batch_size", [0, -3, 2.5, "all"])
def test_bad_batch_sizes(model, batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive"):
        model.generate("the fox", batch_size=batch_size)


def test_stop_tokens_without_a_preprocessor(make_backbone):
    task = UniLMv2Seq2SeqLM(make_backbone(), pseudo_token_id=4)
    with pytest.raises(ValueError, match="tuple of ids or `None`"):
        task.generate({})


# === The last ones: other samplers ===


def test_more_beams_than_tokens(model, sources):
    sampler = BeamSearchSampler(40, num_return_sequences=2, return_scores=True)
    model.compile(sampler=sampler, run_eagerly=True)
    outputs = model.generate(sources[:2], max_length=3)
    assert outputs["scores"].shape == (2, 2)
    assert np.isfinite(outputs["scores"]).all()
    assert (outputs["scores"] > -100).all()


def test_a_minimum_beyond_the_longest_text(model, sources):
    model.compile(sampler=BeamSearchSampler(2, min_length=50))
    inputs = model.preprocessor.generate_preprocess(sources[:3])
    outputs = model.generate_step(inputs, stop_token_ids=(3,))
    # Such texts run to their end.
    assert np.asarray(outputs["decoder_padding_mask"]).all()
    assert 3 not in np.asarray(outputs["decoder_token_ids"])
