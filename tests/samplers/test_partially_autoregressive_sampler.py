"""Several tokens a pass against greedy decoding."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import PartiallyAutoregressiveSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer

MAX_LENGTH = 9


def random_task(seed, **kwargs):
    """In double precision no two tokens are equally probable."""
    sizes = {"num_relative_buckets": 8, "dtype": "float64", **kwargs}
    task = UniLMv2Seq2SeqLM(
        UniLMv2Backbone(
            12, 1, 2, 8, 12, max_sequence_length=16, max_relative_distance=6,
            **sizes,
        ),
        pseudo_token_id=4,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    for weight in sorted(task.trainable_weights, key=lambda w: w.path):
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return task


def random_inputs(seed, num_rows=6):
    rng = np.random.default_rng(seed)
    source_mask = np.arange(7) < rng.integers(1, 8, (num_rows, 1))
    prefix_mask = np.arange(MAX_LENGTH) < rng.integers(0, 6, (num_rows, 1))
    inputs = {
        "encoder_token_ids": rng.integers(5, 12, (num_rows, 7)) * source_mask,
        "encoder_padding_mask": source_mask,
        "decoder_token_ids": rng.integers(5, 12, (num_rows, MAX_LENGTH))
        * prefix_mask,
        "decoder_padding_mask": prefix_mask,
    }
    return {name: x.astype("int32") for name, x in inputs.items()}


def generate(task, inputs, sampler, stop_token_ids=(7, 9), **kwargs):
    task.compile(sampler=sampler, **kwargs)
    return task.generate(inputs, stop_token_ids=stop_token_ids)


def assert_same_texts(outputs, expected):
    for name in ("decoder_token_ids", "decoder_padding_mask"):
        np.testing.assert_array_equal(outputs[name], expected[name])


@pytest.mark.parametrize("block_size", [1, 2, 4, 16])
@pytest.mark.parametrize("num_relative_buckets", [8, 0])
def test_is_greedy_decoding_token_for_token(num_relative_buckets, block_size):
    """With prefixes of all lengths, and texts that end at any time."""
    seed = block_size + num_relative_buckets
    task = random_task(seed, num_relative_buckets=num_relative_buckets)
    inputs = random_inputs(seed)
    sampler = PartiallyAutoregressiveSampler(block_size, return_num_passes=True)
    for stop_token_ids in (None, (7, 9)):
        expected, outputs = (
            generate(task, inputs, chosen, stop_token_ids, run_eagerly=True)
            for chosen in ("greedy", sampler)
        )
        assert_same_texts(outputs, expected)
        num_tokens = expected["decoder_padding_mask"].sum(axis=1)
        assert (outputs["num_passes"] <= num_tokens).all()
        assert (outputs["num_passes"] * block_size >= num_tokens).all()
        # What is dictated needs no guessing.
        num_forced = inputs["decoder_padding_mask"].sum(axis=1)
        most = np.ceil(num_forced / block_size) + num_tokens - num_forced
        assert (outputs["num_passes"] <= most).all()


def test_a_prompt_may_dictate_any_token():
    task, inputs = random_task(3), random_inputs(3)
    rng = np.random.default_rng(0)
    inputs["decoder_padding_mask"] = rng.integers(0, 2, (6, MAX_LENGTH))
    inputs["decoder_token_ids"] = rng.integers(5, 12, (6, MAX_LENGTH))
    expected = generate(task, inputs, "greedy", None, run_eagerly=True)
    sampler = PartiallyAutoregressiveSampler(4)
    outputs = generate(task, inputs, sampler, None, run_eagerly=True)
    assert_same_texts(outputs, expected)


def test_a_batch_is_its_rows_one_by_one():
    task, inputs = random_task(4), random_inputs(4)
    sampler = PartiallyAutoregressiveSampler(3, 0.2, return_num_passes=True)
    outputs = generate(task, inputs, sampler, run_eagerly=True)
    assert len(set(outputs["num_passes"].tolist())) > 1
    for row in range(6):
        single = {name: x[row : row + 1] for name, x in inputs.items()}
        alone = generate(task, single, sampler, run_eagerly=True)
        for name, x in outputs.items():
            np.testing.assert_array_equal(alone[name][0], x[row])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_in_a_graph_and_by_xla(dtype):
    task, inputs = random_task(5, dtype=dtype), random_inputs(5)
    sampler = PartiallyAutoregressiveSampler(4, 0.9, return_num_passes=True)
    expected = generate(task, inputs, sampler, run_eagerly=True)
    modes = [False, True] if dtype == "float32" else [False]
    for jit_compile in modes:
        outputs = generate(task, inputs, sampler, jit_compile=jit_compile)
        assert_same_texts(outputs, expected)
        np.testing.assert_array_equal(
            outputs["num_passes"], expected["num_passes"]
        )


def test_a_graph_takes_any_batch():
    task, inputs = random_task(6), random_inputs(6)
    task.compile(sampler=PartiallyAutoregressiveSampler(4), jit_compile=False)
    whole = task.generate(inputs, stop_token_ids=(7,))
    parts = task.generate(inputs, stop_token_ids=(7,), batch_size=4)
    assert_same_texts(parts, whole)
    (function,) = task.generate_function.functions.values()
    assert function.experimental_get_tracing_count() == 1


class Decoder:
    """A `next` whose logits are given: a pass for each of them."""

    def __init__(self, verified, drafted):
        self.passes = iter(zip(verified, drafted))
        self.seen = []

    def start_blocks(self, cache, block_size):
        return ()

    def block_step(self, window, cache, start, num_guesses):
        self.seen.append(
            (np.asarray(window).tolist(), int(start[0]), int(num_guesses[0]))
        )
        verified, drafted = next(self.passes)
        return np.float32([verified]), np.float32([drafted]), cache


def logits(*tokens, second=None, lead=1.0):
    """Of a block; `second` is less probable than the best token by a lead."""
    rows = 10.0 * np.eye(8)[list(tokens)]
    if second is not None:
        rows[:, second] = 10.0 - lead
    return rows


@pytest.mark.parametrize(
    "min_confidence, temperature, is_kept",
    [(1.0, 1.0, False), (0.5, 1.0, False), (0.3, 1.0, True), (0.5, 2.0, True)],
)
def test_guesses_that_are_almost_as_probable(
    min_confidence, temperature, is_kept
):
    """exp(-1) is 0.37; at a temperature of 2 it is exp(-0.5) or 0.61."""
    sampler = PartiallyAutoregressiveSampler(
        3, min_confidence, temperature=temperature
    )
    decoder = Decoder(
        [
            logits(5, 0, 0),
            logits(6, 7, 3, second=2),
            logits(4, 4, 4),
            logits(4, 4, 4),
        ],
        [logits(0, 2, 7), logits(1, 1, 1), logits(1, 1, 1), logits(1, 1, 1)],
    )
    ids = sampler(decoder, np.zeros((1, 4), "int32"))
    # At first nothing is known; then 5, and the drafts 2 and 7.
    assert decoder.seen[:2] == [([[0, 0, 0]], -1, 0), ([[5, 2, 7]], 0, 2)]
    expected = [5, 2, 7, 3] if is_kept else [5, 6, 4, 4]
    assert np.asarray(ids)[0].tolist() == expected
    if not is_kept:
        # The choice that took the place of 2, and what was verified after it.
        assert decoder.seen[2] == ([[6, 7, 3]], 1, 2)


def test_a_text_ends_within_a_block():
    decoder = Decoder(
        [logits(5, 0, 0), logits(6, 3, 7)], [logits(0, 6, 3), logits(1, 1, 1)]
    )
    prompt = np.full((1, 8), 9, "int32")
    ids = PartiallyAutoregressiveSampler(3)(
        decoder, prompt, stop_token_ids=(3,)
    )
    assert np.asarray(ids)[0].tolist() == [5, 6, 3, 9, 9, 9, 9, 9]
    assert len(decoder.seen) == 2


@pytest.fixture(scope="module")
def counting():
    """A model that has learned to go on counting, in steps of any size."""
    keras.utils.set_random_seed(0)
    letters = list("abcdefgh")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    task = UniLMv2Seq2SeqLM(
        UniLMv2Backbone(13, 1, 2, 32, 64, dropout=0.0, max_sequence_length=20),
        UniLMv2Seq2SeqLMPreprocessor(
            UniLMv2Tokenizer([*special, *letters]),
            encoder_sequence_length=4,
            decoder_sequence_length=14,
            target_mask_rate=0.0,
            block_probability=0.5,
            seed=1,
        ),
    )
    task.compile(optimizer=keras.optimizers.Adam(3e-3), label_smoothing=0.0)
    texts = {
        letters[i]: " ".join(letters[(i + j) % 8] for j in range(12))
        for i in range(8)
    }
    pairs = {
        "encoder_text": [*texts] * 64,
        "decoder_text": [*texts.values()] * 64,
    }
    task.fit(pairs, batch_size=32, epochs=16, verbose=0)
    return task, texts


def test_passes_fall_where_the_text_is_easy(counting):
    task, texts = counting
    num_passes = {}
    for block_size in (1, 2, 4):
        sampler = PartiallyAutoregressiveSampler(
            block_size, return_num_passes=True
        )
        task.compile(sampler=sampler)
        outputs = task.generate(list(texts))
        assert outputs["generated_text"] == list(texts.values())
        num_passes[block_size] = np.mean(outputs["num_passes"])
    # Twelve letters and the end.
    assert num_passes[1] == 13
    assert num_passes[2] < 9
    assert num_passes[4] < 6


def test_config_round_trip():
    sampler = PartiallyAutoregressiveSampler(3, 0.4, True, temperature=0.7)
    config = keras_hub.samplers.serialize(sampler)
    again = keras_hub.samplers.deserialize(config)
    assert again.get_config() == sampler.get_config()
    assert (again.block_size, again.min_confidence) == (3, 0.4)


def test_mistakes():
    for arguments, message in (
        ({"block_size": 0}, "`block_size`.*positive.*block_size=0"),
        ({"block_size": 1.5}, "`block_size`.*block_size=1.5"),
        ({"min_confidence": 0}, "`min_confidence`.*above 0.*=0"),
        ({"min_confidence": 1.1}, "`min_confidence`.*at most 1.*=1.1"),
    ):
        with pytest.raises(ValueError, match=message):
            PartiallyAutoregressiveSampler(**arguments)

    def one_by_one(prompt, cache, index):
        return tf.zeros((1, 5)), None, cache

    prompt = np.zeros((1, 4), "int32")
    BeamSearchSampler(num_beams=1)(one_by_one, prompt)
    with pytest.raises(ValueError, match=r"`block_step`.*one_by_one.*greedy"):
        PartiallyAutoregressiveSampler()(one_by_one, prompt)
