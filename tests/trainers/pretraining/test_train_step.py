"""Updates, compared with AdamW in NumPy and with each other."""

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.datasets.packed.pipeline import masked_batches
from unilmv2_tf.trainers.pretraining.model import make_preprocessor
from unilmv2_tf.trainers.pretraining.model import make_task
from unilmv2_tf.trainers.pretraining.train_step import TrainStep
from unilmv2_tf.trainers.pretraining.train_step import (
    reduced_gradient_optimizer,
)


class Model:
    """A task, its optimizer and its step, and a way back to the beginning."""

    def __init__(self, settings, shards, accumulation_steps=1, **keywords):
        tf.keras.utils.set_random_seed(0)
        preprocessor = make_preprocessor(settings, shards)
        self.task = make_task(settings, shards, preprocessor)
        self.optimizer = reduced_gradient_optimizer(settings)
        self.optimizer.build(self.task.trainable_variables)
        self.variables = self.task.trainable_variables
        self._first = [
            v.numpy() for v in [*self.variables, *self.optimizer.variables]
        ]
        self.make_step(settings, accumulation_steps, **keywords)

    def make_step(self, settings, accumulation_steps=1, **keywords):
        step = TrainStep(
            self.task,
            self.optimizer,
            accumulation_steps,
            seed=settings.seed,
            **keywords,
        )
        self.step = tf.function(step)
        self.sums = step.sums

    def reset(self):
        variables = [*self.variables, *self.optimizer.variables]
        for variable, value in zip(variables, self._first):
            variable.assign(value)

    def weights(self):
        return [v.numpy() for v in self.variables]

    def after(self, batches, first_step=0):
        """The weights after steps from the beginning, one a batch."""
        self.reset()
        for number, batch in enumerate(batches):
            self.step(batch, tf.constant(first_step + number, tf.int64))
        return self.weights()


@pytest.fixture(scope="module")
def batches(shards, tmp_path_factory):
    from unilmv2_tf.trainers.pretraining.settings import PretrainingSettings

    settings = PretrainingSettings(data=shards.folder, output="unused")
    return list(
        masked_batches(
            shards, "train", make_preprocessor(settings, shards), 8
        ).take(3)
    )


@pytest.fixture
def without_dropout(make_settings):
    def make(**changes):
        settings = make_settings(**changes)
        settings.backbone = {**settings.backbone, "dropout": 0.0}
        return settings

    return make


def gradients_of_mean(task, batch):
    """Of the mean cross-entropy of masked tokens, AE and PAR; NumPy."""
    x, y, sample_weight = batch
    mask = sample_weight > 0
    with tf.GradientTape() as tape:
        predictions = task(x, training=False)
        loss = 0.0
        for logits in predictions.values():
            logits = tf.boolean_mask(logits, mask)
            true = tf.one_hot(tf.boolean_mask(y, mask), logits.shape[-1])
            losses = tf.reduce_logsumexp(logits, -1) - tf.reduce_sum(
                logits * true, -1
            )
            loss += tf.reduce_mean(losses)
    variables = [variable.value for variable in task.trainable_variables]
    return [
        np.zeros(v.shape) if g is None else tf.convert_to_tensor(g).numpy()
        for g, v in zip(tape.gradient(loss, variables), variables)
    ]


class AdamWInNumPy:
    """Kingma and Ba, algorithm 1, with Loshchilov and Hutter's decay."""

    def __init__(self, settings, weights):
        self.settings = settings
        self.weights = [w.astype("float64") for w in weights]
        self.m = [np.zeros_like(w) for w in self.weights]
        self.v = [np.zeros_like(w) for w in self.weights]
        self.t = 0

    def update(self, gradients, paths):
        s = self.settings
        rate = s.learning_rate * (1 - self.t / s.num_steps)
        self.t += 1
        norm = np.sqrt(sum(np.sum(np.float64(g) ** 2) for g in gradients))
        if s.clip_norm:
            gradients = [g * min(1, s.clip_norm / norm) for g in gradients]
        for i, (g, path) in enumerate(zip(gradients, paths)):
            self.m[i] = s.beta_1 * self.m[i] + (1 - s.beta_1) * g
            self.v[i] = s.beta_2 * self.v[i] + (1 - s.beta_2) * g**2
            m = self.m[i] / (1 - s.beta_1**self.t)
            v = self.v[i] / (1 - s.beta_2**self.t)
            # The table of relative positions is a bias, as for the authors.
            is_free = "bias" in path or path.endswith(("gamma", "beta"))
            decay = 0 if is_free else s.weight_decay
            # Keras adds epsilon before the correction, as their section 2.
            epsilon = s.epsilon / np.sqrt(1 - s.beta_2**self.t)
            w = self.weights[i] * (1 - rate * decay)
            self.weights[i] = w - rate * m / (np.sqrt(v) + epsilon)
        return norm


@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_updates(clip_norm, without_dropout, shards, batches):
    settings = without_dropout(clip_norm=clip_norm, weight_decay=0.1)
    settings.epsilon = 1e-4
    model = Model(settings, shards)
    reference = AdamWInNumPy(settings, model.weights())
    paths = [variable.path for variable in model.variables]
    for number, batch in enumerate(batches):
        gradients = gradients_of_mean(model.task, batch)
        norm = reference.update(gradients, paths)
        # Otherwise clipping would not be tested.
        assert norm > 0.5
        before = model.weights()
        model.step(batch, tf.constant(number, tf.int64))
        moved = [np.abs(a - b).max() for a, b in zip(model.weights(), before)]
        assert max(moved) > 1e-4
        for ours, theirs in zip(model.weights(), reference.weights):
            np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_sums_and_means(without_dropout, shards, batches):
    model = Model(without_dropout(), shards)
    x, y, sample_weight = batch = batches[0]
    predictions = {
        name: logits.numpy().astype("float64")
        for name, logits in model.task(x, training=False).items()
    }
    sums = model.step(batch, tf.constant(0, tf.int64)).numpy()
    rows, slots = np.nonzero(sample_weight.numpy())
    true = y.numpy()[rows, slots]
    expected, means = [len(rows)], {"loss": 0.0}
    for name, logits in predictions.items():
        logits = logits[rows, slots]
        losses = np.log(np.exp(logits).sum(-1)) - logits[range(len(true)), true]
        hits = logits.argmax(-1) == true
        expected += [losses.sum(), hits.sum()]
        means |= {f"{name}_loss": losses.mean()}
        means |= {f"{name}_accuracy": hits.mean()}
        means["loss"] += losses.mean()
    assert list(predictions) == ["ae", "par"] and len(rows) > 20
    np.testing.assert_allclose(sums, expected, rtol=1e-5)
    ours = model.sums.means(sums)
    assert ours.keys() == means.keys()
    assert ours == pytest.approx(means, rel=1e-5)


def test_parts_make_no_difference(without_dropout, shards, batches):
    settings = without_dropout(clip_norm=1.0)
    settings.epsilon = 1e-4
    model = Model(settings, shards)
    # Parts of different numbers of tokens: their means are not the mean.
    tokens = tf.reduce_sum(batches[0][2], axis=1).numpy()
    assert tokens[:4].sum() != tokens[4:].sum()
    whole = model.after(batches)
    for parts in (2, 4):
        model.make_step(settings, parts)
        for ours, theirs in zip(model.after(batches), whole):
            np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_dropout_is_a_function_of_seed_and_step(make_settings, shards, batches):
    settings = make_settings()
    model = Model(settings, shards)

    def is_same(one, other):
        return all(map(np.array_equal, one, other))

    tf.random.set_seed(1)
    first = model.after(batches[:1], first_step=5)
    # Whatever was drawn in between, by the model or by others.
    model.after(batches)
    model.task(batches[0][0], training=True)
    tf.random.normal([3])
    assert is_same(model.after(batches[:1], first_step=5), first)
    assert not is_same(model.after(batches[:1], first_step=6), first)
    settings.seed = 1
    model.make_step(settings)
    other = model.after(batches[:1], first_step=5)
    assert not is_same(other, first)
    # Parts draw for themselves: two with the same rows differ.
    twice = tf.nest.map_structure(
        lambda x: tf.concat([x[:4], x[:4]], 0), batches[0]
    )
    model.make_step(settings, 2)
    parts = model.after([twice], first_step=5)
    model.make_step(settings, 1)
    half = tf.nest.map_structure(lambda x: x[:4], batches[0])
    for stream in (10, 11):
        assert not is_same(model.after([half], first_step=stream), parts)


def test_float16_scales_the_loss(without_dropout, shards, batches):
    settings = without_dropout(precision="mixed_float16")
    model = Model(settings, shards)
    optimizer = model.optimizer
    scale = float(optimizer.dynamic_scale.numpy())
    before = model.weights()
    model.step(batches[0], tf.constant(0, tf.int64))
    after = model.weights()
    assert {w.dtype.name for w in after} == {"float32"}
    assert not all(map(np.array_equal, before, after))
    # Compared with float32, on float16's terms.
    exact = Model(without_dropout(), shards).after(batches[:1])
    moved = np.concatenate([(a - b).ravel() for a, b in zip(after, before)])
    other = np.concatenate([(a - b).ravel() for a, b in zip(exact, before)])
    assert np.corrcoef(moved, other)[0, 1] > 0.9
    # Infinite gradients change nothing but the scale.
    gamma = next(v for v in model.variables if v.name == "gamma")
    value = gamma.numpy()
    gamma.assign(np.full_like(value, np.inf))
    model.step(batches[1], tf.constant(1, tf.int64))
    gamma.assign(value)
    assert all(map(np.array_equal, model.weights(), after))
    assert float(optimizer.dynamic_scale.numpy()) == scale / 2
    # It grows again after enough steps without.
    optimizer.step_counter.assign(optimizer.dynamic_growth_steps - 1)
    model.step(batches[1], tf.constant(2, tf.int64))
    assert float(optimizer.dynamic_scale.numpy()) == scale
    assert np.isfinite(
        np.concatenate([w.ravel() for w in model.weights()])
    ).all()


def test_bfloat16(without_dropout, shards, batches):
    model = Model(without_dropout(precision="mixed_bfloat16"), shards)
    sums = model.step(batches[0], tf.constant(0, tf.int64)).numpy()
    assert {w.dtype.name for w in model.weights()} == {"float32"}
    exact = Model(without_dropout(), shards)
    expected = exact.step(batches[0], tf.constant(0, tf.int64)).numpy()
    np.testing.assert_allclose(sums[1::2], expected[1::2], rtol=0.02)
    assert not np.array_equal(sums, expected)
