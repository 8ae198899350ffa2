import keras
from keras import ops

from unilmv2_tf.layers.dropout import Dropout


def split_blocks(x, num_slots, axis):
    """Splits a row into its context, revealed and pseudo blocks.

    Args:
        x: tensor whose `axis` is `n + 2 * num_slots` long.
        num_slots: int or scalar int tensor. The length of each of the last
            two blocks.
        axis: int, not negative. The axis of the row.

    Returns:
        A list of three tensors.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import split_blocks
    >>> [block.tolist() for block in
    ...     map(np.array, split_blocks(np.arange(7), num_slots=2, axis=0))]
    [[0, 1, 2], [3, 4], [5, 6]]
    """
    length = ops.shape(x)[axis]
    num_context = length - 2 * num_slots
    if isinstance(num_context, int):
        # The gradient of a split is one concatenation, that of three slices
        # is three padded copies and their sum.
        return ops.split(x, [num_context, num_context + num_slots], axis=axis)
    before = (slice(None),) * axis
    return [
        x[(*before, slice(None, num_context))],
        x[(*before, slice(num_context, num_context + num_slots))],
        x[(*before, slice(num_context + num_slots, None))],
    ]


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class BlockSelfAttention(keras.layers.Layer):
    """Multi-head self-attention over `[context | revealed | pseudo]`.

    The projections run once over the whole row, the attention itself by
    blocks, each of which reads only the keys that it may see:

        context   reads  context
        revealed  reads  context, revealed
        pseudo    reads  context, revealed, pseudo

    The result is that of dense attention under the full mask.

    Args:
        num_heads: int. The number of heads; it divides `hidden_dim`.
        hidden_dim: int. The size of the hidden states.
        dropout: float. Dropout of the attention probabilities. Defaults to
            `0.0`.
        kernel_initializer: initializer of the projections. Defaults to
            `"glorot_uniform"`.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        hidden_states: tensor of shape `(batch, n + 2m, hidden_dim)`, or
            `(batch, n, hidden_dim)` when there is only context.
        attention_bias: the dict that `BlockAttentionBias` returns.
        query_states: optional tensor of shape `(batch, k + m, hidden_dim)`:
            the tokens that attend, where not all of them do. They are the
            tokens of the context at the `picked_positions` of
            `BlockAttentionBias`, if it had any, and the pseudo masks, if
            there are any. Defaults to `hidden_states`.

    Returns:
        A tensor of the shape of `query_states`.

    Raises:
        ValueError: if `num_heads` does not divide `hidden_dim`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import BlockAttentionBias
    >>> from unilmv2_tf.layers import BlockSelfAttention
    >>> bias = BlockAttentionBias()(
    ...     np.ones((1, 6), "int32"),
    ...     steps=np.array([[1, 1, 2]]),
    ...     target_positions=np.array([[3, 4, 1]]),
    ... )
    >>> attention = BlockSelfAttention(num_heads=2, hidden_dim=8)
    >>> tuple(attention(np.ones((1, 12, 8), "float32"), bias).shape)
    (1, 12, 8)

    Reference:
        Bao et al., 2020, section 3.2; Vaswani et al., 2017.
    """

    def __init__(
        self,
        num_heads,
        hidden_dim,
        dropout=0.0,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if hidden_dim % num_heads:
            raise ValueError(
                "`hidden_dim` must be divisible by `num_heads`. Received: "
                f"hidden_dim={hidden_dim}, num_heads={num_heads}"
            )
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.head_dim = hidden_dim // num_heads
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

        # === Layers ===
        def projection(name):
            return keras.layers.Dense(
                hidden_dim,
                kernel_initializer=self.kernel_initializer.clone(),
                dtype=self.dtype_policy,
                name=name,
            )

        self.query = projection("query")
        self.key = projection("key")
        self.value = projection("value")
        self.output_dense = projection("attention_output")
        self.dropout_layer = Dropout(
            dropout, dtype=self.dtype_policy, name="attention_dropout"
        )

    def build(self, hidden_states_shape, attention_bias_shape=None):
        for dense in (self.query, self.key, self.value, self.output_dense):
            dense.build((None, None, self.hidden_dim))
        self.built = True

    def call(
        self, hidden_states, attention_bias, query_states=None, training=None
    ):
        if query_states is None:
            output, _, _ = self.call_with_keys(
                hidden_states, attention_bias, training=training
            )
            return output
        query, key, value = self.project(hidden_states, query_states)
        blocks = self._picked_blocks(query, key, value, attention_bias)
        return self._attend(blocks, training)

    def call_with_keys(self, hidden_states, attention_bias, training=None):
        """As `call`, and returns the keys and values, for a cache.

        Args:
            hidden_states: as in `call`.
            attention_bias: as in `call`.
            training: bool. Whether to apply dropout.

        Returns:
            A tuple `(output, keys, values)`, the last two of shape
            `(batch, num_heads, length, head_dim)`.
        """
        query, key, value = self.project(hidden_states)
        blocks = self._blocks(query, key, value, attention_bias)
        return self._attend(blocks, training), key, value

    def _attend(self, blocks, training):
        outputs = [
            ops.matmul(
                self.dropout_layer(
                    self._probabilities(queries, keys, biases),
                    training=training,
                ),
                values,
            )
            for queries, keys, values, biases in blocks
        ]
        output = outputs[0]
        if len(outputs) > 1:
            output = ops.concatenate(outputs, axis=2)
        return self.merge_heads(output)

    def probabilities(self, hidden_states, attention_bias):
        """How much the tokens of each block attend to the tokens they see.

        Args:
            hidden_states: as in `call`.
            attention_bias: as in `call`.

        Returns:
            A list of tensors that sum to 1 over their last axis: of shape
            `(batch, num_heads, n, n)` for the context, and, if there are
            targets, `(batch, num_heads, m, n + m)` for the revealed tokens and
            `(batch, num_heads, m, n + 2m)` for the pseudo masks.
        """
        return [
            self._probabilities(queries, keys, biases)
            for queries, keys, _, biases in self._blocks(
                *self.project(hidden_states), attention_bias
            )
        ]

    def project(self, hidden_states, query_states=None):
        """Projects hidden states to scaled queries, keys and values.

        Args:
            hidden_states: tensor of shape `(batch, length, hidden_dim)`.
            query_states: as in `call`.

        Returns:
            Three tensors of shape `(batch, num_heads, length, head_dim)`. The
            queries are divided by the root of `head_dim`.
        """
        if query_states is None:
            query_states = hidden_states
        query = self.query(query_states) * self.head_dim**-0.5
        return (
            self._split_heads(query),
            self._split_heads(self.key(hidden_states)),
            self._split_heads(self.value(hidden_states)),
        )

    def merge_heads(self, x):
        """Joins the heads and applies the output projection.

        Args:
            x: tensor of shape `(batch, num_heads, length, head_dim)`.

        Returns:
            A tensor of shape `(batch, length, hidden_dim)`.
        """
        x = ops.transpose(x, (0, 2, 1, 3))
        length = ops.shape(x)[1]
        return self.output_dense(ops.reshape(x, (-1, length, self.hidden_dim)))

    def softmax(self, scores):
        """Attention probabilities, computed in at least float32.

        Args:
            scores: float tensor of shape `(..., keys)`.

        Returns:
            A tensor of the same shape in the layer's compute dtype.
        """
        if self.compute_dtype in ("float16", "bfloat16"):
            scores = ops.cast(scores, "float32")
        return ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)

    def _split_heads(self, x):
        length = ops.shape(x)[1]
        x = ops.reshape(x, (-1, length, self.num_heads, self.head_dim))
        return ops.transpose(x, (0, 2, 1, 3))

    def _blocks(self, query, key, value, attention_bias):
        """The queries of each block, the keys and values that they see, and
        what is added to their scores.
        """
        context_bias = [attention_bias["context_padding"]]
        if "context" in attention_bias:
            context_bias.append(attention_bias["context"])
        if "pseudo" not in attention_bias:
            return [(query, key, value, context_bias)]
        num_slots = ops.shape(attention_bias["pseudo"])[2]
        queries = split_blocks(query, num_slots, axis=2)
        keys = split_blocks(key, num_slots, axis=2)
        values = split_blocks(value, num_slots, axis=2)
        return [
            (queries[0], keys[0], values[0], context_bias),
            (
                queries[1],
                ops.concatenate(keys[:2], axis=2),
                ops.concatenate(values[:2], axis=2),
                [attention_bias["revealed"]],
            ),
            (queries[2], key, value, [attention_bias["pseudo"]]),
        ]

    def _picked_blocks(self, query, key, value, attention_bias):
        """As `_blocks`, where the queries are `query_states`."""
        biases = [
            attention_bias[name]
            for name in ("picked", "pseudo")
            if name in attention_bias
        ]
        if len(biases) == 1 and "pseudo" in attention_bias:
            return [(query, key, value, biases)]
        num_picked = ops.shape(biases[0])[2]
        num_context = ops.shape(biases[0])[3]
        blocks = [
            (
                query[:, :, :num_picked],
                key[:, :, :num_context],
                value[:, :, :num_context],
                biases[:1],
            )
        ]
        if len(biases) > 1:
            blocks.append((query[:, :, num_picked:], key, value, biases[1:]))
        return blocks

    def _probabilities(self, query, key, biases):
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        for bias in biases:
            scores = scores + bias
        return self.softmax(scores)

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
                "dropout": self.dropout,
                "kernel_initializer": keras.initializers.serialize(
                    self.kernel_initializer
                ),
            }
        )
        return config
