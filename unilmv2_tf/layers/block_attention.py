import keras
from keras import ops

from unilmv2_tf.layers.configured_layer import ConfiguredLayer
from unilmv2_tf.layers.dropout import Dropout


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class BlockSelfAttention(ConfiguredLayer):
    """Multi-head self-attention over `[context | revealed | pseudo]`.

    The projections run once over the whole row. Attention is computed for one
    block of the row at a time, with the keys that the block may see only:

        context   attends to  context
        revealed  attends to  context, revealed
        pseudo    attends to  context, revealed, pseudo

    The result equals dense attention under the full mask.

    Args:
        num_heads: int. The number of heads. It must divide `hidden_dim`.
        hidden_dim: int. The size of the hidden states.
        dropout: float. The dropout rate of the attention probabilities.
            Defaults to `0.0`.
        kernel_initializer: The initializer of the projections. Defaults to
            `"glorot_uniform"`.
        **kwargs: See `keras.layers.Layer`.

    Call arguments:
        hidden_states: Tensor of shape `(batch, n + 2m, hidden_dim)`, or
            `(batch, n, hidden_dim)` for a row with context only.
        attention_bias: The dict that `BlockAttentionBias` returns.
        query_states: Optional tensor of shape `(batch, k + m, hidden_dim)`.
            The queries, where not all tokens are: context tokens at the
            `query_positions` of `BlockAttentionBias` (if given), then the
            pseudo masks (if the row has any). Defaults to `hidden_states`.

    Returns:
        A tensor of the shape of `query_states`.

    Raises:
        ValueError: If `num_heads` does not divide `hidden_dim`.

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
        num_heads: int,
        hidden_dim: int,
        dropout: float = 0.0,
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
        query, key, value = self.project(hidden_states, query_states)
        if query_states is None:
            blocks = self._blocks(query, key, value, attention_bias)
        else:
            blocks = self._query_blocks(query, key, value, attention_bias)
        return self._attend(blocks, training)

    def call_with_keys(self, hidden_states, attention_bias):
        """As `call` in inference; also returns keys and values for a cache."""
        query, key, value = self.project(hidden_states)
        blocks = self._blocks(query, key, value, attention_bias)
        return self._attend(blocks, training=False), key, value

    def probabilities(self, hidden_states, attention_bias):
        """Attention probabilities of each block, `(batch, heads, ., keys)`."""
        blocks = self._blocks(*self.project(hidden_states), attention_bias)
        return [
            self._probabilities(queries, keys, biases)
            for queries, keys, _, biases in blocks
        ]

    def project(self, hidden_states, query_states=None):
        """Scaled queries, keys and values, `(batch, heads, length, dim)`."""
        if query_states is None:
            query_states = hidden_states
        query = self.query(query_states) * self.head_dim**-0.5
        return (
            self._split_heads(query),
            self._split_heads(self.key(hidden_states)),
            self._split_heads(self.value(hidden_states)),
        )

    def softmax(self, scores):
        """Softmax over the last axis, computed in at least float32."""
        if self.compute_dtype in ("float16", "bfloat16"):
            scores = ops.cast(scores, "float32")
        return ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)

    def _split_heads(self, x):
        length = ops.shape(x)[1]
        x = ops.reshape(x, (-1, length, self.num_heads, self.head_dim))
        return ops.transpose(x, (0, 2, 1, 3))

    def _blocks(self, query, key, value, attention_bias):
        """`(queries, keys, values, biases)` of each block of the row."""
        context_bias = [attention_bias["context_padding"]]
        if "context" in attention_bias:
            context_bias.append(attention_bias["context"])
        if "pseudo" not in attention_bias:
            return [(query, key, value, context_bias)]
        num_slots = ops.shape(attention_bias["pseudo"])[2]
        queries = _split_row(query, num_slots)
        keys = _split_row(key, num_slots)
        values = _split_row(value, num_slots)
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

    def _query_blocks(self, query, key, value, attention_bias):
        """As `_blocks`, where the queries are `query_states`."""
        if "query" not in attention_bias:
            return [(query, key, value, [attention_bias["pseudo"]])]
        bias = attention_bias["query"]
        num_queries, num_context = ops.shape(bias)[2:]
        context = (
            query[:, :, :num_queries],
            key[:, :, :num_context],
            value[:, :, :num_context],
            [bias],
        )
        if "pseudo" not in attention_bias:
            return [context]
        pseudo_query = query[:, :, num_queries:]
        return [context, (pseudo_query, key, value, [attention_bias["pseudo"]])]

    def _attend(self, blocks, training):
        outputs = []
        for queries, keys, values, biases in blocks:
            probabilities = self.dropout_layer(
                self._probabilities(queries, keys, biases), training=training
            )
            outputs.append(ops.matmul(probabilities, values))
        x = outputs[0]
        if len(outputs) > 1:
            x = ops.concatenate(outputs, axis=2)
        x = ops.transpose(x, (0, 2, 1, 3))
        length = ops.shape(x)[1]
        return self.output_dense(ops.reshape(x, (-1, length, self.hidden_dim)))

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


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class QueryStates(keras.layers.Layer):
    """Gathers the hidden states of the tokens that the last layer computes.

    These are the context tokens at `query_indices`, `(batch, k)`, then the
    pseudo masks of `pseudo_steps`, `(batch, m)`; either may be `None`.
    """

    def call(self, hidden_states, query_indices=None, pseudo_steps=None):
        batch, length, hidden_dim = ops.shape(hidden_states)
        states = []
        if query_indices is not None:
            # Rows of one flat table: `take_along_axis` would look up each
            # number of a hidden state on its own.
            row_start = ops.expand_dims(ops.arange(batch) * length, axis=-1)
            indices = ops.cast(query_indices, "int32") + row_start
            flat = ops.reshape(hidden_states, (-1, hidden_dim))
            gathered = ops.take(flat, ops.reshape(indices, (-1,)), axis=0)
            shape = (-1, ops.shape(query_indices)[1], hidden_dim)
            states.append(ops.reshape(gathered, shape))
        if pseudo_steps is not None:
            num_slots = ops.shape(pseudo_steps)[1]
            states.append(hidden_states[:, length - num_slots :])
        return states[0] if len(states) == 1 else ops.concatenate(states, 1)

    def compute_output_shape(
        self,
        hidden_states_shape,
        query_indices_shape=None,
        pseudo_steps_shape=None,
    ):
        shapes = [x for x in (query_indices_shape, pseudo_steps_shape) if x]
        lengths = [shape[1] for shape in shapes]
        length = None if None in lengths else sum(lengths)
        return (shapes[0][0], length, hidden_states_shape[-1])


def _split_row(x, num_slots):
    """Splits axis 2 of a row into its context, revealed and pseudo blocks."""
    num_context = ops.shape(x)[2] - 2 * num_slots
    if isinstance(num_context, int):
        # The gradient of a split is one concatenation, that of three slices
        # is three padded copies and their sum.
        return ops.split(x, [num_context, num_context + num_slots], axis=2)
    return [
        x[:, :, :num_context],
        x[:, :, num_context : num_context + num_slots],
        x[:, :, num_context + num_slots :],
    ]
