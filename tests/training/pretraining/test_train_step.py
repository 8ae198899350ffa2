"""One update, compared with the same written by hand."""

import numpy as np
import pytest
import tensorflow as tf

# As in the authors' code: the table of relative positions is a bias as well.
UNDECAYED = ("bias", "gamma", "beta")


def weights_of(step):
    return [v.numpy() for v in step.task.trainable_variables]


def update(step, batches, first=0):
    return [
        step.in_graph(batch, tf.constant(first + number, tf.int64)).numpy()
        for number, batch in enumerate(batches)
    ]


def gradients_by_hand(task, batch):
    """Of the mean over the masked tokens, dense; and both losses."""
    x, y, sample_weight = batch
    is_masked = sample_weight > 0
    with tf.GradientTape() as tape:
        predictions = task(x)
        losses = []
        for name in ("ae", "par"):
            logits = tf.boolean_mask(predictions[name], is_masked)
            probabilities = tf.nn.softmax(logits)
            hits = tf.one_hot(tf.boolean_mask(y, is_masked), logits.shape[-1])
            losses.append(
                -tf.reduce_mean(
                    tf.math.log(tf.reduce_sum(probabilities * hits, axis=-1))
                )
            )
        loss = tf.add_n(losses)
    gradients = tape.gradient(loss, [v.value for v in task.trainable_variables])
    dense = [tf.convert_to_tensor(g).numpy() for g in gradients]
    return dense, [float(value) for value in losses]


class AdamWByHand:
    """Loshchilov and Hutter, 2019, in float64."""

    def __init__(self, variables, settings, clip_norm):
        self.names = [v.path for v in variables]
        self.values = [v.numpy().astype("float64") for v in variables]
        self.first = [np.zeros_like(v) for v in self.values]
        self.second = [np.zeros_like(v) for v in self.values]
        self.settings = settings
        self.clip_norm = clip_norm

    def apply(self, gradients, number):
        settings = self.settings
        if self.clip_norm:
            norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
            factor = min(1.0, self.clip_norm / norm)
            gradients = [g * factor for g in gradients]
        # Two steps of warm-up, ten in all.
        rate = [0.0, 0.5, 1.0, 7 / 8, 6 / 8][number] * settings["learning_rate"]
        beta_1, beta_2 = settings["beta_1"], settings["beta_2"]
        t = number + 1
        for i, gradient in enumerate(gradients):
            self.first[i] += (1 - beta_1) * (gradient - self.first[i])
            self.second[i] += (1 - beta_2) * (gradient**2 - self.second[i])
            first = self.first[i] / (1 - beta_1**t)
            second = self.second[i] / (1 - beta_2**t)
            # Where Keras adds epsilon.
            epsilon = settings["epsilon"] / np.sqrt(1 - beta_2**t)
            change = first / (np.sqrt(second) + epsilon)
            if not any(name in self.names[i] for name in UNDECAYED):
                change += settings["weight_decay"] * self.values[i]
            self.values[i] -= rate * change


@pytest.mark.parametrize("clip_norm", [None, 0.3])
def test_an_update_by_hand(make_step, batches, clip_norm):
    # A weight decay that one sees, and an epsilon above float32's errors.
    settings = {
        "learning_rate": 1e-2,
        "weight_decay": 0.3,
        "beta_1": 0.8,
        "beta_2": 0.95,
        "epsilon": 1e-4,
    }
    step = make_step(clip_norm=clip_norm, **settings)
    by_hand = AdamWByHand(step.task.trainable_variables, settings, clip_norm)
    before = weights_of(step)
    for number, batch in enumerate(batches[:4]):
        gradients, losses = gradients_by_hand(step.task, batch)
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
        assert norm > 0.5, "the clipping must be seen"
        by_hand.apply(gradients, number)
        (sums,) = update(step, [batch], number)
        means = step.sums.means(sums)
        assert means["ae_loss"] == pytest.approx(losses[0], rel=1e-5)
        assert means["par_loss"] == pytest.approx(losses[1], rel=1e-5)
        assert means["loss"] == pytest.approx(sum(losses), rel=1e-5)
    for name, weight, expected, earlier in zip(
        by_hand.names, weights_of(step), by_hand.values, before
    ):
        np.testing.assert_allclose(weight, expected, atol=2e-5, err_msg=name)
        assert (weight != earlier).any(), name


def test_both_kinds_of_weights_are_there(make_step):
    paths = [v.path for v in make_step().task.trainable_variables]
    is_decayed = [not any(n in path for n in UNDECAYED) for path in paths]
    assert any(is_decayed) and not all(is_decayed)


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_change_nothing(make_step, batches, parts):
    settings = {"clip_norm": 0.5, "epsilon": 1e-4}
    whole = make_step(**settings)
    in_parts = make_step(accumulation_steps=parts, **settings)
    for variable, other in zip(whole.task.weights, in_parts.task.weights):
        other.assign(variable)
    sums = update(whole, batches[:3])
    np.testing.assert_allclose(update(in_parts, batches[:3]), sums, rtol=1e-5)
    for weight, other in zip(weights_of(whole), weights_of(in_parts)):
        np.testing.assert_allclose(weight, other, atol=2e-5)


def test_parts_of_unequal_numbers_of_tokens(make_step, batches):
    """A mean of the parts' means would be another gradient."""
    x, y, sample_weight = batches[0]
    factor = np.ones([16, 1], "float32")
    factor[8:] = 0
    # No token in the second half, which so has no say.
    batch = (x, y, sample_weight * factor)
    half = tf.nest.map_structure(lambda x: x[:8], batches[0])
    in_parts = make_step(accumulation_steps=2, warmup_steps=0)
    of_half = make_step(warmup_steps=0)
    for variable, other in zip(of_half.task.weights, in_parts.task.weights):
        other.assign(variable)
    sums = update(in_parts, [batch])
    np.testing.assert_allclose(sums, update(of_half, [half]), rtol=1e-5)
    for first, second in zip(
        in_parts.optimizer.variables, of_half.optimizer.variables
    ):
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("objectives", [("ae",), ("par",), ("ae", "par")])
def test_sums(make_step, batches, objectives):
    step = make_step(objectives=list(objectives))
    x, y, sample_weight = batches[0]
    predictions = {k: v.numpy() for k, v in step.task(x).items()}
    (sums,) = update(step, [batches[0]])
    means = step.sums.means(sums)
    rows, slots = np.nonzero(sample_weight.numpy())
    assert sums[0] == len(rows) > 16
    total = 0.0
    for name in objectives:
        logits = predictions[name][rows, slots].astype("float64")
        truth = y.numpy()[rows, slots]
        logits -= logits.max(axis=-1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=-1))
        losses -= logits[np.arange(len(truth)), truth]
        total += losses.mean()
        assert means[f"{name}_loss"] == pytest.approx(losses.mean(), rel=1e-5)
        hits = np.mean(logits.argmax(axis=-1) == truth)
        assert means[f"{name}_accuracy"] == pytest.approx(hits, abs=1e-6)
    assert means["loss"] == pytest.approx(total, rel=1e-5)
    assert len(means) == 1 + 2 * len(objectives)


def test_no_masked_token_is_no_update(make_step, batches):
    step = make_step(weight_decay=0.0, warmup_steps=0)
    x, y, sample_weight = batches[0]
    before = weights_of(step)
    (sums,) = update(step, [(x, y, tf.zeros_like(sample_weight))])
    assert not sums.any() and step.sums.means(sums)["loss"] == 0
    for weight, earlier in zip(weights_of(step), before):
        np.testing.assert_array_equal(weight, earlier)


class TestDropout:
    @pytest.fixture
    def losses(self, make_step, batches):
        """A function from seed and steps to the losses there, of one model."""
        step = make_step(backbone={"dropout": 0.3}, warmup_steps=2)
        initial = [v.numpy() for v in step.task.weights]

        def losses(seed, numbers):
            step.seed = seed
            step.in_graph = tf.function(step)
            result = []
            for number in numbers:
                for variable, value in zip(step.task.weights, initial):
                    variable.assign(value)
                result.append(update(step, batches[:1], number)[0][1])
            return result

        return losses

    def test_is_a_function_of_seed_and_step(self, losses):
        first = losses(7, [0, 1, 2, 1000])
        assert len(set(first)) == 4
        assert losses(7, [1000, 2, 1, 0]) == first[::-1]
        assert not set(losses(8, [0, 1, 2, 1000])) & set(first)

    def test_the_largest_seed(self, losses):
        assert np.isfinite(losses(2**31 - 1, [500_000])).all()

    @pytest.mark.parametrize("rate", [0.0, 0.3])
    def test_parts_draw_differently(self, make_step, batches, rate):
        step = make_step(backbone={"dropout": rate}, accumulation_steps=2)
        twice = tf.nest.map_structure(
            lambda x: tf.concat([x[:8], x[:8]], axis=0), batches[0]
        )
        (sums,) = update(step, [twice])
        one = make_step(backbone={"dropout": rate})
        for variable, other in zip(step.task.weights, one.task.weights):
            other.assign(variable)
        half = tf.nest.map_structure(lambda x: x[:8], batches[0])
        (of_half,) = update(one, [half])
        assert sums[0] == 2 * of_half[0]
        # Equal but for rounding, if there is nothing to draw.
        difference = abs(sums[1] / 2 - of_half[1]) / of_half[1]
        assert difference < 2e-6 if rate == 0 else difference > 2e-5

    def test_all_draws_of_a_step_differ(self, make_step, batches):
        """No state is used twice: each generator has its own stream."""
        from unilmv2_tf.training.train_step import DRAWS
        from unilmv2_tf.training.training_state import seed_states

        step = make_step(backbone={"dropout": 0.3, "num_layers": 2})
        states = seed_states(step.task)
        assert len(states) > 2
        update(step, batches[:1], 5)
        drawn = [tuple(state.numpy()) for state in states]
        assert len({key for key, _ in drawn}) == len(states)
        # What a step draws stays within the numbers that are its own.
        assert all(5 * DRAWS < n <= 6 * DRAWS for _, n in drawn)
