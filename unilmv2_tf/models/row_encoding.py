from keras import ops

from unilmv2_tf.layers import BlockAttentionBias
from unilmv2_tf.layers import BlockRow
from unilmv2_tf.layers import GatherPositions
from unilmv2_tf.layers import PseudoBlock


class RowEncoding:
    """How a backbone runs its layers over text, and over rows of blocks.

    A mix-in for `UniLMv2Backbone`, whose layers it uses: `embeddings`,
    `attention_bias`, `relative_position_bias` and `transformer_layers`. What
    nobody reads of the last layer is not computed.

    Reference:
        Bao et al., 2020, section 3.2.
    """

    def encode(
        self,
        token_ids,
        segment_ids,
        padding_mask,
        position_ids=None,
        picked_places=None,
    ):
        """Encodes text, at the positions that are given.

        Args:
            token_ids: int tensor of shape `(batch, n)`.
            segment_ids: int tensor of shape `(batch, n)`.
            padding_mask: int tensor of shape `(batch, n)`, 0 on padding.
            position_ids: optional int tensor of shape `(batch, n)`. Defaults
                to `0 .. n - 1`.
            picked_places: optional int tensor of shape `(batch, k)`, the
                tokens that are needed of the last layer, which then computes
                nothing else.

        Returns:
            The last hidden states, of shape `(batch, n, hidden_dim)`, or
            `(batch, k, hidden_dim)` of the tokens that are picked.

        Example:

        >>> import numpy as np
        >>> from unilmv2_tf.models import UniLMv2Backbone
        >>> backbone = UniLMv2Backbone.from_preset(
        ...     "unilmv2_tiny", load_weights=False, vocabulary_size=99)
        >>> ids = np.array([[2, 7, 3]])
        >>> hidden = backbone.encode(ids, 0 * ids, 0 * ids + 1, 5 + 0 * ids)
        >>> tuple(hidden.shape)
        (1, 3, 128)
        """
        hidden_states = self.embeddings(
            token_ids, segment_ids, position_ids=position_ids
        )
        if picked_places is None:
            bias = self.attention_bias(
                padding_mask, context_positions=position_ids
            )
            return self.run_layers(hidden_states, bias)
        picked_positions = picked_places
        if position_ids is not None:
            picked_positions = ops.take_along_axis(
                position_ids, picked_places, axis=1
            )
        bias = self._new_attention_bias()(
            padding_mask,
            context_positions=position_ids,
            picked_positions=picked_positions,
        )
        return self.run_layers(hidden_states, bias, picked_places)

    def run_layers(
        self, hidden_states, bias, picked_places=None, pseudo_steps=None
    ):
        """Applies the transformer layers, the last to some tokens only.

        Args:
            hidden_states: tensor of shape `(batch, length, hidden_dim)`.
            bias: what `BlockAttentionBias` returns.
            picked_places: optional int tensor of shape `(batch, k)`: these
                tokens of the context are needed, and no others of it.
            pseudo_steps: optional int tensor of shape `(batch, m)`, if the
                pseudo masks are needed, too.

        Returns:
            The last hidden states of the tokens that are needed, the pseudo
            masks last, or, with neither argument, of all.
        """
        *layers, last = self.transformer_layers
        for layer in layers:
            hidden_states = layer(hidden_states, bias)
        needed = needed_states(hidden_states, picked_places, pseudo_steps)
        if needed is hidden_states:
            return last(hidden_states, bias)
        return last(hidden_states, bias, query_states=needed)

    def encode_blocks(
        self,
        token_ids,
        segment_ids,
        padding_mask,
        revealed_token_ids,
        pseudo_token_ids,
        target_segment_ids,
        target_positions,
        steps,
        picked_places=None,
        predicted_only=False,
    ):
        """Encodes rows of `[context | revealed | pseudo]` in one pass.

        Args:
            token_ids: int tensor of shape `(batch, n)`, the context.
            segment_ids: int tensor of shape `(batch, n)`.
            padding_mask: int tensor of shape `(batch, n)`, 0 on padding.
            revealed_token_ids: int tensor of shape `(batch, m)`, the tokens
                that are predicted.
            pseudo_token_ids: int tensor of shape `(batch, m)`, what stands in
                the pseudo block.
            target_segment_ids: int tensor of shape `(batch, m)`.
            target_positions: int tensor of shape `(batch, m)`.
            steps: int tensor of shape `(batch, m)`, the factorization step of
                each predicted token, 0 in unused slots.
            picked_places: optional int tensor of shape `(batch, k)`, tokens of
                the context that are predicted, too.
            predicted_only: bool. Whether the last layer computes nothing but
                the tokens that are picked and the pseudo masks. Defaults to
                `False`.

        Returns:
            The last hidden states, of shape `(batch, n + 2m, hidden_dim)`, or
            `(batch, k + m, hidden_dim)` if they are `predicted_only`.

        Example:

        >>> import numpy as np
        >>> from unilmv2_tf.models import UniLMv2Backbone
        >>> backbone = UniLMv2Backbone.from_preset(
        ...     "unilmv2_tiny", load_weights=False, vocabulary_size=99)
        >>> context, target = np.full((1, 5), 7), np.full((1, 2), 8)
        >>> hidden_states = backbone.encode_blocks(
        ...     token_ids=context, segment_ids=0 * context,
        ...     padding_mask=0 * context + 1, revealed_token_ids=target,
        ...     pseudo_token_ids=0 * target + 4, target_segment_ids=0 * target,
        ...     target_positions=np.array([[2, 4]]),
        ...     steps=np.array([[2, 1]]))
        >>> tuple(hidden_states.shape)
        (1, 9, 128)
        """
        hidden_states, bias = self.embed_blocks(
            padding_mask,
            steps,
            target_positions,
            token_ids=token_ids,
            segment_ids=segment_ids,
            revealed_token_ids=revealed_token_ids,
            pseudo_token_ids=pseudo_token_ids,
            target_segment_ids=target_segment_ids,
            picked_places=picked_places,
        )
        if not predicted_only:
            return self.run_layers(hidden_states, bias)
        return self.run_layers(hidden_states, bias, picked_places, steps)

    def embed_blocks(
        self,
        padding_mask,
        steps,
        target_positions,
        picked_places=None,
        **row,
    ):
        """What `encode_blocks` hands to the first transformer layer.

        Args:
            padding_mask: as in `encode_blocks`.
            steps: as in `encode_blocks`.
            target_positions: as in `encode_blocks`.
            picked_places: as in `encode_blocks`.
            **row: the other arguments of `encode_blocks`.

        Returns:
            A tuple of the hidden states, of shape `(batch, n + 2m,
            hidden_dim)`, and what `BlockAttentionBias` returns.
        """
        row = BlockRow(name="block_row")(
            target_positions=target_positions, **row
        )
        hidden_states = self.embeddings(**row)
        bias = self._new_attention_bias()(
            padding_mask,
            steps=steps,
            target_positions=target_positions,
            picked_positions=picked_places,
        )
        return hidden_states, bias

    def _new_attention_bias(self):
        # Not `self.attention_bias`: a layer that is called twice in a Keras
        # graph must return as many tensors each time.
        return BlockAttentionBias(
            self.relative_position_bias,
            dtype=self.attention_bias.dtype_policy,
            name="block_attention_bias",
        )


def needed_states(hidden_states, picked_places=None, pseudo_steps=None):
    """Takes the tokens out of a row that are read after the last layer.

    Args:
        hidden_states: as in `RowEncoding.run_layers`.
        picked_places: as in `RowEncoding.run_layers`.
        pseudo_steps: as in `RowEncoding.run_layers`.

    Returns:
        A tensor of shape `(batch, k + m, hidden_dim)`, or `hidden_states`
        themselves if neither argument is given.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.models.row_encoding import needed_states
    >>> row = np.arange(7, dtype="float32").reshape(1, 7, 1)
    >>> needed = needed_states(row, np.array([[1]]), np.array([[2, 1]]))
    >>> np.array(needed).ravel()
    array([1., 5., 6.], dtype=float32)
    """
    needed = []
    if picked_places is not None:
        needed.append(GatherPositions()(hidden_states, picked_places))
    if pseudo_steps is not None:
        needed.append(PseudoBlock()(hidden_states, pseudo_steps))
    if not needed:
        return hidden_states
    return needed[0] if len(needed) == 1 else ops.concatenate(needed, axis=1)
