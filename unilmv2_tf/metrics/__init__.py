"""Scores of generated texts, and the trivial methods to compare them with."""

from unilmv2_tf.metrics.baselines import LeadBaseline
from unilmv2_tf.metrics.baselines import MajorityBaseline
from unilmv2_tf.metrics.baselines import NearestNeighbourBaseline
from unilmv2_tf.metrics.text import exact_match
from unilmv2_tf.metrics.text import rouge

__all__ = [
    "LeadBaseline",
    "MajorityBaseline",
    "NearestNeighbourBaseline",
    "exact_match",
    "rouge",
]
