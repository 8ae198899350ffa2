"""Pre-training: what leaks where, what the loss is, and that it learns."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor

OBJECTIVES = [("ae",), ("par",), ("ae", "par")]


@pytest.fixture(scope="module")
def model(make_backbone, randomize):
    # Double precision, so that a faint leak stands out from rounding.
    return randomize(
        UniLMv2PseudoMaskedLM(make_backbone(dtype="float64"), pseudo_token_id=4)
    )


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    lengths = np.array([10, 7])
    padding_mask = (np.arange(10) < lengths[:, None]).astype("int32")
    token_ids = rng.integers(5, 19, (2, 10)) * padding_mask
    mask_positions = np.array([[1, 2, 4, 7, 8, 9], [0, 3, 4, 6, 0, 0]])
    # Row 0: <{7}, {4}, {1, 2}, {8, 9}>, row 1: <{3, 4}, {0}, {6}>.
    mask_steps = np.array([[3, 3, 2, 1, 4, 4], [2, 1, 1, 3, 0, 0]])
    for row, positions, steps in zip(token_ids, mask_positions, mask_steps):
        row[positions[steps > 0]] = 4
    revealed = rng.integers(5, 19, (2, 6)) * (mask_steps > 0)
    return {
        "token_ids": token_ids,
        "segment_ids": (np.arange(10) > 4) * padding_mask,
        "padding_mask": padding_mask,
        "mask_positions": mask_positions,
        "mask_steps": mask_steps,
        "revealed_token_ids": revealed,
    }


def logits_of(model, inputs):
    return {name: np.asarray(x) for name, x in model(inputs).items()}


def change(inputs, name, place):
    """Another word at one place."""
    ids = inputs[name].copy()
    ids[place] = 5 + (ids[place] - 5 + 7) % 14
    return {**inputs, name: ids}


def assert_same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


# === Leaks ===


def test_a_true_token_is_seen_by_later_steps_only(model, inputs):
    steps = inputs["mask_steps"]
    before = logits_of(model, inputs)
    for row, slot in zip(*np.nonzero(steps)):
        changed = change(inputs, "revealed_token_ids", (row, slot))
        after = logits_of(model, changed)
        assert_same(after["ae"], before["ae"])
        difference = np.abs(after["par"] - before["par"]).max(axis=-1)
        assert difference[1 - row].max() < 1e-9
        is_later = steps[row] > steps[row, slot]
        # Its own logits, and all of the same or an earlier step.
        assert difference[row][~is_later].max() < 1e-9
        assert (difference[row][is_later] > 1e-5).all()


def test_the_text_is_seen_by_all(model, inputs):
    before = logits_of(model, inputs)
    # Position 5 of both rows is text, 2 of the first holds [MASK].
    for place in ((0, 5), (1, 5), (0, 2)):
        after = logits_of(model, change(inputs, "token_ids", place))
        is_used = inputs["mask_steps"][place[0]] > 0
        for name in ("ae", "par"):
            difference = np.abs(after[name] - before[name]).max(axis=-1)
            assert (difference[place[0]][is_used] > 1e-5).all()
            assert difference[1 - place[0]].max() < 1e-9


def test_padding_changes_nothing(model, inputs):
    before = logits_of(model, inputs)
    is_used = inputs["mask_steps"] > 0
    changed = [
        change(inputs, "token_ids", (1, 8)),
        change(inputs, "segment_ids", (1, 8)),
        change(inputs, "revealed_token_ids", (1, 4)),
        {name: np.pad(x, ((0, 0), (0, 3))) for name, x in inputs.items()},
    ]
    changed[1]["segment_ids"][1, 8] = 1
    moved = {**inputs, "mask_positions": inputs["mask_positions"].copy()}
    moved["mask_positions"][1, 4:] = (5, 9)
    for other in [*changed, moved]:
        after = logits_of(model, other)
        for name in ("ae", "par"):
            assert_same(after[name][:, :6][is_used], before[name][is_used])


def test_autoencoding_knows_nothing_of_steps(model, inputs):
    before = logits_of(model, inputs)["ae"]
    nothing = np.zeros_like(inputs["mask_steps"])
    for name in ("mask_steps", "revealed_token_ids"):
        assert_same(logits_of(model, {**inputs, name: nothing})["ae"], before)


def test_order_of_the_slots_does_not_matter(model, inputs):
    order = np.array([4, 2, 0, 5, 1, 3])
    shuffled = dict(inputs)
    for name in ("mask_positions", "mask_steps", "revealed_token_ids"):
        shuffled[name] = inputs[name][:, order]
    before, after = logits_of(model, inputs), logits_of(model, shuffled)
    for name in ("ae", "par"):
        assert_same(after[name], before[name][:, order])


def test_one_step_is_the_view_of_autoencoding_and_its_own_masks(model, inputs):
    # All in one step: no true token is seen by anything.
    single = {**inputs, "mask_steps": np.minimum(inputs["mask_steps"], 1)}
    before = logits_of(model, single)["par"]
    for slot in range(6):
        changed = change(single, "revealed_token_ids", (0, slot))
        assert_same(logits_of(model, changed)["par"], before)


# === Shape of the work ===


@pytest.mark.parametrize("objectives", OBJECTIVES)
def test_objectives_agree(model, inputs, make_backbone, objectives):
    other = UniLMv2PseudoMaskedLM(
        make_backbone(dtype="float64"),
        objectives=objectives,
        pseudo_token_id=4,
    )
    other.set_weights(model.get_weights())
    expected = logits_of(model, inputs)
    actual = logits_of(other, inputs)
    assert set(actual) == set(objectives)
    for name in objectives:
        assert actual[name].shape == (2, 6, 19)
        assert_same(actual[name], expected[name])


def test_nothing_of_the_size_of_the_square(make_backbone):
    batch, heads, num_context, num_slots = 3, 5, 23, 19
    length = num_context + 2 * num_slots
    model = UniLMv2PseudoMaskedLM(
        make_backbone(num_heads=heads, hidden_dim=10, max_sequence_length=23),
        pseudo_token_id=4,
    )
    names = ("mask_positions", "mask_steps", "revealed_token_ids")
    specs = {
        name: tf.TensorSpec(
            (batch, num_slots if name in names else num_context), tf.int32
        )
        for name in model.input
    }

    @tf.function
    def training_step(inputs):
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = sum(tf.reduce_sum(x**2) for x in outputs.values())
        return tape.gradient(loss, [w.value for w in model.trainable_weights])

    graph = training_step.get_concrete_function(specs).graph
    shapes = [
        tuple(output.shape)
        for operation in graph.get_operations()
        for output in operation.outputs
        if output.shape.is_fully_defined()
    ]
    largest = max(shapes, key=math.prod)
    assert math.prod(largest) < batch * heads * length * length, largest
    assert not [shape for shape in shapes if shape.count(length) > 1]
    # Logits of the masked tokens only.
    assert (batch, num_slots, 19) in shapes
    assert not [shape for shape in shapes if shape[-2:] == (length, 19)]


# === The loss ===


def test_loss_is_the_sum_of_the_mean_cross_entropies(model, inputs):
    labels = inputs["revealed_token_ids"]
    weights = (inputs["mask_steps"] > 0).astype("float32")
    model.compile()
    values = model.evaluate(
        inputs, labels, sample_weight=weights, verbose=0, return_dict=True
    )
    total = 0
    for name, logits in logits_of(model, inputs).items():
        log_probs = log_softmax(logits, axis=-1)
        true = np.take_along_axis(log_probs, labels[..., None], axis=2)[..., 0]
        expected = -(true * weights).sum() / weights.sum()
        assert values[f"{name}_loss"] == pytest.approx(expected, rel=1e-4)
        is_right = (logits.argmax(axis=-1) == labels) * weights
        assert values[f"{name}_accuracy"] == pytest.approx(
            is_right.sum() / weights.sum()
        )
        total += expected
    assert values["loss"] == pytest.approx(total, rel=1e-4)


@pytest.mark.slow
def test_fit_on_strings_learns(masked_lm, easy_texts):
    masked_lm.compile(keras.optimizers.AdamW(0.05))
    history = masked_lm.fit(
        easy_texts, batch_size=16, epochs=4, verbose=0
    ).history
    assert set(history) == {
        "loss", "ae_loss", "par_loss", "ae_accuracy", "par_accuracy"
    }  # fmt: skip
    for name in ("ae_loss", "par_loss"):
        assert history[name][-1] < history[name][0] - 0.5
    dataset = tf.data.Dataset.from_tensor_slices(easy_texts).batch(16)
    more = masked_lm.fit(dataset, epochs=4, verbose=0).history
    assert more["loss"][-1] < history["loss"][-1]
    values = masked_lm.evaluate(dataset, verbose=0, return_dict=True)
    assert values["loss"] < history["loss"][0] - 1
    assert values.keys() == history.keys()


@pytest.mark.parametrize("objective", ["ae", "par"])
def test_fit_on_one_objective(masked_lm, easy_texts, objective):
    task = UniLMv2PseudoMaskedLM(
        masked_lm.backbone, objectives=(objective,), pseudo_token_id=4
    )
    task.compile(keras.optimizers.AdamW(0.05), run_eagerly=True)
    x, y, weights = masked_lm.preprocessor(easy_texts)
    history = task.fit(
        x, y, sample_weight=weights, batch_size=16, epochs=3, verbose=0
    )
    losses = history.history["loss"]
    assert losses[-1] < losses[0] - 0.3


def test_predict_on_strings(masked_lm, texts):
    predictions = masked_lm.predict(texts, batch_size=2, verbose=0)
    x, _, _ = masked_lm.preprocessor(texts)
    num_slots = x["mask_steps"].shape[1]
    for logits in predictions.values():
        assert logits.shape == (4, num_slots, 19)
    expected = masked_lm(x)
    for name in ("ae", "par"):
        np.testing.assert_allclose(
            predictions[name], expected[name], rtol=1e-4, atol=1e-5
        )


def test_masked_anew_in_every_epoch(masked_lm, texts):
    rows = []

    class Recorder(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rows.append(logs["loss"])

    # Weights that do not move: only the masks can change the loss.
    masked_lm.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    masked_lm.fit(texts, epochs=2, verbose=0, callbacks=[Recorder()])
    assert abs(rows[0] - rows[1]) > 1e-4


@pytest.mark.slow
def test_mixed_precision_learns(make_backbone, masked_lm, easy_texts):
    task = UniLMv2PseudoMaskedLM(
        make_backbone(num_layers=1, dropout=0.0, dtype="mixed_bfloat16"),
        pseudo_token_id=4,
    )
    task.compile(keras.optimizers.AdamW(0.05))
    x, y, weights = masked_lm.preprocessor(easy_texts)
    history = task.fit(
        x, y, sample_weight=weights, batch_size=16, epochs=4, verbose=0
    )
    losses = history.history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] - 1


# === Configuration ===


def test_config_round_trip(make_backbone, masked_lm):
    task = UniLMv2PseudoMaskedLM(
        make_backbone(), masked_lm.preprocessor, objectives=["par"], name="it"
    )
    config = task.get_config()
    restored = UniLMv2PseudoMaskedLM.from_config(task.get_config())
    assert restored.objectives == ("par",)
    assert restored.pseudo_token_id == 4
    assert restored.preprocessor.sequence_length == 16
    assert restored.get_config() == config


def test_keras_file(model, inputs, tmp_path):
    model.save(tmp_path / "task.keras")
    restored = keras.saving.load_model(tmp_path / "task.keras")
    assert isinstance(restored, UniLMv2PseudoMaskedLM)
    expected = logits_of(model, inputs)
    for name, logits in logits_of(restored, inputs).items():
        np.testing.assert_array_equal(logits, expected[name])


@pytest.mark.parametrize(
    "objectives", [(), ("mlm",), ("ae", "ae"), ("ae", "par", "ar"), "ae"]
)
def test_bad_objectives(make_backbone, objectives):
    with pytest.raises(ValueError, match=r'`objectives`.*\("ae", "par"\)'):
        UniLMv2PseudoMaskedLM(
            make_backbone(), objectives=objectives, pseudo_token_id=4
        )


def test_pseudo_token_id_is_needed(make_backbone):
    with pytest.raises(ValueError, match=r"`pseudo_token_id` is needed"):
        UniLMv2PseudoMaskedLM(make_backbone())


def test_rows_longer_than_the_position_table(make_backbone, tokenizer):
    with pytest.raises(ValueError, match="sequence_length=33"):
        UniLMv2PseudoMaskedLM(
            make_backbone(max_sequence_length=32),
            UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=33),
        )
