"""Sequence-to-sequence: who sees whom, training, and generation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.models import SmoothedCrossEntropy


@pytest.fixture
def model(seq_2_seq_model):
    return seq_2_seq_model


@pytest.fixture
def inputs(seq_2_seq_inputs):
    return seq_2_seq_inputs


def difference(model, inputs, changes):
    """By how much each slot's logits change, `(batch, m)`."""
    before = np.asarray(model(inputs))
    after = np.asarray(model({**inputs, **changes}))
    return np.abs(after - before).max(axis=-1)


def change(inputs, name, place):
    ids = inputs[name].copy()
    ids[place] = 5 + (ids[place] - 5 + 7) % 14
    return {name: ids}


# === Who sees whom ===


def test_a_target_token_is_seen_from_the_next_on(model, inputs):
    for slot in range(6):
        changes = change(inputs, "decoder_token_ids", (0, slot))
        moved = difference(model, inputs, changes)
        assert moved[1].max() < 1e-9
        assert moved[0, : slot + 1].max() < 1e-9
        assert (moved[0, slot + 1 :] > 1e-5).all()


def test_a_pseudo_mask_is_seen_by_itself_only(model, inputs):
    for slot in range(6):
        changes = change(inputs, "pseudo_token_ids", (0, slot))
        moved = difference(model, inputs, changes)
        assert (moved[0] > 1e-5).tolist() == (np.arange(6) == slot).tolist()
        assert moved[1].max() < 1e-9


def test_the_source_is_seen_by_all(model, inputs):
    for place in range(8):
        changes = change(inputs, "encoder_token_ids", (0, place))
        moved = difference(model, inputs, changes)
        assert (moved[0] > 1e-5).all()
        assert moved[1].max() < 1e-9


def test_padding_changes_nothing(model, inputs):
    is_target = inputs["decoder_padding_mask"] > 0
    for name, place in (
        ("encoder_token_ids", (1, 6)),
        ("decoder_token_ids", (1, 5)),
        ("pseudo_token_ids", (1, 4)),
    ):
        moved = difference(model, inputs, change(inputs, name, place))
        assert moved[is_target].max() < 1e-9
    # A step on padding makes it no token.
    steps = {"decoder_steps": np.tile(np.arange(1, 7), (2, 1))}
    steps["decoder_steps"][1, 4:] = 2
    assert difference(model, inputs, steps)[is_target].max() < 1e-9
    longer = {
        name: np.pad(x, ((0, 0), (0, 3 if "encoder" in name else 2)))
        for name, x in inputs.items()
    }
    np.testing.assert_allclose(
        np.asarray(model(longer))[:, :6][is_target],
        np.asarray(model(inputs))[is_target],
        rtol=1e-9,
    )


def test_target_goes_on_at_the_real_length_of_its_source(model, inputs):
    # The same row alone, without its padding.
    alone = {
        name: x[1:, : 5 if "encoder" in name else 4]
        for name, x in inputs.items()
    }
    np.testing.assert_allclose(model(alone)[0], model(inputs)[1, :4], rtol=1e-9)


def test_segments_of_source_and_target(make_backbone, model, inputs):
    backbone = make_backbone(dtype="float64", num_segments=6)
    other = UniLMv2Seq2SeqLM(
        backbone,
        pseudo_token_id=4,
        source_segment_id=4,
        target_segment_id=5,
    )
    weights = {w.path: w for w in model.weights}
    for weight in other.weights:
        value = np.asarray(weights[weight.path])
        if "segment" in weight.path:
            value = np.vstack([np.full((4, 8), np.nan), value])
        weight.assign(value)
    np.testing.assert_allclose(other(inputs), model(inputs), rtol=1e-9)


# === Training ===


@pytest.mark.slow
def test_fit_on_strings_learns(seq_2_seq_lm, pairs):
    many = {name: texts * 16 for name, texts in pairs.items()}
    seq_2_seq_lm.compile(keras.optimizers.AdamW(0.05))
    history = seq_2_seq_lm.fit(many, batch_size=8, epochs=3, verbose=0)
    assert set(history.history) == {"loss", "accuracy"}
    losses = history.history["loss"]
    assert losses[-1] < losses[0] - 0.3
    dataset = tf.data.Dataset.from_tensor_slices(many).batch(8)
    more = seq_2_seq_lm.fit(dataset, epochs=3, verbose=0).history["loss"]
    assert np.mean(more) < np.mean(losses)
    after = seq_2_seq_lm.evaluate(dataset, verbose=0, return_dict=True)
    assert after["loss"] < losses[0] - 0.3


@pytest.mark.parametrize("smoothing", [None, 0.0])
def test_loss_is_the_smoothed_one(seq_2_seq_lm, pairs, smoothing):
    x, y, weights = seq_2_seq_lm.preprocessor(pairs)
    options = {} if smoothing is None else {"label_smoothing": smoothing}
    seq_2_seq_lm.compile(**options, run_eagerly=True)
    assert options or seq_2_seq_lm.loss.label_smoothing == 0.1
    values = seq_2_seq_lm.evaluate(
        pairs, batch_size=3, verbose=0, return_dict=True
    )
    expected = SmoothedCrossEntropy(seq_2_seq_lm.loss.label_smoothing)(
        y, seq_2_seq_lm(x), weights
    )
    assert values["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_predict_on_strings(seq_2_seq_lm, pairs):
    seq_2_seq_lm.compile(run_eagerly=True)
    logits = seq_2_seq_lm.predict(pairs, batch_size=3, verbose=0)
    x, _, _ = seq_2_seq_lm.preprocessor(pairs)
    np.testing.assert_allclose(logits, seq_2_seq_lm(x), rtol=1e-4, atol=1e-5)


# === Configuration ===


def test_config_round_trip(make_backbone, seq_2_seq_lm):
    task = UniLMv2Seq2SeqLM(
        make_backbone(num_segments=3),
        seq_2_seq_lm.preprocessor,
        source_segment_id=2,
        target_segment_id=0,
        name="it",
    )
    config = task.get_config()
    restored = UniLMv2Seq2SeqLM.from_config(task.get_config())
    assert restored.get_config() == config
    assert (restored.source_segment_id, restored.target_segment_id) == (2, 0)
    assert restored.preprocessor.decoder_sequence_length == 8


def test_keras_file(model, inputs, tmp_path):
    model.save(tmp_path / "task.keras")
    restored = keras.saving.load_model(tmp_path / "task.keras")
    assert isinstance(restored, UniLMv2Seq2SeqLM)
    assert restored.pseudo_token_id == 4
    np.testing.assert_array_equal(restored(inputs), model(inputs))


@pytest.mark.parametrize("name", ["source_segment_id", "target_segment_id"])
@pytest.mark.parametrize("value", [-1, 2])
def test_segments_are_those_of_the_backbone(make_backbone, name, value):
    with pytest.raises(ValueError, match=rf"`{name}`.*\[0, 2\).*={value}"):
        UniLMv2Seq2SeqLM(make_backbone(), **{name: value})


def test_lengths_fit_the_position_table(make_backbone, seq_2_seq_lm):
    with pytest.raises(ValueError, match=r"max_sequence_length=19.*Shorten"):
        UniLMv2Seq2SeqLM(
            make_backbone(max_sequence_length=19), seq_2_seq_lm.preprocessor
        )
