"""Keras layers of UniLMv2, in `keras.ops` only: they run on every backend."""

from unilmv2_tf.layers.block_attention import BlockSelfAttention
from unilmv2_tf.layers.block_attention import split_blocks
from unilmv2_tf.layers.block_attention_bias import BlockAttentionBias
from unilmv2_tf.layers.block_attention_bias import mask_to_bias
from unilmv2_tf.layers.block_row import BlockRow
from unilmv2_tf.layers.block_row import PseudoBlock
from unilmv2_tf.layers.dropout import Dropout
from unilmv2_tf.layers.embeddings import DenseGradientEmbedding
from unilmv2_tf.layers.embeddings import TiedEmbedding
from unilmv2_tf.layers.embeddings import TransformerEmbedding
from unilmv2_tf.layers.embeddings import lookup_with_dense_gradient
from unilmv2_tf.layers.gather_positions import GatherPositions
from unilmv2_tf.layers.gelu import fusible_gelu
from unilmv2_tf.layers.gelu import training_gelu
from unilmv2_tf.layers.language_model_head import LanguageModelHead
from unilmv2_tf.layers.relative_position_bias import RelativePositionBias
from unilmv2_tf.layers.relative_position_bias import relative_position_buckets
from unilmv2_tf.layers.transformer_block import TransformerBlock
from unilmv2_tf.layers.visibility import step_visibility

__all__ = [
    "BlockAttentionBias",
    "BlockRow",
    "BlockSelfAttention",
    "DenseGradientEmbedding",
    "Dropout",
    "GatherPositions",
    "LanguageModelHead",
    "PseudoBlock",
    "RelativePositionBias",
    "TiedEmbedding",
    "TransformerBlock",
    "TransformerEmbedding",
    "fusible_gelu",
    "lookup_with_dense_gradient",
    "mask_to_bias",
    "relative_position_buckets",
    "split_blocks",
    "step_visibility",
    "training_gelu",
]
