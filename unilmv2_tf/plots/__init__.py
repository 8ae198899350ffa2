"""Pictures: visibility in a masked row, attention, losses, scores, confusions.

Matplotlib (`pip install 'unilmv2_tf[plots]'`) is imported when something is
drawn. Figures belong to no window, and its backend is left alone.
"""

from unilmv2_tf.plots.attention_plots import plot_attention
from unilmv2_tf.plots.mask_plots import plot_visibility
from unilmv2_tf.plots.mask_plots import show_mask
from unilmv2_tf.plots.training_plots import plot_history

__all__ = [
    "plot_attention",
    "plot_history",
    "plot_visibility",
    "show_mask",
]
