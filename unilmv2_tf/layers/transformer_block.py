import keras
from keras import ops

from unilmv2_tf.layers.block_attention import BlockSelfAttention
from unilmv2_tf.layers.dropout import Dropout
from unilmv2_tf.layers.gelu import training_gelu


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class TransformerBlock(keras.layers.Layer):
    """A post-LayerNorm Transformer layer over `[context | revealed | pseudo]`.

    Args:
        num_heads: int. The number of attention heads; it divides `hidden_dim`.
        hidden_dim: int. The size of the hidden states.
        intermediate_dim: int. The inner size of the feed-forward network.
        dropout: float. Dropout of attention probabilities and of both
            residual branches. Defaults to `0.0`.
        layer_norm_epsilon: float. Defaults to `1e-12`.
        kernel_initializer: initializer of the dense kernels. Defaults to
            `"glorot_uniform"`.
        approximate_gelu: bool. Whether the feed-forward network takes the tanh
            approximation of the gelu. Defaults to `False`: off by up to 2e-3
            in the logits of a small model that was trained with the exact one.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        hidden_states: tensor of shape `(batch, length, hidden_dim)`.
        attention_bias: the dict that `BlockAttentionBias` returns.
        query_states: optional tensor of shape `(batch, k + m, hidden_dim)`:
            the tokens to compute, where not all are needed, see
            `BlockSelfAttention`. Defaults to `hidden_states`.

    Returns:
        A tensor of the shape of `query_states`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import BlockAttentionBias, TransformerBlock
    >>> block = TransformerBlock(num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> bias = BlockAttentionBias()(np.ones((3, 5), "int32"))
    >>> tuple(block(np.ones((3, 5, 8), "float32"), bias).shape)
    (3, 5, 8)

    Reference:
        Devlin et al., 2019 (BERT); Bao et al., 2020, section 4.1.
    """

    def __init__(
        self,
        num_heads,
        hidden_dim,
        intermediate_dim,
        dropout=0.0,
        layer_norm_epsilon=1e-12,
        kernel_initializer="glorot_uniform",
        approximate_gelu=False,
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
        self.self_attention = BlockSelfAttention(
            num_heads=num_heads,
            hidden_dim=hidden_dim,
            dropout=dropout,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="self_attention",
        )
        self.self_attention_layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon,
            dtype=self.dtype_policy,
            name="self_attention_layer_norm",
        )
        self.intermediate_dense = keras.layers.Dense(
            intermediate_dim,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="intermediate_dense",
        )
        self.output_dense = keras.layers.Dense(
            hidden_dim,
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name="output_dense",
        )
        self.output_layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon,
            dtype=self.dtype_policy,
            name="output_layer_norm",
        )
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
        """As `call` in inference, and returns keys and values for a cache.

        Args:
            hidden_states: as in `call`.
            attention_bias: as in `call`.

        Returns:
            A tuple `(hidden_states, keys, values)`, see
            `BlockSelfAttention.call_with_keys`.
        """
        attention_output, keys, values = self.self_attention.call_with_keys(
            hidden_states, attention_bias, training=False
        )
        output = self.feed_forward(hidden_states, attention_output)
        return output, keys, values

    def feed_forward(
        self,
        hidden_states,
        attention_output,
        training=False,
        gelu=None,
        intermediate_dense=None,
        output_dense=None,
    ):
        """What follows attention: residuals, norms and the two dense layers.

        Args:
            hidden_states: the input of the block.
            attention_output: what its self-attention made of it.
            training: bool. Whether to apply dropout.
            gelu: function with the arguments of `keras.ops.gelu`. Defaults to
                it, and in training to `training_gelu`.
            intermediate_dense: function in the place of the first dense
                layer. Defaults to that layer.
            output_dense: function in the place of the second dense layer.
                Defaults to that layer.

        Returns:
            The output of the block, of the shape of `hidden_states`.
        """
        x = self.self_attention_layer_norm(
            hidden_states
            + self.dropout_layer(attention_output, training=training)
        )
        gelu = gelu or (training_gelu if training else ops.gelu)
        intermediate_dense = intermediate_dense or self.intermediate_dense
        output_dense = output_dense or self.output_dense
        inner = gelu(intermediate_dense(x), approximate=self.approximate_gelu)
        return self.output_layer_norm(
            x + self.dropout_layer(output_dense(inner), training=training)
        )

    def compute_output_shape(
        self,
        hidden_states_shape,
        attention_bias_shape=None,
        query_states_shape=None,
    ):
        return query_states_shape or hidden_states_shape

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_heads": self.num_heads,
                "hidden_dim": self.hidden_dim,
                "intermediate_dim": self.intermediate_dim,
                "dropout": self.dropout,
                "layer_norm_epsilon": self.layer_norm_epsilon,
                "kernel_initializer": keras.initializers.serialize(
                    self.kernel_initializer
                ),
                "approximate_gelu": self.approximate_gelu,
            }
        )
        return config
