import keras
from keras import ops

from unilmv2_tf.layers.block_attention import BlockSelfAttention
from unilmv2_tf.layers.configured_layer import ConfiguredLayer
from unilmv2_tf.layers.dropout import Dropout


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class TransformerBlock(ConfiguredLayer):
    """A post-LayerNorm Transformer layer over `[context | revealed | pseudo]`.

    The call arguments are those of `BlockSelfAttention`.
    """

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-12,
        kernel_initializer="glorot_uniform",
        approximate_gelu: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.approximate_gelu = approximate_gelu

        # === Layers ===
        def dense(units, name):
            return keras.layers.Dense(
                units,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=self.dtype_policy,
                name=name,
            )

        def layer_norm(name):
            return keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name=name
            )

        self.self_attention = BlockSelfAttention(
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            dropout=dropout,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="self_attention",
        )
        self.self_attention_layer_norm = layer_norm("self_attention_layer_norm")
        self.intermediate_dense = dense(intermediate_dim, "intermediate_dense")
        self.output_dense = dense(hidden_dim, "output_dense")
        self.output_layer_norm = layer_norm("output_layer_norm")
        self.dropout_layer = Dropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, hidden_states_shape, attention_bias_shape=None):
        hidden_shape = (None, None, self.hidden_dim)
        self.self_attention.build(hidden_shape)
        self.self_attention_layer_norm.build(hidden_shape)
        self.intermediate_dense.build(hidden_shape)
        self.output_dense.build((None, None, self.intermediate_dim))
        self.output_layer_norm.build(hidden_shape)
        self.built = True

    def call(
        self, hidden_states, attention_bias, query_states=None, training=None
    ):
        attention_output = self.self_attention(
            hidden_states,
            attention_bias,
            query_states=query_states,
            training=training,
        )
        if query_states is None:
            query_states = hidden_states
        return self.feed_forward(query_states, attention_output, training)

    def call_with_keys(self, hidden_states, attention_bias):
        """As `call` in inference; also returns keys and values for a cache."""
        attention_output, keys, values = self.self_attention.call_with_keys(
            hidden_states, attention_bias
        )
        output = self.feed_forward(hidden_states, attention_output)
        return output, keys, values

    def feed_forward(self, hidden_states, attention_output, training=False):
        """The residuals, norms and the two dense layers after attention."""
        x = self.self_attention_layer_norm(
            hidden_states
            + self.dropout_layer(attention_output, training=training)
        )
        inner = ops.gelu(
            self.intermediate_dense(x), approximate=self.approximate_gelu
        )
        return self.output_layer_norm(
            x + self.dropout_layer(self.output_dense(inner), training=training)
        )

    def compute_output_shape(
        self,
        hidden_states_shape,
        attention_bias_shape=None,
        query_states_shape=None,
    ):
        return query_states_shape or hidden_states_shape
