import keras
from keras import ops

from unilmv2_tf.layers.configured_layer import ConfiguredLayer
from unilmv2_tf.layers.visibility import step_visibility

# Far below any score, and still finite in float16.
MASKED_SCORE = -3e4


def mask_to_bias(mask, dtype):
    """0 where `mask` is True, a large negative number elsewhere."""
    return ops.where(
        mask, ops.cast(0, dtype=dtype), ops.cast(MASKED_SCORE, dtype=dtype)
    )


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class BlockAttentionBias(ConfiguredLayer):
    """The bias of the attention scores, for each block of the row.

    A row is `[context | revealed | pseudo]`. Most of its visibility matrix is
    empty, and within the context it equals the padding mask. So the matrix is
    never built, only the parts below. They are computed once a forward pass
    and shared by all transformer layers.

        context_padding   (batch, 1, 1, n)           padding of the context
        context           (1, heads, n, n)           relative positions
        revealed          (batch, heads, m, n + m)   visibility and positions
        pseudo            (batch, heads, m, n + 2m)  visibility and positions
        query             (batch, heads, k, n)       some queries of the context

    Args:
        relative_position_bias: A `RelativePositionBias`, or `None` for a model
            without one; then `context` is absent and heads is 1.
        **kwargs: See `keras.layers.Layer`.

    Call arguments:
        padding_mask: Int tensor of shape `(batch, n)`, 0 on padding.
        steps: Optional int tensor of shape `(batch, m)`: the step of each
            revealed token and of its pseudo mask, 0 in unused slots. `None`
            for a row with context only.
        target_positions: Int tensor of shape `(batch, m)`, the position ids of
            the tokens in the slots. Required with `steps`.
        context_positions: Optional int tensor of shape `(batch, n)`. Defaults
            to `0 .. n - 1`.
        query_positions: Optional int tensor of shape `(batch, k)`, the
            position ids of the context tokens that the last layer computes.

    Returns:
        A dict of the tensors above.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import BlockAttentionBias
    >>> from unilmv2_tf.layers import RelativePositionBias
    >>> layer = BlockAttentionBias(RelativePositionBias(num_heads=4))
    >>> bias = layer(
    ...     np.ones((2, 6), "int32"),
    ...     steps=np.array([[1, 1, 2], [1, 2, 0]]),
    ...     target_positions=np.array([[3, 4, 1], [2, 5, 0]]),
    ... )
    >>> {name: tuple(part.shape) for name, part in sorted(bias.items())}
    {'context': (1, 4, 6, 6), 'context_padding': (2, 1, 1, 6),
     'pseudo': (2, 4, 3, 12), 'revealed': (2, 4, 3, 9)}

    Reference:
        Bao et al., 2020, section 3.2, figure 5.
    """

    def __init__(self, relative_position_bias=None, **kwargs):
        super().__init__(**kwargs)
        self.relative_position_bias = relative_position_bias

    def build(self, *input_shapes):
        shared = self.relative_position_bias
        if shared is not None and not shared.built:
            shared.build()
        self.built = True

    def call(
        self,
        padding_mask,
        steps=None,
        target_positions=None,
        context_positions=None,
        query_positions=None,
    ):
        is_token = ops.cast(padding_mask, "bool")
        context_padding = mask_to_bias(
            ops.expand_dims(is_token, (1, 2)), self.compute_dtype
        )
        if context_positions is None:
            context_positions = ops.arange(ops.shape(padding_mask)[1])[None]
        bias = {"context_padding": context_padding}
        if self.relative_position_bias is not None:
            bias["context"] = self.relative_position_bias(
                context_positions, context_positions
            )
        if query_positions is not None:
            bias["query"] = self._to_context(
                context_padding, query_positions, context_positions
            )
        if steps is None:
            return bias

        # An unused slot has step 0, as the context has. That is harmless for a
        # query; keys must be masked.
        is_used = ops.expand_dims(steps != 0, axis=-2)
        revealed_to_revealed = step_visibility(steps, steps) & is_used
        pseudo_to_revealed = step_visibility(-steps, steps) & is_used
        pseudo_to_pseudo = step_visibility(-steps, -steps) & is_used

        to_context = self._to_context(
            context_padding, target_positions, context_positions
        )
        to_target = ops.cast(0, self.compute_dtype)
        if self.relative_position_bias is not None:
            # A revealed token and its pseudo mask have the same position.
            to_target = self.relative_position_bias(
                target_positions, target_positions
            )

        def target_bias(visible):
            visible = ops.expand_dims(visible, axis=1)
            return to_target + mask_to_bias(visible, self.compute_dtype)

        bias["revealed"] = ops.concatenate(
            [to_context, target_bias(revealed_to_revealed)], axis=-1
        )
        bias["pseudo"] = ops.concatenate(
            [
                to_context,
                target_bias(pseudo_to_revealed),
                target_bias(pseudo_to_pseudo),
            ],
            axis=-1,
        )
        return bias

    def _to_context(self, context_padding, positions, context_positions):
        if self.relative_position_bias is None:
            num_queries = ops.shape(positions)[1]
            return ops.repeat(context_padding, num_queries, axis=2)
        return context_padding + self.relative_position_bias(
            positions, context_positions
        )
