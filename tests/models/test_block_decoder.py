"""Blocks of tokens from a cache against the whole model in one pass."""

import numpy as np
import pytest

from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.models import BlockDecoder

MAX_LENGTH = 9
BLOCK_SIZE = 3


@pytest.fixture(
    scope="module", params=[(2, 8), (1, 0)], ids=["relative", "absolute"]
)
def task(request, make_backbone, randomise):
    num_segments, num_relative_buckets = request.param
    backbone = make_backbone(
        num_segments=num_segments,
        num_relative_buckets=num_relative_buckets,
        max_relative_distance=6,
    )
    return randomise(
        UniLMv2Seq2SeqLM(
            backbone, pseudo_token_id=4, target_segment_id=num_segments - 1
        )
    )


@pytest.fixture(scope="module")
def source():
    token_ids = np.random.default_rng(0).integers(5, 19, (3, 7))
    padding_mask = np.arange(7) < [[7], [4], [2]]
    return token_ids, padding_mask.astype("int32")


def whole_model(task, source, target_ids, steps):
    """Logits of the pass of fine-tuning."""
    ones = np.ones_like(target_ids)
    outputs = task(
        {
            "encoder_token_ids": source[0],
            "encoder_padding_mask": source[1],
            "decoder_token_ids": target_ids,
            "decoder_padding_mask": ones,
            "pseudo_token_ids": 4 * ones,
            "decoder_steps": ones * steps,
        }
    )
    return np.asarray(outputs)


def drafts_of_whole_model(task, source, target_ids, first):
    """A block in one step, after `first` tokens; the last may be shorter."""
    last = min(first + BLOCK_SIZE, MAX_LENGTH)
    steps = np.minimum(np.arange(1, last + 1), first + 1)
    logits = whole_model(task, source, target_ids[:, :last], steps)
    return logits[:, first:]


def windows(target_ids, starts):
    places = np.clip(
        np.add.outer(starts, np.arange(BLOCK_SIZE)), 0, MAX_LENGTH - 1
    )
    return np.take_along_axis(target_ids, places, axis=1)


def test_verifies_and_drafts_as_the_whole_model(task, source):
    rng = np.random.default_rng(1)
    target_ids = rng.integers(5, 19, (3, MAX_LENGTH))
    one_by_one = whole_model(
        task, source, target_ids, np.arange(1, MAX_LENGTH + 1)
    )
    decoder = BlockDecoder(task, *source, MAX_LENGTH)
    cache = decoder.start_blocks(decoder.initial_cache(), BLOCK_SIZE)
    # Each row goes at its own pace, from the start to beyond the end; guesses
    # that were not accepted are overwritten.
    for starts, num_guesses in (
        ([-1, -1, -1], [0, 2, 1]),
        ([0, 1, 1], [2, 2, 2]),
        ([2, 4, 1], [2, 0, 2]),
        ([4, 5, 4], [2, 1, 2]),
        ([7, 6, 5], [2, 2, 1]),
    ):
        window = windows(target_ids, starts)
        for row, number in enumerate(num_guesses):
            # What is no guess must not matter.
            window[row, number + 1 :] = rng.integers(5, 19)
        verified, drafted, cache = decoder.block_step(
            window, cache, np.array(starts), np.array(num_guesses)
        )
        assert verified.shape == drafted.shape == (3, BLOCK_SIZE, 19)
        for row, (start, number) in enumerate(zip(starts, num_guesses)):
            places = np.arange(start + 1, start + number + 2)
            places = places[places < MAX_LENGTH]
            np.testing.assert_allclose(
                np.asarray(verified)[row, : len(places)],
                one_by_one[row, places],
                rtol=1e-4,
                atol=1e-5,
            )
            first = start + number + 1
            if first >= MAX_LENGTH:
                continue
            expected = drafts_of_whole_model(task, source, target_ids, first)
            np.testing.assert_allclose(
                np.asarray(drafted)[row, : expected.shape[1]],
                expected[row],
                rtol=1e-4,
                atol=1e-5,
            )
