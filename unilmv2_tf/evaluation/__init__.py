"""Scores of predictions, and the trivial methods to compare them with."""

from unilmv2_tf.evaluation.baselines import LeadBaseline
from unilmv2_tf.evaluation.baselines import MajorityBaseline
from unilmv2_tf.evaluation.baselines import NearestNeighbourBaseline
from unilmv2_tf.evaluation.classification import accuracy
from unilmv2_tf.evaluation.classification import confusion_matrix
from unilmv2_tf.evaluation.classification import f1
from unilmv2_tf.evaluation.classification import macro_f1
from unilmv2_tf.evaluation.classification import matthews
from unilmv2_tf.evaluation.classification import pearson
from unilmv2_tf.evaluation.classification import score_labels
from unilmv2_tf.evaluation.classification import spearman
from unilmv2_tf.evaluation.linear_baseline import LinearBaseline
from unilmv2_tf.evaluation.lookup_baseline import LookupBaseline
from unilmv2_tf.evaluation.squad import score_squad
from unilmv2_tf.evaluation.text import exact_match
from unilmv2_tf.evaluation.text import rouge
from unilmv2_tf.evaluation.text_bleu import bleu
from unilmv2_tf.evaluation.text_meteor import meteor
from unilmv2_tf.evaluation.text_meteor import meteor_exact_stem
from unilmv2_tf.evaluation.text_scores import TEXT_METRICS
from unilmv2_tf.evaluation.text_scores import describe_metrics
from unilmv2_tf.evaluation.text_scores import score_texts

__all__ = [
    "TEXT_METRICS",
    "LeadBaseline",
    "LinearBaseline",
    "LookupBaseline",
    "MajorityBaseline",
    "NearestNeighbourBaseline",
    "accuracy",
    "bleu",
    "confusion_matrix",
    "describe_metrics",
    "exact_match",
    "f1",
    "macro_f1",
    "matthews",
    "meteor",
    "meteor_exact_stem",
    "pearson",
    "rouge",
    "score_labels",
    "score_squad",
    "score_texts",
    "spearman",
]
