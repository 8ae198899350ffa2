import keras
from keras import ops


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class BlockRow(keras.layers.Layer):
    """Lays out the row `[context | revealed | pseudo]` of one forward pass.

        text       x1  x2 [M]  x4 [M]      predicted: x5 first, then x3

        block      context             revealed  pseudo
        token ids  x1  x2 [M]  x4 [M]  x3  x5    [P] [P]
        positions   0   1   2   3   4   2   4      2   4

    Call arguments:
        token_ids: int tensor of shape `(batch, n)`, the context.
        segment_ids: int tensor of shape `(batch, n)`.
        revealed_token_ids: int tensor of shape `(batch, m)`, the tokens that
            are predicted.
        pseudo_token_ids: int tensor of shape `(batch, m)`, what stands in the
            pseudo block.
        target_segment_ids: int tensor of shape `(batch, m)`.
        target_positions: int tensor of shape `(batch, m)`.

    Returns:
        A dict of `token_ids`, `segment_ids` and `position_ids`, int tensors of
        shape `(batch, n + 2m)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import BlockRow
    >>> row = BlockRow()(
    ...     np.array([[11, 12, 4, 14, 4]]),
    ...     np.zeros((1, 5), "int32"),
    ...     revealed_token_ids=np.array([[13, 15]]),
    ...     pseudo_token_ids=np.array([[4, 4]]),
    ...     target_segment_ids=np.zeros((1, 2), "int32"),
    ...     target_positions=np.array([[2, 4]]),
    ... )
    >>> np.array(row["token_ids"]).tolist()
    [[11, 12, 4, 14, 4, 13, 15, 4, 4]]
    >>> np.array(row["position_ids"]).tolist()
    [[0, 1, 2, 3, 4, 2, 4, 2, 4]]

    Reference:
        Bao et al., 2020, section 3.2, figure 5.
    """

    def call(
        self,
        token_ids,
        segment_ids,
        revealed_token_ids,
        pseudo_token_ids,
        target_segment_ids,
        target_positions,
    ):
        def row(*blocks):
            return ops.concatenate(
                [ops.cast(block, "int32") for block in blocks], axis=1
            )

        positions = ops.cumsum(ops.ones_like(token_ids), axis=1) - 1
        return {
            "token_ids": row(token_ids, revealed_token_ids, pseudo_token_ids),
            "segment_ids": row(
                segment_ids, target_segment_ids, target_segment_ids
            ),
            "position_ids": row(positions, target_positions, target_positions),
        }


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class PseudoBlock(keras.layers.Layer):
    """Takes the hidden states of the pseudo masks out of a row.

    Call arguments:
        hidden_states: tensor of shape `(batch, n + 2m, hidden_dim)`.
        steps: int tensor of shape `(batch, m)`. Only its shape counts.

    Returns:
        A tensor of shape `(batch, m, hidden_dim)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import PseudoBlock
    >>> hidden_states = np.arange(7, dtype="float32").reshape(1, 7, 1)
    >>> np.array(PseudoBlock()(hidden_states, np.array([[1, 2]]))).ravel()
    array([5., 6.], dtype=float32)
    """

    def call(self, hidden_states, steps):
        num_slots = ops.shape(steps)[1]
        return hidden_states[:, ops.shape(hidden_states)[1] - num_slots :]

    def compute_output_shape(self, hidden_states_shape, steps_shape):
        return (*steps_shape, hidden_states_shape[-1])
