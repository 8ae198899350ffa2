"""The half of the preprocessor that serves generation."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor

UNK, SEP, MASK = 1, 3, 4


@pytest.fixture(scope="module")
def make(tokenizer):
    @functools.cache
    def make(tokenizer=tokenizer):
        return UniLMv2Seq2SeqLMPreprocessor(
            tokenizer, encoder_sequence_length=8, decoder_sequence_length=6
        )

    return make


def letters(*ids):
    return " ".join(chr(ord("a") + i - 5) for i in ids)


def one_of(x, i):
    return {key: value[i] for key, value in x.items()}


def test_generate_preprocess(make):
    preprocessor = make()
    sources = [letters(*range(5, 15)), letters(7), ""]
    expected = {
        "encoder_token_ids": [
            [2, 5, 6, 7, 8, 9, 10, 3],
            [2, 7, 3, 0, 0, 0, 0, 0],
            [2, 3, 0, 0, 0, 0, 0, 0],
        ],
        "encoder_padding_mask": [
            [1] * 8,
            [1, 1, 1, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0, 0, 0],
        ],
        "decoder_token_ids": [[0] * 6] * 3,
        "decoder_padding_mask": [[0] * 6] * 3,
    }

    def lists(x):
        return {key: value.numpy().tolist() for key, value in x.items()}

    for x in (sources, tf.constant(sources), {"encoder_text": sources}):
        assert lists(preprocessor.generate_preprocess(x)) == expected
    for i, source in enumerate(sources):
        assert lists(preprocessor.generate_preprocess(source)) == one_of(
            expected, i
        )
    dataset = tf.data.Dataset.from_tensor_slices(sources).batch(3)
    (batch,) = dataset.map(preprocessor.generate_preprocess)
    assert lists(batch) == expected


def test_generate_preprocess_with_prefixes_and_lengths(make):
    x = {
        "encoder_text": [letters(*range(5, 15)), letters(7)],
        "decoder_text": [letters(8, 9), letters(*range(5, 15))],
    }
    preprocessor = make()
    for name in ("decoder_sequence_length", "sequence_length"):
        outputs = preprocessor.generate_preprocess(
            x, encoder_sequence_length=5, **{name: 4}
        )
        assert {k: v.numpy().tolist() for k, v in outputs.items()} == {
            "encoder_token_ids": [[2, 5, 6, 7, 3], [2, 7, 3, 0, 0]],
            "encoder_padding_mask": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]],
            "decoder_token_ids": [[8, 9, 0, 0], [5, 6, 7, 8]],
            "decoder_padding_mask": [[1, 1, 0, 0], [1, 1, 1, 1]],
        }


# Words that begin with a suffix, unknown words, special tokens within.
GENERATED = [
    [5, 31, 32, SEP, 0, 0],
    [31, 5, UNK, 6, SEP, 9],
    [2, 7, MASK, 8, 35, 9],
    [SEP, 0, 0, 0, 0, 0],
    [5, 0, 6, 7, 8, 9],
    [0, 0, 0, 0, 0, 0],
]
MASKS = [
    [1, 1, 1, 1, 0, 0],
    [1, 1, 1, 1, 1, 0],
    [1, 1, 1, 1, 1, 1],
    [1, 0, 0, 0, 0, 0],
    [1, 1, 1, 0, 0, 0],
    [0, 0, 0, 0, 0, 0],
]
TEXTS = ["axy", "##x a [UNK] b", "c d e", "", "a b", ""]


def test_generate_postprocess(make, own_pseudo_token):
    preprocessor = make(own_pseudo_token)
    x = {
        "decoder_token_ids": np.array(GENERATED),
        "decoder_padding_mask": np.array(MASKS),
    }
    assert preprocessor.generate_postprocess(x) == TEXTS
    tensors = {key: tf.constant(value) for key, value in x.items()}
    assert preprocessor.generate_postprocess(tensors) == TEXTS
    for i, text in enumerate(TEXTS):
        assert preprocessor.generate_postprocess(one_of(x, i)) == text
    nothing = {key: value[:0] for key, value in x.items()}
    assert preprocessor.generate_postprocess(nothing) == []


def test_generate_postprocess_of_several_sequences_with_scores(
    make, own_pseudo_token
):
    x = {
        "decoder_token_ids": np.reshape(GENERATED, (2, 3, 6)),
        "decoder_padding_mask": np.reshape(MASKS, (2, 3, 6)).astype(bool),
    }
    preprocessor = make(own_pseudo_token)
    expected = [TEXTS[:3], TEXTS[3:]]
    assert preprocessor.generate_postprocess(x) == expected
    scores = {"scores": np.ones((2, 3)), "log_probs": np.zeros((2, 3))}
    outputs = preprocessor.generate_postprocess({**x, **scores})
    assert outputs.pop("generated_text") == expected
    assert outputs == scores


def test_detokenize_in_graph_equals_generate_postprocess(
    make, own_pseudo_token
):
    graph = tf.function(make(own_pseudo_token).detokenize_in_graph)
    for mask in (tf.constant(MASKS), tf.cast(MASKS, tf.bool)):
        texts = graph(tf.constant(GENERATED), mask)
        assert [text.decode() for text in texts.numpy()] == TEXTS


def test_detokenize_in_graph_on_random_ids(make, own_pseudo_token):
    preprocessor = make(own_pseudo_token)
    generator = np.random.default_rng(0)
    token_ids = generator.integers(0, 36, (300, 9), dtype="int32")
    mask = np.arange(9) < generator.integers(0, 10, (300, 1))
    texts = tf.function(preprocessor.detokenize_in_graph)(token_ids, mask)
    assert [
        text.decode() for text in texts.numpy()
    ] == preprocessor.generate_postprocess(
        {"decoder_token_ids": token_ids, "decoder_padding_mask": mask}
    )
