"""Generation by the task: the cache, the samplers, strings and modes."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.models import SmoothedCrossEntropy


@pytest.fixture
def model(seq_2_seq_model):
    return seq_2_seq_model


@pytest.fixture
def inputs(seq_2_seq_inputs):
    return seq_2_seq_inputs


def generation_inputs(inputs, max_length=5):
    return {
        "encoder_token_ids": inputs["encoder_token_ids"],
        "encoder_padding_mask": inputs["encoder_padding_mask"],
        "decoder_token_ids": np.zeros((2, max_length), "int32"),
        "decoder_padding_mask": np.zeros((2, max_length), "int32"),
    }


def greedy_by_hand(model, inputs, max_length, prefix=(), stop_token_id=None):
    """The whole model again for each token of one row."""
    ids = list(prefix)
    while len(ids) < max_length:
        slots = np.arange(1, len(ids) + 2)[None]
        logits = model(
            {
                "encoder_token_ids": inputs["encoder_token_ids"],
                "encoder_padding_mask": inputs["encoder_padding_mask"],
                "decoder_token_ids": np.array([[*ids, 0]]),
                "decoder_padding_mask": np.ones_like(slots),
                "pseudo_token_ids": np.full_like(slots, 4),
                "decoder_steps": slots,
            }
        )
        ids.append(int(np.argmax(logits[0, -1])))
        if ids[-1] == stop_token_id:
            break
    return ids


def single(inputs, row):
    return {name: x[row : row + 1] for name, x in inputs.items()}


@pytest.mark.parametrize("id_dtype", ["int32", "int64"])
def test_greedy_equals_the_whole_model_again(model, inputs, id_dtype):
    x = generation_inputs(inputs)
    x = {name: ids.astype(id_dtype) for name, ids in x.items()}
    model.compile(sampler="greedy", run_eagerly=True)
    outputs = model.generate(x, stop_token_ids=None)
    for row in range(2):
        expected = greedy_by_hand(model, single(inputs, row), 5)
        assert outputs["decoder_token_ids"][row].tolist() == expected
    assert outputs["decoder_padding_mask"].all()


def test_after_the_stop_token_the_padding_stands(model, inputs):
    stop = greedy_by_hand(model, single(inputs, 0), 5)[1]
    x = generation_inputs(inputs)
    x["decoder_token_ids"] = x["decoder_token_ids"] + 17
    for sampler in ("greedy", BeamSearchSampler(num_beams=1)):
        model.compile(sampler=sampler, run_eagerly=True)
        outputs = model.generate(x, stop_token_ids=(stop,))
        for row in range(2):
            ids = greedy_by_hand(
                model, single(inputs, row), 5, stop_token_id=stop
            )
            padding = [17] * (5 - len(ids))
            assert outputs["decoder_token_ids"][row].tolist() == ids + padding
            mask = outputs["decoder_padding_mask"][row]
            assert mask.sum() == len(ids)


def test_prefixes_of_different_lengths(model, inputs):
    x = generation_inputs(inputs)
    x["decoder_token_ids"][0, :3] = prefix = [9, 9, 6]
    x["decoder_padding_mask"][0, :3] = 1
    for sampler in ("greedy", BeamSearchSampler(num_beams=1)):
        model.compile(sampler=sampler, run_eagerly=True)
        # A stop token in a prefix stops nothing.
        ids = model.generate(x, stop_token_ids=(9,))["decoder_token_ids"]
        for row, begin in enumerate((prefix, [])):
            expected = greedy_by_hand(model, single(inputs, row), 5, begin, 9)
            assert ids[row, : len(expected)].tolist() == expected


def test_samplers_of_keras_hub(model, inputs):
    x = generation_inputs(inputs)
    model.compile(sampler="greedy", run_eagerly=True)
    greedy = model.generate(x, stop_token_ids=None)["decoder_token_ids"]
    samplers = keras_hub.samplers
    for sampler in (
        samplers.BeamSampler(num_beams=1),
        samplers.TopKSampler(k=1, seed=1),
        BeamSearchSampler(num_beams=1),
    ):
        model.compile(sampler=sampler, run_eagerly=True)
        ids = model.generate(x, stop_token_ids=None)["decoder_token_ids"]
        np.testing.assert_array_equal(ids, greedy)
    beams = []
    for sampler in (
        "beam",
        samplers.BeamSampler(num_beams=5),
        BeamSearchSampler(num_beams=5),
    ):
        model.compile(sampler=sampler, run_eagerly=True)
        # Without a stop token the two searches are the same.
        beams.append(model.generate(x, stop_token_ids=None))
    for other in beams[1:]:
        np.testing.assert_array_equal(
            other["decoder_token_ids"], beams[0]["decoder_token_ids"]
        )
    drawn = []
    for seed in (1, 1, 2):
        sampler = samplers.TopKSampler(k=8, seed=seed, temperature=5.0)
        model.compile(sampler=sampler, run_eagerly=True)
        drawn.append(model.generate(x, stop_token_ids=None))
    ids = [outputs["decoder_token_ids"] for outputs in drawn]
    np.testing.assert_array_equal(ids[0], ids[1])
    assert (ids[0] != ids[2]).any()


def test_strings_in_strings_out(seq_2_seq_lm, pairs, randomize):
    randomize(seq_2_seq_lm, seed=3)
    seq_2_seq_lm.compile(run_eagerly=True)
    sources = pairs["encoder_text"]
    texts = seq_2_seq_lm.generate(sources)
    assert [type(text) for text in texts] == [str] * 3
    assert seq_2_seq_lm.generate(sources[0]) == texts[0]
    assert seq_2_seq_lm.generate({"encoder_text": sources}) == texts
    dataset = tf.data.Dataset.from_tensor_slices(sources).batch(2)
    assert seq_2_seq_lm.generate(dataset) == texts
    short = seq_2_seq_lm.generate(sources, max_length=2)
    assert all(len(text.split()) <= 2 for text in short)
    begun = seq_2_seq_lm.generate(
        {"encoder_text": sources, "decoder_text": ["a fox", "the", ""]}
    )
    assert begun[0].startswith("a fox") and begun[1].startswith("the")
    assert begun[2] == texts[2]


def test_several_sequences_with_scores(seq_2_seq_lm, pairs, randomize):
    randomize(seq_2_seq_lm, seed=3)
    sources = pairs["encoder_text"]
    seq_2_seq_lm.compile(
        sampler=BeamSearchSampler(4, num_return_sequences=3),
        run_eagerly=True,
    )
    texts = seq_2_seq_lm.generate(sources)
    assert [len(candidates) for candidates in texts] == [3, 3, 3]
    seq_2_seq_lm.compile(
        sampler=BeamSearchSampler(
            4, num_return_sequences=3, return_scores=True
        ),
        run_eagerly=True,
    )
    outputs = seq_2_seq_lm.generate(sources)
    assert outputs["generated_text"] == texts
    assert outputs["scores"].shape == (3, 3)
    assert (np.diff(outputs["scores"], axis=1) <= 0).all()
    np.testing.assert_array_equal(outputs["scores"], outputs["log_probs"])


@pytest.mark.slow
def test_modes_of_execution_agree(make_backbone, randomize, inputs):
    model = randomize(
        UniLMv2Seq2SeqLM(make_backbone(), pseudo_token_id=4), seed=5
    )
    x = generation_inputs(inputs)
    sampler = BeamSearchSampler(
        num_beams=3,
        length_penalty=0.7,
        min_length=1,
        no_repeat_ngram_size=2,
        return_scores=True,
    )
    outputs = []
    for mode in (
        {"run_eagerly": True},
        {"jit_compile": False},
        {"jit_compile": True},
    ):
        model.compile(sampler=sampler, **mode)
        outputs.append(model.generate(x, stop_token_ids=(8, 11)))

    # As in an export: nothing is known of the shapes.
    @tf.function(
        input_signature=[
            {name: tf.TensorSpec((None, None), tf.int32) for name in x}
        ]
    )
    def unknown_shapes(x):
        return model.generate_step(x, stop_token_ids=(8, 11))

    outputs.append(
        unknown_shapes({name: ids.astype("int32") for name, ids in x.items()})
    )
    for other in outputs[1:]:
        for name in ("decoder_token_ids", "decoder_padding_mask"):
            np.testing.assert_array_equal(other[name], outputs[0][name])
        for name in ("scores", "log_probs"):
            np.testing.assert_allclose(
                other[name], outputs[0][name], rtol=1e-5, atol=1e-5
            )


def test_neighbors_and_padding_change_no_output(model, inputs):
    x = generation_inputs(inputs)
    model.compile(
        sampler=BeamSearchSampler(4, length_penalty=0.7, return_scores=True),
        run_eagerly=True,
    )
    together = model.generate(x, stop_token_ids=(8, 11, 6))
    padded = {
        name: np.pad(ids, ((0, 1), (0, 4 if "encoder" in name else 0)))
        for name, ids in x.items()
    }
    padded["encoder_padding_mask"][2, :2] = 1
    padded = model.generate(padded, stop_token_ids=(8, 11, 6))
    for name, values in together.items():
        np.testing.assert_allclose(padded[name][:2], values, rtol=1e-6)
        for row in range(2):
            alone = model.generate(single(x, row), stop_token_ids=(8, 11, 6))
            np.testing.assert_allclose(alone[name][0], values[row], rtol=1e-6)


@pytest.mark.slow
def test_it_generates_what_it_has_learned(make_backbone, seq_2_seq_lm, pairs):
    preprocessor = seq_2_seq_lm.preprocessor
    task = UniLMv2Seq2SeqLM(
        make_backbone(
            num_layers=1, hidden_dim=32, intermediate_dim=32, dropout=0.0
        ),
        preprocessor,
    )
    x, y, weights = preprocessor(pairs)
    # The targets as they will be read, without imperfect prefixes.
    x["decoder_token_ids"] = y
    x["pseudo_token_ids"] = 4 * x["decoder_padding_mask"]
    optimizer = keras.optimizers.Adam(0.01)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = SmoothedCrossEntropy(0.0)(y, task(x), weights)
        variables = task.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        optimizer.apply(gradients, variables)
        return loss

    optimizer.build(task.trainable_variables)
    for _ in range(120):
        loss = step()
    assert loss < 0.1
    task.compile(sampler=BeamSearchSampler(num_beams=2))
    assert task.generate(pairs["encoder_text"]) == pairs["decoder_text"]
    task.compile(sampler="greedy", run_eagerly=True)
    assert task.generate(pairs["encoder_text"][1]) == pairs["decoder_text"][1]


def test_lengths_fit_the_position_table(seq_2_seq_lm):
    seq_2_seq_lm.compile(run_eagerly=True)
    with pytest.raises(ValueError, match="decoder length 29"):
        seq_2_seq_lm.generate("the fox", max_length=29)


def test_generation_needs_a_pseudo_token_id(make_backbone, inputs):
    task = UniLMv2Seq2SeqLM(make_backbone())
    task.compile(run_eagerly=True)
    # It can be trained without.
    assert task(inputs).shape == (2, 6, 19)
    with pytest.raises(ValueError, match="needs `pseudo_token_id`"):
        task.generate(generation_inputs(inputs), stop_token_ids=None)
