"""Scores of predictions, and the trivial methods to compare them with."""

from unilmv2_tf.metrics.baselines import LeadBaseline
from unilmv2_tf.metrics.baselines import MajorityBaseline
from unilmv2_tf.metrics.baselines import NearestNeighbourBaseline
from unilmv2_tf.metrics.classification import accuracy
from unilmv2_tf.metrics.classification import confusion_matrix
from unilmv2_tf.metrics.classification import f1
from unilmv2_tf.metrics.classification import macro_f1
from unilmv2_tf.metrics.classification import matthews
from unilmv2_tf.metrics.classification import pearson
from unilmv2_tf.metrics.classification import score_labels
from unilmv2_tf.metrics.classification import spearman
from unilmv2_tf.metrics.linear_baseline import LinearBaseline
from unilmv2_tf.metrics.lookup_baseline import LookupBaseline
from unilmv2_tf.metrics.squad import score_squad
from unilmv2_tf.metrics.text import exact_match
from unilmv2_tf.metrics.text import rouge

__all__ = [
    "LeadBaseline",
    "LinearBaseline",
    "LookupBaseline",
    "MajorityBaseline",
    "NearestNeighbourBaseline",
    "accuracy",
    "confusion_matrix",
    "exact_match",
    "f1",
    "macro_f1",
    "matthews",
    "pearson",
    "rouge",
    "score_labels",
    "score_squad",
    "spearman",
]
