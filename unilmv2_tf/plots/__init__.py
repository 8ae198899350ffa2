"""Pictures: visibility in a masked row, attention, losses, scores, confusions.

Matplotlib (`pip install 'unilmv2_tf[plots]'`) is imported when something is
drawn. Figures belong to no window, and its backend is left alone.
"""

from unilmv2_tf.plots.attention_plots import plot_attention
from unilmv2_tf.plots.figures import try_plot
from unilmv2_tf.plots.mask_plots import format_visibility
from unilmv2_tf.plots.mask_plots import plot_visibility
from unilmv2_tf.plots.mask_plots import visibility_matrix
from unilmv2_tf.plots.masked_sentence import show_mask
from unilmv2_tf.plots.training_plots import plot_confusion
from unilmv2_tf.plots.training_plots import plot_history
from unilmv2_tf.plots.training_plots import plot_scores

__all__ = [
    "format_visibility",
    "plot_attention",
    "plot_confusion",
    "plot_history",
    "plot_scores",
    "plot_visibility",
    "show_mask",
    "try_plot",
    "visibility_matrix",
]
