"""Where examples come from: the embedded corpus, files, and TFDS."""

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets.batches import length_grouped_batches
from unilmv2_tf.datasets.batches import training_batches
from unilmv2_tf.datasets.glue import GLUE_TASKS
from unilmv2_tf.datasets.glue import GlueTask
from unilmv2_tf.datasets.glue import find_glue_task
from unilmv2_tf.datasets.holding_out import hold_out
from unilmv2_tf.datasets.labelled import label_names
from unilmv2_tf.datasets.labelled import load_labelled
from unilmv2_tf.datasets.pairs import load_pairs
from unilmv2_tf.datasets.questions import load_questions
from unilmv2_tf.datasets.sources import load_documents

__all__ = [
    "GLUE_TASKS",
    "GlueTask",
    "docstrings",
    "find_glue_task",
    "hold_out",
    "label_names",
    "length_grouped_batches",
    "load_documents",
    "load_labelled",
    "load_pairs",
    "load_questions",
    "training_batches",
]
