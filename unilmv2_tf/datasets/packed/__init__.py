"""Packed rows in sharded files: what `prepare` writes and training reads."""

from unilmv2_tf.datasets.packed.folder import PackedFolder
from unilmv2_tf.datasets.packed.folder import open_packed_folder
from unilmv2_tf.datasets.packed.pipeline import evaluation_batches
from unilmv2_tf.datasets.packed.pipeline import masked_batches
from unilmv2_tf.datasets.packed.rows import rows_from_token_ids

__all__ = [
    "PackedFolder",
    "evaluation_batches",
    "masked_batches",
    "open_packed_folder",
    "rows_from_token_ids",
]
