"""Several tokens a pass against greedy decoding."""

import keras
import keras_hub
import numpy as np
import pytest

from unilmv2_tf import PartiallyAutoregressiveSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM

MAX_LENGTH = 11


def random_task(seed, dtype="float64", **kwargs):
    """Double precision: no two tokens are equally probable but for rounding."""
    task = UniLMv2Seq2SeqLM(
        UniLMv2Backbone(
            12, 2, 2, 8, 12, max_sequence_length=18, max_relative_distance=6,
            num_relative_buckets=8, dtype=dtype, **kwargs,
        ),
        pseudo_token_id=4,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    for weight in sorted(task.trainable_weights, key=lambda w: w.path):
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return task


def random_inputs(seed, num_rows=5, prefixes=True):
    rng = np.random.default_rng(seed)
    source_mask = np.arange(7) < rng.integers(1, 8, (num_rows, 1))
    prefix_mask = np.arange(MAX_LENGTH) < rng.integers(0, 7, (num_rows, 1))
    prefix_mask = prefix_mask & prefixes
    return {
        "encoder_token_ids": rng.integers(5, 12, (num_rows, 7)) * source_mask,
        "encoder_padding_mask": source_mask.astype("int32"),
        "decoder_token_ids": rng.integers(5, 12, (num_rows, MAX_LENGTH))
        * prefix_mask,
        "decoder_padding_mask": prefix_mask.astype("int32"),
    }


def generate(task, inputs, sampler, stop_token_ids=(7, 9), **kwargs):
    task.compile(sampler=sampler, **kwargs)
    return task.generate(inputs, stop_token_ids=stop_token_ids)


@pytest.fixture(scope="module", params=["relative", "absolute"])
def task(request):
    if request.param == "relative":
        return random_task(0)
    return random_task(1, num_segments=2)


@pytest.mark.parametrize("stop_token_ids", [None, (7, 9)])
@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 16])
def test_is_greedy_decoding_token_for_token(block_size, stop_token_ids):
    for seed in range(3):
        task = random_task(seed)
        inputs = random_inputs(seed)
        expected = generate(
            task, inputs, "greedy", stop_token_ids, run_eagerly=True
        )
        outputs = generate(
            task,
            inputs,
            PartiallyAutoregressiveSampler(block_size, return_num_passes=True),
            stop_token_ids,
            run_eagerly=True,
        )
        for name in ("decoder_token_ids", "decoder_padding_mask"):
            np.testing.assert_array_equal(outputs[name], expected[name])
        num_tokens = expected["decoder_padding_mask"].sum(axis=1)
        assert (outputs["num_passes"] <= num_tokens).all()
        assert (outputs["num_passes"] * block_size >= num_tokens).all()
