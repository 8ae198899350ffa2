"""A toy model that generates."""

import numpy as np
import pytest

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer

WORDS = "the a quick lazy brown fox dog cat jumped slept over under .".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BEAM = {"num_beams": 3, "no_repeat_ngram_size": 1, "min_length": 1}


@pytest.fixture(scope="session")
def words():
    return WORDS


@pytest.fixture(scope="session")
def beam():
    return BEAM


@pytest.fixture(scope="session")
def task():
    """A random model whose answers differ from source to source."""
    tokenizer = UniLMv2Tokenizer([*SPECIAL, *WORDS, "##s"])
    task = UniLMv2Seq2SeqLM(
        UniLMv2Backbone(19, 1, 2, 8, 12, max_sequence_length=32),
        UniLMv2Seq2SeqLMPreprocessor(
            tokenizer,
            encoder_sequence_length=9,
            decoder_sequence_length=6,
            seed=1,
        ),
        sampler=BeamSearchSampler(**BEAM),
    )
    rng = np.random.default_rng(5)
    for weight in sorted(task.trainable_weights, key=lambda w: w.path):
        weight.assign(rng.normal(0, 1.0, weight.shape))
    return task


@pytest.fixture(scope="session")
def preset(task, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("model") / "preset")
    task.save_to_preset(folder)
    return folder
