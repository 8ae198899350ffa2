"""Keras layers of UniLMv2, in `keras.ops` only: they run on every backend."""

from unilmv2_tf.layers.block_attention import BlockSelfAttention
from unilmv2_tf.layers.block_attention_bias import BlockAttentionBias
from unilmv2_tf.layers.relative_position_bias import RelativePositionBias
from unilmv2_tf.layers.visibility import step_visibility

__all__ = [
    "BlockAttentionBias",
    "BlockSelfAttention",
    "RelativePositionBias",
    "step_visibility",
]
