"""The authors' and BERT-like checkpoints."""

from unilmv2_tf.checkpoints.official import load_official

__all__ = ["load_official"]
