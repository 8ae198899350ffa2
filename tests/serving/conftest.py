"""Toy models whose answers depend on their input, and their SavedModel."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf import UniLMv2QuestionAnswererPreprocessor
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2TextClassifierPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.serving import Encode
from unilmv2_tf.serving import export_model

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


def make_tokenizer():
    return UniLMv2Tokenizer([*SPECIAL, *WORDS, "##ed", "##es"])


def make_backbone(num_layers):
    keras.utils.set_random_seed(0)
    return UniLMv2Backbone(
        make_tokenizer().vocabulary_size(),
        num_layers=num_layers,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=40,
    )


def shake(*tasks):
    """Large random weights: with small ones a toy answers all alike."""
    rng = np.random.default_rng(0)
    weights = {id(w): w for task in tasks for w in task.weights}
    for weight in weights.values():
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))


@pytest.fixture(scope="session")
def make_task():
    def make(num_layers=1, **sampler):
        task = UniLMv2Seq2SeqLM(
            make_backbone(num_layers),
            UniLMv2Seq2SeqLMPreprocessor(
                make_tokenizer(),
                encoder_sequence_length=24,
                decoder_sequence_length=8,
            ),
        )
        shake(task)
        sampler = {"num_beams": 3, "length_penalty": 0.7, **sampler}
        task.compile(sampler=BeamSearchSampler(**sampler))
        return task

    return make


@pytest.fixture(scope="session")
def tasks():
    """Tasks of all kinds on one backbone, by the names of their endpoints."""
    tokenizer, backbone = make_tokenizer(), make_backbone(1)
    tasks = {
        "generate": UniLMv2Seq2SeqLM(
            backbone,
            UniLMv2Seq2SeqLMPreprocessor(
                tokenizer, encoder_sequence_length=24, decoder_sequence_length=8
            ),
            sampler=BeamSearchSampler(
                num_beams=3, length_penalty=0.7, return_scores=True
            ),
        ),
        "classify": UniLMv2TextClassifier(
            backbone,
            preprocessor=UniLMv2TextClassifierPreprocessor(
                tokenizer, sequence_length=24, label_names=["no", "so", "yes"]
            ),
        ),
        "answer": UniLMv2QuestionAnswerer(
            backbone,
            UniLMv2QuestionAnswererPreprocessor(
                tokenizer, sequence_length=32, doc_stride=8,
                max_question_length=8,
            ),
        ),
        "fill": UniLMv2PseudoMaskedLM(
            backbone,
            UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=32),
        ),
    }  # fmt: skip
    shake(*tasks.values())
    # So that some questions have answers, and others have not.
    answers = tasks["answer"].answer(["What red fox?"] * len(TEXTS), TEXTS)
    gaps = [x["null_score"] - x["score"] for x in answers if x["text"]]
    tasks["answer"].null_threshold = float(np.median(gaps))
    return tasks


@pytest.fixture(scope="session")
def exported(tasks, tmp_path_factory):
    """The folder of the first version of a SavedModel of all tasks.

    It has been checked: each answer is that of the live model.
    """
    has_serving_api = importlib.util.find_spec("tensorflow_serving") is not None
    return export_model(
        [*tasks.values(), Encode(tasks["generate"])],
        tmp_path_factory.mktemp("toy") / "toy",
        warm_up=has_serving_api,
        seconds=0.02,
    )


@pytest.fixture(scope="session")
def signatures(exported):
    return tf.saved_model.load(exported).signatures


@pytest.fixture(scope="session")
def texts():
    return list(TEXTS)
