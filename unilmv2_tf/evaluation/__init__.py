"""Scores of predictions, and baselines to compare them with."""

from unilmv2_tf.evaluation.baselines import LeadBaseline
from unilmv2_tf.evaluation.baselines import NearestNeighborBaseline
from unilmv2_tf.evaluation.label_metrics import confusion_matrix
from unilmv2_tf.evaluation.label_metrics import score_labels
from unilmv2_tf.evaluation.squad_metrics import score_squad
from unilmv2_tf.evaluation.text_metrics import TEXT_METRICS
from unilmv2_tf.evaluation.text_metrics import describe_metrics
from unilmv2_tf.evaluation.text_metrics import score_texts

__all__ = [
    "TEXT_METRICS",
    "LeadBaseline",
    "NearestNeighborBaseline",
    "confusion_matrix",
    "describe_metrics",
    "score_labels",
    "score_squad",
    "score_texts",
]
