"""Checkpoints of UniLM, Hugging Face, Google and KerasHub, in and out."""

from unilmv2_tf.checkpoints.loading import load_checkpoint
from unilmv2_tf.checkpoints.loading import resize_positions
from unilmv2_tf.checkpoints.saving import save_checkpoint
from unilmv2_tf.checkpoints.saving import write_model_card

__all__ = [
    "load_checkpoint",
    "resize_positions",
    "save_checkpoint",
    "write_model_card",
]
