import keras
from keras import ops

from unilmv2_tf.layers.configured_layer import ConfiguredLayer
from unilmv2_tf.layers.dropout import Dropout


def lookup_with_dense_gradient(table, token_ids):
    """Looks up rows of a table; the gradient is one dense tensor.

    The gradient of a plain lookup under TensorFlow is a list of rows. Keras's
    optimizers square the entries of a repeated row before they are summed, so
    second moments would be wrong.
    """
    # The gradient of a reshape is dense.
    table = ops.convert_to_tensor(table)
    token_ids = ops.cast(token_ids, "int32")
    return ops.take(ops.reshape(table, table.shape), token_ids, axis=0)


class _DenseGradient:
    """A mix-in for embedding layers: a dense gradient."""

    def call(self, inputs, reverse=False):
        if reverse:
            return super().call(inputs, reverse=True)
        embeddings = lookup_with_dense_gradient(self.embeddings, inputs)
        return ops.cast(embeddings, self.compute_dtype)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras refuses to quantize subclasses, as their arithmetic may differ.
        # That of these classes does not.
        super().quantize(mode, type_check=False, config=config)


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class DenseGradientEmbedding(_DenseGradient, keras.layers.Embedding):
    """A `keras.layers.Embedding` with a dense gradient."""


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class TiedEmbedding(_DenseGradient, keras.layers.ReversibleEmbedding):
    """A `keras.layers.ReversibleEmbedding` with a dense gradient."""


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class TransformerEmbedding(ConfiguredLayer):
    """Token + position + segment embeddings, LayerNorm, dropout.

    Position ids are explicit because a revealed token and its pseudo mask
    follow the text in the row but have the position of the token they stand
    for. They default to `0 .. length - 1`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        max_sequence_length: int,
        num_segments: int,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-12,
        embeddings_initializer="uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.max_sequence_length = max_sequence_length
        self.num_segments = num_segments
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.embeddings_initializer = keras.initializers.get(
            embeddings_initializer
        )

        # === Layers ===
        def table(layer_class, input_dim, name):
            return layer_class(
                input_dim,
                hidden_dim,
                embeddings_initializer=self.embeddings_initializer.clone(),
                dtype=self.dtype_policy,
                name=name,
            )

        self.token_embedding = table(
            TiedEmbedding, vocabulary_size, "token_embedding"
        )
        self.position_embedding = table(
            DenseGradientEmbedding, max_sequence_length, "position_embedding"
        )
        self.segment_embedding = table(
            DenseGradientEmbedding, num_segments, "segment_embedding"
        )
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon,
            dtype=self.dtype_policy,
            name="layer_norm",
        )
        self.dropout_layer = Dropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, *input_shapes):
        for embedding in (
            self.token_embedding,
            self.position_embedding,
            self.segment_embedding,
        ):
            embedding.build((None, None))
        self.layer_norm.build((None, None, self.hidden_dim))
        self.built = True

    def call(self, token_ids, segment_ids, position_ids=None, training=None):
        if position_ids is None:
            length = ops.shape(token_ids)[1]
            if isinstance(length, int) and length > self.max_sequence_length:
                raise ValueError(
                    "The row is longer than the position table. Received: "
                    f"length={length}, "
                    f"max_sequence_length={self.max_sequence_length}. Use a "
                    "shorter `sequence_length`, or a model with more "
                    "positions."
                )
            position_ids = ops.arange(length)[None]
        x = (
            self.token_embedding(token_ids)
            + self.position_embedding(position_ids)
            + self.segment_embedding(segment_ids)
        )
        return self.dropout_layer(self.layer_norm(x), training=training)

    def compute_output_shape(self, token_ids_shape, *other_shapes):
        return (*token_ids_shape, self.hidden_dim)
