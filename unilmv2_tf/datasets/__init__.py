"""Where examples come from: files, TFDS and the embedded corpus."""

from unilmv2_tf.datasets.data_arguments import label_names
from unilmv2_tf.datasets.data_arguments import load_documents
from unilmv2_tf.datasets.data_arguments import load_labeled
from unilmv2_tf.datasets.data_arguments import load_pairs
from unilmv2_tf.datasets.data_arguments import load_questions
from unilmv2_tf.datasets.shard_reading import masked_batches
from unilmv2_tf.datasets.splits import hold_out
from unilmv2_tf.datasets.token_shards import open_token_shards

__all__ = [
    "hold_out",
    "label_names",
    "load_documents",
    "load_labeled",
    "load_pairs",
    "load_questions",
    "masked_batches",
    "open_token_shards",
]
