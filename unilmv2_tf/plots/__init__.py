"""Pictures: who sees whom in a row, and how much, losses, scores, mistakes.

Matplotlib is loaded by the functions that draw with it, and its backend is
left alone: they return figures that belong to no window.
"""

from unilmv2_tf.plots.attention import plot_attention
from unilmv2_tf.plots.confusion import plot_confusion
from unilmv2_tf.plots.history import plot_history
from unilmv2_tf.plots.mask import show_mask
from unilmv2_tf.plots.ranked_list import format_ranked
from unilmv2_tf.plots.row import visibility_matrix
from unilmv2_tf.plots.scores import plot_scores
from unilmv2_tf.plots.text_drawing import format_visibility
from unilmv2_tf.plots.visibility import plot_visibility

__all__ = [
    "format_ranked",
    "format_visibility",
    "plot_attention",
    "plot_confusion",
    "plot_history",
    "plot_scores",
    "plot_visibility",
    "show_mask",
    "visibility_matrix",
]
