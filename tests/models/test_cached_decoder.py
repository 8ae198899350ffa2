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
def task(request, make_backbone, randomize):
    num_segments, num_relative_buckets = request.param
    backbone = make_backbone(
        num_segments=num_segments,
        num_relative_buckets=num_relative_buckets,
        max_relative_distance=6,
    )
    return randomize(
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


@pytest.fixture(params=["ancestors", "copies"])
def start(request, task, source):
    """Starts beams: by the decoder, or with a copy of the cache for each."""

    def make(num_beams, **kwargs):
        decoder = CachedDecoder(task, *source, MAX_LENGTH, **kwargs)
        cache = decoder.initial_cache()
        if request.param == "ancestors":
            cache = decoder.start_beams(cache, num_beams)
            return decoder, decoder.reorder_beams, cache

        def reorder(cache, samples):
            return keras.tree.map_structure(
                lambda x: ops.take(x, samples, axis=0), cache
            )

        return decoder, reorder, reorder(cache, np.arange(3).repeat(num_beams))

    return make


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


@pytest.mark.parametrize("num_beams", [1, 2, 5])
@pytest.mark.parametrize("in_place", [False, True])
def test_beams_equal_teacher_forcing(task, source, start, num_beams, in_place):
    target_ids = np.random.default_rng(2).integers(
        5, 19, (3 * num_beams, MAX_LENGTH)
    )
    repeated = [np.repeat(x, num_beams, axis=0) for x in source]
    expected = teacher_forced(task, repeated, target_ids)
    decoder, _, cache = start(num_beams, in_place=in_place)
    for index in range(MAX_LENGTH):
        logits, _, cache = decoder(target_ids, cache, ops.array(index, "int32"))
        np.testing.assert_allclose(
            logits, expected[:, index], rtol=1e-4, atol=1e-5
        )


def test_beams_share_one_copy_of_the_source(task, source):
    sizes = []
    for num_beams in (1, 7):
        decoder = CachedDecoder(task, *source, MAX_LENGTH)
        cache = decoder.start_beams(decoder.initial_cache(), num_beams)
        sizes.append([np.size(x) for x in cache["keys"] + cache["values"]])
    target = 3 * 2 * (MAX_LENGTH + 1) * 4
    for alone, together in zip(*sizes):
        assert alone == target + 3 * 2 * 7 * 4
        assert together == 7 * target + 3 * 2 * 7 * 4


@pytest.mark.parametrize("in_place", [False, True])
def test_reordered_cache_is_a_reordered_target(task, source, start, in_place):
    rng = np.random.default_rng(3)
    target_ids = rng.integers(5, 19, (9, MAX_LENGTH))
    decoder, reorder, cache = start(3, in_place=in_place)
    repeated = [np.repeat(x, 3, axis=0) for x in source]
    for index in range(MAX_LENGTH):
        logits, _, cache = decoder(target_ids, cache, ops.array(index, "int32"))
        expected = teacher_forced(task, repeated, target_ids)[:, index]
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
        # Each beam goes on from any one of its example.
        order = rng.integers(0, 3, 9) + np.repeat([0, 3, 6], 3)
        cache = reorder(cache, order.astype("int32"))
        later = target_ids[:, index + 1 :]
        target_ids = target_ids[order]
        target_ids[:, index + 1 :] = later


def test_reordering_leaves_keys_and_values_where_they_are(task, source):
    decoder = CachedDecoder(task, *source, MAX_LENGTH)
    cache = decoder.start_beams(decoder.initial_cache(), 2)
    reordered = decoder.reorder_beams(cache, np.array([1, 1, 2, 2, 5, 5]))
    for name in ("keys", "values"):
        assert all(x is y for x, y in zip(cache[name], reordered[name]))


def test_pseudo_masks_leave_no_trace(task, source, monkeypatch):
    target_ids = np.random.default_rng(4).integers(5, 19, (3, MAX_LENGTH))
    logits = []
    for pseudo_token_id in (4, 9):
        decoder = CachedDecoder(task, *source, MAX_LENGTH)
        cache = decoder.initial_cache()
        for index in range(4):
            # What the earlier pseudo masks were makes no difference.
            monkeypatch.setattr(
                task, "pseudo_token_id", 4 if index == 3 else pseudo_token_id
            )
            last, _, cache = decoder(
                target_ids, cache, ops.array(index, "int32")
            )
        logits.append(last)
    np.testing.assert_array_equal(*logits)
