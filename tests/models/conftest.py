"""A toy model and a toy vocabulary."""

import keras
import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer

WORDS = "the a quick lazy brown fox dog cat jumped slept over under . and"


@pytest.fixture(scope="session")
def tokenizer():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return UniLMv2Tokenizer(special + WORDS.split())


@pytest.fixture(scope="session")
def make_backbone():
    """Makes a toy backbone of 19 tokens."""

    def make(**kwargs):
        sizes = {
            "vocabulary_size": 19,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 8,
            "intermediate_dim": 12,
            "max_sequence_length": 40,
        }
        return UniLMv2Backbone(**{**sizes, **kwargs})

    return make


@pytest.fixture(scope="session")
def randomize():
    """Gives a model weights large enough for mistakes to show."""

    def assign(model, seed=0, scale=0.5):
        rng = np.random.default_rng(seed)
        for weight in sorted(model.weights, key=lambda weight: weight.path):
            if "seed_generator" in weight.path:
                continue
            values = rng.normal(0, scale, weight.shape)
            if weight.path.endswith("gamma"):
                values = values + 1
            weight.assign(values)
        return model

    return assign


@pytest.fixture(scope="session")
def masked_lm_preprocessor(tokenizer):
    """One for all tests: what it compiles takes seconds."""
    return UniLMv2PseudoMaskedLMPreprocessor(
        tokenizer, sequence_length=16, seed=1
    )


@pytest.fixture
def masked_lm(make_backbone, masked_lm_preprocessor):
    """A pre-training task that takes strings, seeded and not yet compiled."""
    keras.utils.set_random_seed(0)
    return UniLMv2PseudoMaskedLM(
        make_backbone(num_layers=1, dropout=0.0), masked_lm_preprocessor
    )


@pytest.fixture(scope="session")
def seq_2_seq_lm_preprocessor(tokenizer):
    """One for all tests, see above."""
    return UniLMv2Seq2SeqLMPreprocessor(
        tokenizer,
        encoder_sequence_length=12,
        decoder_sequence_length=8,
        seed=1,
    )


@pytest.fixture
def seq_2_seq_lm(make_backbone, seq_2_seq_lm_preprocessor):
    """A sequence-to-sequence task that takes strings, seeded."""
    keras.utils.set_random_seed(0)
    return UniLMv2Seq2SeqLM(
        make_backbone(num_layers=1, dropout=0.0), seq_2_seq_lm_preprocessor
    )


@pytest.fixture(scope="session")
def easy_texts():
    """Texts of which a model learns in ten steps what words there are."""
    return ["the the the the . the", "the the the . the the the ."] * 16


@pytest.fixture(scope="session")
def texts():
    return [
        "the quick brown fox jumped over the lazy dog .",
        "a lazy cat slept under the brown dog and the fox .",
        "the dog and the cat slept .",
        "a fox jumped .",
    ]


@pytest.fixture(scope="session")
def pairs():
    return {
        "encoder_text": [
            "the quick brown fox jumped over the lazy dog .",
            "a lazy cat slept under the brown dog .",
            "the dog slept .",
        ],
        "decoder_text": ["the fox jumped .", "a cat slept .", "the dog ."],
    }


@pytest.fixture(scope="session")
def seq_2_seq_model(make_backbone, randomize):
    """A random task that takes integers, in double precision.

    A faint leak stands out from rounding, and no two scores are equal.
    """
    return randomize(
        UniLMv2Seq2SeqLM(make_backbone(dtype="float64"), pseudo_token_id=4)
    )


@pytest.fixture(scope="session")
def seq_2_seq_inputs():
    """Two pairs of integers, the second one shorter than the first."""
    rng = np.random.default_rng(0)
    source_mask = (np.arange(8) < [[8], [5]]).astype("int32")
    target_mask = (np.arange(6) < [[6], [4]]).astype("int32")
    return {
        "encoder_token_ids": rng.integers(5, 19, (2, 8)) * source_mask,
        "encoder_padding_mask": source_mask,
        "decoder_token_ids": rng.integers(5, 19, (2, 6)) * target_mask,
        "decoder_padding_mask": target_mask,
        "pseudo_token_ids": 4 * target_mask,
        "decoder_steps": np.arange(1, 7) * target_mask,
    }
