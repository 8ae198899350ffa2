"""How the scores of several trainings rose."""

from unilmv2_tf.plots.figures import QUIET_COLOR
from unilmv2_tf.plots.figures import save_figure


def plot_scores(curves, score_name, path=None, title=None, baselines=None):
    """Draws a score over the epochs of trainings that differ in their seeds.

    Args:
        curves: dict from the name of a training to a list of pairs: epoch and
            score.
        score_name: string. What the score is called.
        path: str or path. A file to write the picture to. Defaults to `None`.
        title: string. Defaults to `None`.
        baselines: dict from the name of a method to its score, drawn as
            horizontal lines. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if there is nothing to draw.

    Example:

    >>> from unilmv2_tf.plots import plot_scores
    >>> figure = plot_scores({"seed 0": [(1, 0.5), (2, 0.7)]}, "accuracy")
    >>> figure.axes[0].get_ylabel()
    'accuracy'
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not any(curves.values()):
        raise ValueError(
            "`curves` must hold at least one pair of epoch and score. "
            f"Received: curves={curves}"
        )
    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for name, points in curves.items():
        epochs, scores = zip(*points)
        axes.plot(epochs, scores, marker="o", markersize=4, label=name)
    for name, score in (baselines or {}).items():
        axes.axhline(score, color=QUIET_COLOR, linestyle=":")
        axes.annotate(
            name,
            (1, score),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color=QUIET_COLOR,
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(score_name)
    if title:
        axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(color="#eef0f3")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save_figure(figure, path)
    return figure
