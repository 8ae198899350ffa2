"""Step by step from a cache against the whole target in one pass."""

import keras
import numpy as np
import pytest
from keras import ops

from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.models.cached_decoder import CachedDecoder

MAX_LENGTH = 6


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
    lengths = np.array([7, 4, 2])
    padding_mask = (np.arange(7) < lengths[:, None]).astype("int32")
    return token_ids, padding_mask


def teacher_forced(task, source, target_ids):
    token_ids, padding_mask = source
    ones = np.ones_like(target_ids)
    return np.asarray(
        task(
            {
                "encoder_token_ids": token_ids,
                "encoder_padding_mask": padding_mask,
                "decoder_token_ids": target_ids,
                "decoder_padding_mask": ones,
                "pseudo_token_ids": 4 * ones,
                "decoder_steps": ones * np.arange(1, MAX_LENGTH + 1),
            }
        )
    )


def repeat_for_beams(cache, num_beams):
    return keras.tree.map_structure(
        lambda x: ops.repeat(x, num_beams, axis=0), cache
    )


def test_equals_teacher_forcing(task, source):
    target_ids = np.random.default_rng(1).integers(5, 19, (3, MAX_LENGTH))
    expected = teacher_forced(task, source, target_ids)
    decoder = CachedDecoder(task, *source, MAX_LENGTH)
    cache = decoder.initial_cache()
    for index in range(MAX_LENGTH):
        # What comes later is not known yet.
        known = np.where(np.arange(MAX_LENGTH) < index, target_ids, 18)
        logits, states, cache = decoder(known, cache, ops.array(index, "int32"))
        np.testing.assert_allclose(
            logits, expected[:, index], rtol=1e-4, atol=1e-5
        )
        assert tuple(states.shape) == (3, 8)


@pytest.mark.parametrize("num_beams", [2, 5])
def test_beams_share_one_copy_of_the_source(task, source, num_beams):
    target_ids = np.random.default_rng(2).integers(
        5, 19, (3 * num_beams, MAX_LENGTH)
    )
    repeated = [np.repeat(x, num_beams, axis=0) for x in source]
    expected = teacher_forced(task, repeated, target_ids)
    decoder = CachedDecoder(task, *source, MAX_LENGTH)
    cache = repeat_for_beams(decoder.initial_cache(), num_beams)
    for index in range(MAX_LENGTH):
        logits, _, cache = decoder(target_ids, cache, ops.array(index, "int32"))
        np.testing.assert_allclose(
            logits, expected[:, index], rtol=1e-4, atol=1e-5
        )
    for keys, values in zip(decoder.source_keys, decoder.source_values):
        assert keys.shape == (3, 2, 4, 7)
        assert values.shape == (3, 2, 7, 4)
    for keys, values in cache:
        assert keys.shape == values.shape == (3 * num_beams, 2, MAX_LENGTH, 4)


def test_reordered_cache_is_a_reordered_target(task, source):
    rng = np.random.default_rng(3)
    target_ids = rng.integers(5, 19, (6, MAX_LENGTH))
    decoder = CachedDecoder(task, *source, MAX_LENGTH)
    cache = repeat_for_beams(decoder.initial_cache(), 2)
    for index in range(4):
        _, _, cache = decoder(target_ids, cache, ops.array(index, "int32"))
    # Both beams go on from the second.
    order = np.array([1, 1, 3, 3, 5, 5])
    cache = keras.tree.map_structure(
        lambda x: ops.take(x, order, axis=0), cache
    )
    target_ids = target_ids[order]
    target_ids[:, 3] = rng.integers(5, 19, 6)
    logits, _, _ = decoder(target_ids, cache, ops.array(4, "int32"))
    repeated = [np.repeat(x, 2, axis=0) for x in source]
    expected = teacher_forced(task, repeated, target_ids)[:, 4]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_pseudo_masks_leave_no_trace(task, source):
    target_ids = np.random.default_rng(4).integers(5, 19, (3, MAX_LENGTH))
    decoder = CachedDecoder(task, *source, MAX_LENGTH)
    cache = decoder.initial_cache()
    for index in range(3):
        _, _, cache = decoder(target_ids, cache, ops.array(index, "int32"))
    for keys, values in cache:
        # At index 2 the tokens 0 and 1 have been read.
        used = np.abs(np.asarray(keys)).max(axis=(0, 1, 3)) > 0
        assert used.tolist() == [True, True, False, False, False, False]
        assert not np.asarray(values)[:, :, 2:].any()
