"""A toy model whose answers depend on its input, and its SavedModel."""

import keras
import numpy as np
import pytest

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.export import export_generation

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the quick brown fox jump over lazy dog . , ? a red blue é 日".split()

TEXTS = [
    "The quick brown foxes jumped over the lazy dog.",
    "",
    "a red dog, a blue dog?",
    "é 日本語 \u00e9 e\u0301 \U0001f98a fox [MASK] [SEP] dog",
    " \t\n\r ",
    "dog " * 300,
    "zebra \x00 \ufeff .",
]


@pytest.fixture(scope="session")
def make_task():
    """Makes a task with large random weights: small ones answer all alike."""

    def make(num_layers=1, **sampler):
        tokenizer = UniLMv2Tokenizer([*SPECIAL, *WORDS, "##ed", "##es"])
        keras.utils.set_random_seed(0)
        backbone = UniLMv2Backbone(
            tokenizer.vocabulary_size(),
            num_layers=num_layers,
            num_heads=2,
            hidden_dim=16,
            intermediate_dim=32,
            max_sequence_length=40,
        )
        task = UniLMv2Seq2SeqLM(
            backbone,
            UniLMv2Seq2SeqLMPreprocessor(
                tokenizer, encoder_sequence_length=24, decoder_sequence_length=8
            ),
        )
        rng = np.random.default_rng(0)
        for weight in task.weights:
            weight.assign(weight + rng.normal(0, 0.3, weight.shape))
        sampler = {"num_beams": 3, "length_penalty": 0.7, **sampler}
        task.compile(sampler=BeamSearchSampler(**sampler))
        return task

    return make


@pytest.fixture(scope="session")
def task(make_task):
    return make_task(num_layers=2)


@pytest.fixture(scope="session")
def exported(task, tmp_path_factory):
    """The folder of the first version of `task`."""
    return export_generation(task, tmp_path_factory.mktemp("toy") / "toy")


@pytest.fixture(scope="session")
def texts():
    return list(TEXTS)


@pytest.fixture(scope="session")
def expected(make_task, texts):
    """What `generate` says to `texts`: pairs of text and score."""
    task = make_task(num_layers=2, return_scores=True)
    outputs = task.generate(texts)
    return list(zip(outputs["generated_text"], outputs["scores"].tolist()))
