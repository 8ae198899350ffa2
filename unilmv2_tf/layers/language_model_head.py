import keras
from keras import ops

from unilmv2_tf.layers.configured_layer import ConfiguredLayer


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class LanguageModelHead(ConfiguredLayer):
    """Dense, gelu, LayerNorm, then logits from the tied token embedding.

    Unlike KerasHub's `MaskedLMHead` it gathers no positions: the hidden states
    of the predicted tokens are its input.
    """

    def __init__(
        self,
        token_embedding: keras.layers.ReversibleEmbedding,
        layer_norm_epsilon: float = 1e-12,
        kernel_initializer="glorot_uniform",
        approximate_gelu: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.approximate_gelu = approximate_gelu

        # === Layers ===
        self.hidden_dim = token_embedding.output_dim
        self.dense = keras.layers.Dense(
            self.hidden_dim,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="dense",
        )
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon,
            dtype=self.dtype_policy,
            name="layer_norm",
        )

    def build(self, hidden_states_shape):
        if not self.token_embedding.built:
            self.token_embedding.build((None, None))
        self.dense.build((None, None, self.hidden_dim))
        self.layer_norm.build((None, None, self.hidden_dim))
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(self.token_embedding.input_dim,),
            initializer="zeros",
        )
        self.built = True

    def call(self, hidden_states):
        x = self.transform(hidden_states)
        logits = self.token_embedding(x, reverse=True)
        return logits + ops.cast(self.output_bias, logits.dtype)

    def transform(self, hidden_states):
        """The states that are multiplied with the token embeddings."""
        x = ops.gelu(
            self.dense(hidden_states), approximate=self.approximate_gelu
        )
        return self.layer_norm(x)

    def compute_output_shape(self, hidden_states_shape):
        return (*hidden_states_shape[:-1], self.token_embedding.input_dim)
