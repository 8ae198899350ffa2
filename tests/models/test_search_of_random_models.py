"""The whole decoder against all the texts that there are."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Seq2SeqLM

VOCABULARY_SIZE, MAX_LENGTH, STOP = 5, 3, 2
TEXTS = np.array(
    list(itertools.product(range(VOCABULARY_SIZE), repeat=MAX_LENGTH))
)


def all_log_probs(task, source, padding_mask):
    """Of every token of every text, from one pass with all of them."""
    ones = tf.ones_like(TEXTS)
    return task(
        {
            "encoder_token_ids": tf.repeat(source, len(TEXTS), axis=0),
            "encoder_padding_mask": tf.repeat(padding_mask, len(TEXTS), axis=0),
            "decoder_token_ids": tf.constant(TEXTS),
            "decoder_padding_mask": ones,
            "pseudo_token_ids": 4 * ones,
            "decoder_steps": ones * np.arange(1, MAX_LENGTH + 1),
        }
    )


@pytest.mark.slow
def test_random_models(make_backbone):
    task = UniLMv2Seq2SeqLM(
        make_backbone(vocabulary_size=VOCABULARY_SIZE, num_layers=1),
        pseudo_token_id=4,
    )
    task.sampler = BeamSearchSampler(
        num_beams=VOCABULARY_SIZE**MAX_LENGTH,
        length_penalty=0.7,
        return_scores=True,
    )
    # A text counts up to its first stop token.
    is_stop = TEXTS == STOP
    counts = np.cumsum(is_stop, axis=1) - is_stop == 0
    divisor = ((5 + counts.sum(axis=1)) / 6) ** 0.7

    @tf.function
    def search(source, padding_mask):
        empty = tf.zeros((1, MAX_LENGTH), tf.int32)
        outputs = task.generate_step(
            {
                "encoder_token_ids": source,
                "encoder_padding_mask": padding_mask,
                "decoder_token_ids": empty,
                "decoder_padding_mask": empty,
            },
            stop_token_ids=(STOP,),
        )
        return outputs, all_log_probs(task, source, padding_mask)

    rng = np.random.default_rng(0)
    weights = [w for w in task.weights if "seed_generator" not in w.path]
    for _ in range(150):
        for weight in weights:
            is_scale = weight.path.endswith("gamma")
            weight.assign(rng.normal(is_scale, 0.5, weight.shape))
        length = rng.integers(1, 6)
        outputs, logits = search(
            tf.constant(rng.integers(0, VOCABULARY_SIZE, (1, 5)), tf.int32),
            tf.constant(np.arange(5)[None] < length, tf.int32),
        )
        log_probs = log_softmax(np.asarray(logits, "float64"), axis=-1)
        chosen = np.take_along_axis(log_probs, TEXTS[..., None], axis=-1)
        scores = (chosen[..., 0] * counts).sum(axis=1) / divisor
        found = outputs["decoder_token_ids"][0].numpy()
        found = np.flatnonzero(((TEXTS == found) | ~counts).all(axis=1))
        np.testing.assert_allclose(
            outputs["scores"][0], scores.max(), rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(
            scores[found].max(), scores.max(), rtol=1e-4, atol=1e-4
        )
