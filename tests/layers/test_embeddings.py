"""Embeddings: values against NumPy, and training against NumPy's AdamW."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.layers.embeddings import DenseGradientEmbedding
from unilmv2_tf.layers.embeddings import TiedEmbedding
from unilmv2_tf.layers.embeddings import TransformerEmbedding
from unilmv2_tf.layers.embeddings import lookup_with_dense_gradient

ADAMW = {
    "learning_rate": 0.05,
    "weight_decay": 0.1,
    "beta_1": 0.9,
    "beta_2": 0.98,
    "epsilon": 1e-3,
    "clipnorm": None,
}


def numpy_adamw(weight, gradients):
    """Decoupled weight decay, bias-corrected moments, in double precision."""
    weight = np.asarray(weight, "float64")
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.98 * second + 0.02 * gradient**2
        rate = 0.05 * np.sqrt(1 - 0.98**step) / (1 - 0.9**step)
        weight = weight * (1 - 0.05 * 0.1)
        weight = weight - rate * first / (np.sqrt(second) + 1e-3)
    return weight


class LossOfEmbedding(keras.Model):
    """A model whose loss is linear, so that its gradient is written by hand."""

    def __init__(self, embedding, factors):
        super().__init__()
        self.embedding = embedding
        self.factors = factors

    def call(self, token_ids):
        return keras.ops.sum(self.embedding(token_ids) * self.factors)


@pytest.mark.parametrize("layer_class", [DenseGradientEmbedding, TiedEmbedding])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_adamw_with_repeated_ids_equals_numpy(layer_class, jit_compile):
    rng = np.random.default_rng(0)
    token_ids = np.array([[1, 1, 1, 4], [1, 0, 4, 2]])
    factors = rng.normal(size=(2, 4, 3)).astype("float32")
    embedding = layer_class(6, 3)
    model = LossOfEmbedding(embedding, factors)
    model.compile(
        optimizer=keras.optimizers.AdamW(**ADAMW),
        loss=lambda y_true, y_pred: y_pred,
        jit_compile=jit_compile,
    )
    embedding.build((None, None))
    before = np.asarray(embedding.embeddings)
    gradient = np.zeros((6, 3))
    np.add.at(gradient, token_ids, factors)
    for _ in range(3):
        model.train_on_batch(token_ids, np.zeros((2, 1)))
    np.testing.assert_allclose(
        embedding.embeddings, numpy_adamw(before, [gradient] * 3), rtol=1e-5
    )


def test_a_plain_embedding_is_why():
    # If this fails, Keras sums the rows itself, and the layers can go.
    token_ids = np.array([[1, 1]])
    factors = np.array([[[1.0], [2.0]]], "float32")
    embedding = keras.layers.Embedding(3, 1)
    model = LossOfEmbedding(embedding, factors)
    model.compile(
        optimizer=keras.optimizers.AdamW(**ADAMW),
        loss=lambda y_true, y_pred: y_pred,
        jit_compile=False,
    )
    embedding.build((None, None))
    before = np.asarray(embedding.embeddings)
    gradient = np.array([[0.0], [3.0], [0.0]])
    model.train_on_batch(token_ids, np.zeros((1, 1)))
    expected = numpy_adamw(before, [gradient])
    assert abs(embedding.embeddings[1, 0] - expected[1, 0]) > 1e-3


def test_lookup_gradient_is_one_dense_table():
    table = tf.Variable(np.arange(8.0).reshape(4, 2))
    with tf.GradientTape() as tape:
        rows = lookup_with_dense_gradient(table, [[3, 1, 3]])
        total = tf.reduce_sum(rows)
    np.testing.assert_array_equal(rows, [[[6, 7], [2, 3], [6, 7]]])
    gradient = tape.gradient(total, table)
    assert isinstance(gradient, tf.Tensor)
    np.testing.assert_array_equal(gradient, [[0, 0], [1, 1], [0, 0], [2, 2]])


def make_embedding(**kwargs):
    embedding = TransformerEmbedding(
        vocabulary_size=9,
        hidden_dim=4,
        max_sequence_length=6,
        num_segments=3,
        **{"layer_norm_epsilon": 1e-3, **kwargs},
    )
    embedding.build()
    return embedding


def embed_in_numpy(embedding, token_ids, segment_ids, position_ids):
    x = sum(
        np.asarray(table.embeddings, "float64")[ids]
        for table, ids in (
            (embedding.token_embedding, token_ids),
            (embedding.segment_embedding, segment_ids),
            (embedding.position_embedding, position_ids),
        )
    )
    mean = x.mean(axis=-1, keepdims=True)
    x = (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-3)
    norm = embedding.layer_norm
    return x * np.asarray(norm.gamma) + np.asarray(norm.beta)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("with_positions", [False, True])
def test_equals_numpy(randomize, training, with_positions):
    embedding = randomize(make_embedding())
    token_ids = np.array([[5, 8, 0, 8], [1, 1, 1, 2]])
    segment_ids = np.array([[0, 0, 1, 2], [2, 2, 0, 0]])
    position_ids = given = np.array([[0, 5, 5, 1], [2, 0, 3, 3]])
    if not with_positions:
        position_ids, given = np.arange(4), None
    states = embedding(
        token_ids, segment_ids, position_ids=given, training=training
    )
    expected = embed_in_numpy(embedding, token_ids, segment_ids, position_ids)
    np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_three_tables_have_dense_gradients(randomize, training):
    embedding = randomize(make_embedding())
    ids = np.array([[1, 1, 2]])
    tables = [
        table.embeddings
        for table in (
            embedding.token_embedding,
            embedding.position_embedding,
            embedding.segment_embedding,
        )
    ]
    with tf.GradientTape() as tape:
        states = embedding(ids, ids, position_ids=ids, training=training)
        total = tf.reduce_sum(states**3)
    gradients = tape.gradient(total, [table.value for table in tables])
    for gradient, table in zip(gradients, tables):
        assert isinstance(gradient, tf.Tensor)
        assert gradient.shape == table.shape


def test_token_table_is_a_reversible_embedding(randomize):
    embedding = randomize(make_embedding()).token_embedding
    assert isinstance(embedding, keras.layers.ReversibleEmbedding)
    states = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    expected = states @ np.asarray(embedding.embeddings).T
    logits = embedding(states, reverse=True)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer_class", [DenseGradientEmbedding, TiedEmbedding])
def test_lora_trains_its_factors(layer_class, randomize):
    embedding = layer_class(5, 4)
    embedding.build((None, None))
    embedding.enable_lora(2)
    randomize(embedding)
    assert len(embedding.trainable_variables) == 2
    ids = np.array([[3, 3, 1]])
    expected = np.asarray(embedding.embeddings)[ids]
    with tf.GradientTape() as tape:
        states = embedding(ids)
        total = tf.reduce_sum(states)
    np.testing.assert_allclose(states, expected, rtol=1e-6)
    gradients = tape.gradient(
        total, [weight.value for weight in embedding.trainable_variables]
    )
    assert all(np.abs(gradient).sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("layer_class", [DenseGradientEmbedding, TiedEmbedding])
def test_int8_is_close(layer_class, randomize):
    embedding = layer_class(5, 4)
    embedding.build((None, None))
    randomize(embedding)
    ids = np.array([[3, 3, 1]])
    before = np.asarray(embedding(ids))
    embedding.quantize("int8")
    assert embedding.weights[0].dtype == "int8"
    np.testing.assert_allclose(embedding(ids), before, atol=0.02)


@pytest.mark.parametrize(
    "policy", ["float16", "bfloat16", "mixed_bfloat16", "float64"]
)
@pytest.mark.parametrize("training", [False, True])
def test_dtype_policies(policy, training, randomize):
    embedding = randomize(make_embedding(dtype=policy))
    ids = np.array([[1, 1, 2]])
    states = embedding(ids, ids, training=training)
    assert states.dtype.name == policy.removeprefix("mixed_")
    expected = embed_in_numpy(embedding, ids, ids, np.arange(3))
    np.testing.assert_allclose(
        np.asarray(states).astype("float64"), expected, atol=0.05
    )


def test_dropout_is_for_training_only(randomize):
    embedding = randomize(make_embedding(dropout=0.5))
    ids = np.ones((4, 6), "int32")
    assert (np.asarray(embedding(ids, ids)) != 0).all()
    dropped = np.asarray(embedding(ids, ids, training=True)) == 0
    assert 0.2 < dropped.mean() < 0.8


def test_a_row_longer_than_the_table():
    ids = np.ones((1, 7), "int32")
    with pytest.raises(ValueError, match="length=7, max_sequence_length=6"):
        make_embedding()(ids, ids)


def test_config_round_trip(randomize):
    embedding = randomize(make_embedding(dropout=0.2, name="embeddings"))
    config = keras.layers.serialize(embedding)
    restored = keras.layers.deserialize(config)
    assert keras.layers.serialize(restored) == config
    restored.set_weights(embedding.get_weights())
    ids = np.array([[1, 1, 2]])
    np.testing.assert_array_equal(restored(ids, ids), embedding(ids, ids))
    assert embedding.compute_output_shape((1, 3), (1, 3)) == (1, 3, 4)
