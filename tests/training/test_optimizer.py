import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf.training.arguments import PretrainArgs
from unilmv2_tf.training.optimizer import FitAdamW
from unilmv2_tf.training.optimizer import FusedAdamW
from unilmv2_tf.training.optimizer import layer_rate_scales
from unilmv2_tf.training.optimizer import make_optimizer
from unilmv2_tf.training.schedules import WarmupDecay


def test_schedule_is_two_straight_lines():
    schedule = WarmupDecay(6e-4, num_steps=500, num_warmup_steps=24)
    rates = [float(schedule(step)) for step in range(501)]
    expected = np.concatenate(
        [np.linspace(0, 6e-4, 25), np.linspace(6e-4, 0, 477)[1:]]
    )
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)


def test_a_constant_schedule_stays_at_the_peak():
    schedule = WarmupDecay(6e-4, 500, num_warmup_steps=24, decay="constant")
    rates = [float(schedule(step)) for step in (0, 12, 24, 25, 400, 500)]
    np.testing.assert_allclose(rates, [0, 3e-4, *[6e-4] * 4], rtol=1e-6)


def test_an_unknown_schedule():
    with pytest.raises(ValueError, match="one of linear, constant"):
        WarmupDecay(6e-4, 500, decay="x")


def test_schedule_survives_a_round_trip():
    schedule = WarmupDecay(1e-3, num_steps=10, num_warmup_steps=3)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    assert float(again(2)) == float(schedule(2))


def test_norms_and_biases_are_not_decayed():
    # With zero gradients, AdamW moves a variable by its decay alone.
    args = PretrainArgs(
        data="", output="", learning_rate=1.0, weight_decay=0.1, beta_2=0.999
    )
    optimizer = make_optimizer(args, num_steps=10, num_warmup_steps=0)
    names = ("kernel", "bias", "gamma", "beta")
    variables = [keras.Variable([1.0], name=name) for name in names]
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros((1,)) for _ in variables], variables)
    after = {v.name: float(np.asarray(v.value)[0]) for v in variables}
    assert after == {
        "kernel": pytest.approx(0.9),
        "bias": 1.0,
        "gamma": 1.0,
        "beta": 1.0,
    }


def new_variables():
    layers = [f"transformer_layer_{i}_kernel" for i in range(2)]
    names = ["table", *layers, "head_kernel", "head_bias"]
    return [keras.Variable(np.ones((3, 2)), name=name) for name in names]


def adamw_by_hand(gradients, rate, decay, epsilon=1e-7):
    x, mean, square = np.ones(gradients[0].shape), 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        corrected = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        x = x - rate * decay * x
        x = x - corrected * mean / (np.sqrt(square) + epsilon)
    return x


def test_a_rate_for_each_variable():
    """A scale of 1/2 is what an optimizer with half the rate does."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(4, 5, 3, 2))

    def train(optimizer):
        variables = new_variables()
        optimizer.build(variables)
        for step in gradients:
            optimizer.apply(list(step), variables)
        return [np.array(variable) for variable in variables]

    def make(rate, scales=None):
        optimizer = FitAdamW(
            learning_rate=rate, weight_decay=0.3, rate_scales=scales
        )
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer

    paths = [variable.path for variable in new_variables()]
    scales = {paths[0]: 0.25, paths[2]: 0.5}
    actual = train(make(0.1, scales))
    for index, path in enumerate(paths):
        # In NumPy: Keras rounds its betas to single precision.
        expected = adamw_by_hand(
            gradients[:, index],
            rate=0.1 * scales.get(path, 1.0),
            decay=0.0 if "bias" in path else 0.3,
        )
        np.testing.assert_allclose(actual[index], expected, rtol=1e-6)


def test_repeated_rows_are_summed_before_they_are_squared():
    def train(gradient):
        table = keras.Variable(np.ones((3, 2), "float32"), name="table")
        optimizer = FitAdamW(learning_rate=0.1, global_clipnorm=1.0)
        optimizer.apply([gradient], [table])
        return np.array(table)

    rows = tf.constant([[3.0, 4.0], [1.0, -2.0], [5.0, 0.0]])
    repeated = tf.IndexedSlices(rows, tf.constant([0, 2, 0]), (3, 2))
    dense = tf.constant([[8.0, 4.0], [0.0, 0.0], [1.0, -2.0]])
    np.testing.assert_array_equal(train(repeated), train(dense))


def test_lower_layers_learn_slower():
    task = UniLMv2PseudoMaskedLM(
        UniLMv2Backbone(9, 2, 1, 4, 4, max_sequence_length=8),
        pseudo_token_id=4,
    )
    scales = layer_rate_scales(task, 0.5)
    for path, scale in scales.items():
        expected = 0.125
        expected = 0.25 if "transformer_layer_0" in path else expected
        expected = 0.5 if "transformer_layer_1" in path else expected
        assert scale == expected, path
    assert not any("head" in path for path in scales)


SHAPES = {"kernel": (7, 5), "bias": (5,), "table": (9, 5)}


def train(optimizer_cls, dtype="float32", num_steps=6, **arguments):
    """Variables and optimizer's variables after some steps in a graph."""
    rng = np.random.default_rng(0)
    variables = [
        keras.Variable(rng.normal(size=shape), name=name, dtype=dtype)
        for name, shape in SHAPES.items()
    ]
    arguments = {
        "learning_rate": WarmupDecay(0.1, 10, 2),
        "weight_decay": 0.1,
        "beta_2": 0.98,
        "epsilon": 1e-6,
        **arguments,
    }
    optimizer = optimizer_cls(**arguments)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(variables)
    apply = tf.function(
        lambda *gradients: optimizer.apply(gradients, variables)
    )
    for _ in range(num_steps):
        gradients = [rng.normal(size=shape) for shape in SHAPES.values()]
        apply(*[tf.cast(gradient, dtype) for gradient in gradients])
    return variables, optimizer


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"global_clipnorm": 0.5},
        {"gradient_accumulation_steps": 3},
        {"amsgrad": True},
        {"use_ema": True, "ema_overwrite_frequency": 2},
        {"weight_decay": 0.0},
    ],
    ids=lambda arguments: next(iter(arguments), "plain"),
)
def test_same_as_keras(arguments):
    ours, our_optimizer = train(FusedAdamW, **arguments)
    theirs, their_optimizer = train(keras.optimizers.AdamW, **arguments)
    for one, other in zip(ours, theirs):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)
    assert [v.path.split("/", 1)[1] for v in our_optimizer.variables] == [
        v.path.split("/", 1)[1] for v in their_optimizer.variables
    ]
    for one, other in zip(our_optimizer.variables, their_optimizer.variables):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6)


def test_same_as_keras_in_double_precision():
    # Keras rounds betas and decay to single precision: of these only decay.
    betas = {"beta_1": 0.875, "beta_2": 0.96875, "epsilon": 2.0**-20}
    ours, _ = train(FusedAdamW, dtype="float64", **betas)
    theirs, _ = train(keras.optimizers.AdamW, dtype="float64", **betas)
    for one, other in zip(ours, theirs):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def test_bfloat16_variables():
    ours, _ = train(FusedAdamW, dtype="bfloat16")
    theirs, _ = train(keras.optimizers.AdamW, dtype="bfloat16")
    for one, other in zip(ours, theirs):
        one, other = (np.array(v.value, "float32") for v in (one, other))
        np.testing.assert_allclose(one, other, atol=0.1)


def test_smaller_graph_than_keras():
    def num_nodes(optimizer_cls):
        variables = [keras.Variable(np.ones(3)) for _ in range(4)]
        optimizer = optimizer_cls(0.1)
        optimizer.build(variables)
        gradients = [tf.ones(3) for _ in variables]
        step = tf.function(lambda: optimizer.apply(gradients, variables))
        return len(step.get_concrete_function().graph.get_operations())

    assert num_nodes(FusedAdamW) < num_nodes(keras.optimizers.AdamW) / 1.5
