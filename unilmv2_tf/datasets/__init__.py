"""Where examples come from: the embedded corpus and the user's files."""

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets.batches import training_batches
from unilmv2_tf.datasets.sources import hold_out
from unilmv2_tf.datasets.sources import load_documents
from unilmv2_tf.datasets.sources import load_pairs

__all__ = [
    "docstrings",
    "hold_out",
    "load_documents",
    "load_pairs",
    "training_batches",
]
