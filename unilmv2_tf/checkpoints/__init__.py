"""The authors' and BERT-like checkpoints."""

from unilmv2_tf.checkpoints.official import load_official
from unilmv2_tf.checkpoints.positions import resize_positions
from unilmv2_tf.checkpoints.saving import save_official

__all__ = ["load_official", "resize_positions", "save_official"]
