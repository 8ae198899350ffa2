import keras
import numpy as np
import pytest

from unilmv2_tf.trainers.optimization import LinearWarmupDecay
from unilmv2_tf.trainers.optimization import make_optimizer


def test_schedule_is_two_straight_lines():
    schedule = LinearWarmupDecay(6e-4, num_steps=500, num_warmup_steps=24)
    rates = [float(schedule(step)) for step in range(501)]
    expected = np.concatenate(
        [np.linspace(0, 6e-4, 25), np.linspace(6e-4, 0, 477)[1:]]
    )
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)


def test_schedule_survives_a_round_trip():
    schedule = LinearWarmupDecay(1e-3, num_steps=10, num_warmup_steps=3)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(schedule)
    )
    assert float(again(2)) == float(schedule(2))


def test_warmup_longer_than_training():
    with pytest.raises(ValueError, match="num_warmup_steps=11"):
        LinearWarmupDecay(1e-3, num_steps=10, num_warmup_steps=11)


def test_norms_and_biases_are_not_decayed():
    # With zero gradients, AdamW moves a variable by its decay alone.
    optimizer = make_optimizer(
        1.0, num_steps=10, warmup_ratio=0.0, weight_decay=0.1
    )
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
