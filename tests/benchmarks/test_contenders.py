"""The peers of a comparison compute what they should."""

import numpy as np
import pytest

from benchmarks import finetuning
from benchmarks.contenders import dense
from benchmarks.contenders import our_models
from benchmarks.contenders import ours
from benchmarks.contenders import rows
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM

SETTINGS = {"size": "tiny", "batch_size": 2, "length": 24}


def test_masked_rows_follow_algorithm_1():
    masked = rows.masked_rows(8, 64)
    for row in range(8):
        used = masked["steps"][row] > 0
        positions = masked["positions"][row][used]
        ids = masked["original_ids"][row]
        assert used.sum() >= 0.15 * (ids >= rows.FIRST_ID).sum()
        assert (masked["token_ids"][row][positions] == rows.MASK).all()
        assert (masked["labels"][row][used] == ids[positions]).all()
        untouched = np.delete(np.arange(64), positions)
        assert (masked["token_ids"][row][untouched] == ids[untouched]).all()
        for step in range(1, masked["steps"][row].max() + 1):
            span = positions[masked["steps"][row][used] == step]
            assert 1 <= len(span) <= 6 and np.ptp(span) == len(span) - 1


def test_a_cloze_row_hides_this_step_and_later_ones():
    masked = rows.masked_rows(1, 64)
    cloze = rows.cloze_rows(masked)
    steps, positions = masked["steps"][0], masked["positions"][0]
    assert len(cloze["steps"]) == steps.max()
    for step, ids in enumerate(cloze["token_ids"], start=1):
        hidden = np.sort(positions[steps >= step])
        np.testing.assert_array_equal(np.flatnonzero(ids == rows.MASK), hidden)
        asked = cloze["positions"][step - 1][cloze["steps"][step - 1] > 0]
        np.testing.assert_array_equal(asked, positions[steps == step])


@pytest.mark.parametrize("other", [dense.DenseBackbone, dense.WholeLastLayer])
def test_other_ways_give_the_same_logits(other):
    x, _, _ = our_models.as_inputs(rows.masked_rows(2, 24))
    tasks = [
        UniLMv2PseudoMaskedLM(
            our_models.backbone(SETTINGS, 32, backbone_cls),
            pseudo_token_id=rows.MASK,
        )
        for backbone_cls in (UniLMv2Backbone, other)
    ]
    tasks[1].set_weights(tasks[0].get_weights())
    is_used = x["mask_steps"] > 0
    for name in ("ae", "par"):
        blocks, whole = (np.array(task(x)[name])[is_used] for task in tasks)
        np.testing.assert_allclose(blocks, whole, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "factory",
    [
        ours.pretraining,
        our_models.keras_pretraining,
        ours.finetuning,
        dense.pretraining,
    ],
)
def test_steps_learn(factory):
    step = factory(
        {**SETTINGS, "source_length": 12, "target_length": 6, "dropout": 0.0}
    )
    first, *_, last = (loss_of(step()) for _ in range(6))
    assert last < first


def loss_of(result):
    """The mean loss of what a step returns: itself, or sums over tokens."""
    sums = np.ravel(result)
    return sums[0] if len(sums) == 1 else sum(sums[1::2]) / sums[0]


def test_operations_of_bart_are_those_of_its_matrices():
    """A token costs 2 operations for each weight, forward, and twice that
    backward; attention apart, which is nothing in rows of one token.
    """
    import argparse

    settings = argparse.Namespace(
        size="small", batch_size=1, source_length=1, target_length=1
    )
    size = rows.size(vars(settings))
    hidden, inner = size["hidden"], size["inner"]
    ffn, attention = 2 * hidden * inner, 4 * hidden**2
    weights = 3 * (ffn + attention) + 3 * (ffn + 2 * attention)
    weights += hidden * rows.VOCABULARY_SIZE
    actual = finetuning.bart_flops(settings)
    assert actual == pytest.approx(6 * weights, rel=1e-3)
