"""Attention without blocks: a bias for every pair of tokens of a row."""

import keras
from keras import ops

from benchmarks.contenders import ours
from unilmv2_tf.layers import BlockRow
from unilmv2_tf.layers import mask_to_bias
from unilmv2_tf.layers import step_visibility
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models.row_encoding import needed_states


class DenseBias(keras.layers.Layer):
    """The whole square, `(batch, heads, n + 2m, n + 2m)`.

    Args:
        relative_position_bias: a `RelativePositionBias`.
        **kwargs: see `keras.layers.Layer`.
    """

    def __init__(self, relative_position_bias, **kwargs):
        super().__init__(**kwargs)
        self.relative_position_bias = relative_position_bias

    def build(self, *input_shapes):
        self.built = True

    def call(self, padding_mask, steps, positions, picked_places=None):
        is_used = ops.cast(steps != 0, "int32")
        row_steps = ops.concatenate(
            [0 * ops.cast(padding_mask, "int32"), steps, -steps], axis=1
        )
        is_key = ops.concatenate([padding_mask, is_used, is_used], axis=1)
        visible = step_visibility(row_steps, row_steps)
        visible = visible & ops.expand_dims(ops.cast(is_key, "bool"), axis=1)
        bias = mask_to_bias(ops.expand_dims(visible, 1), self.compute_dtype)
        if self.relative_position_bias is not None:
            bias = bias + self.relative_position_bias(positions, positions)
        # With nothing else, attention takes the row for a single block.
        dense = {"context_padding": bias}
        if picked_places is not None:
            dense["picked"] = _needed_rows(bias, picked_places)
        return dense


def _needed_rows(bias, picked_places):
    """Those of the picked tokens and of the pseudo masks."""
    num_slots = ops.shape(picked_places)[1]
    length = ops.shape(bias)[2]
    pseudo = ops.ones_like(picked_places) * ops.arange(
        length - num_slots, length, dtype=picked_places.dtype
    )
    places = ops.concatenate([picked_places, pseudo], axis=1)
    return ops.take_along_axis(bias, places[:, None, :, None], axis=2)


class WholeLastLayer(UniLMv2Backbone):
    """A `UniLMv2Backbone` whose last layer computes all tokens.

    What is read of them is picked afterwards.
    """

    def run_layers(
        self, hidden_states, bias, picked_places=None, pseudo_steps=None
    ):
        hidden_states = super().run_layers(hidden_states, bias)
        return needed_states(hidden_states, picked_places, pseudo_steps)


class DenseBackbone(UniLMv2Backbone):
    """A `UniLMv2Backbone` that attends to whole rows."""

    def embed_blocks(
        self,
        padding_mask,
        steps,
        target_positions,
        picked_places=None,
        **row,
    ):
        row = BlockRow(name="block_row")(
            target_positions=target_positions, **row
        )
        bias = DenseBias(self.relative_position_bias, name="dense_bias")(
            padding_mask, steps, row["position_ids"], picked_places
        )
        return self.embeddings(**row), bias


def pretraining(settings):
    """As `ours.pretraining`, with dense attention."""
    return ours.pretraining(settings, DenseBackbone)
