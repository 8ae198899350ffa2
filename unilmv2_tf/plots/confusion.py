"""Which classes are taken for which."""

import numpy as np

from unilmv2_tf.plots.figures import TEXT_COLOR
from unilmv2_tf.plots.figures import save_figure

# Cells that are at least this dark have white numbers.
_DARK = 0.6
_FEW_CLASSES = 25


def plot_confusion(matrix, label_names, path=None, title=None):
    """Draws how often which class was taken for which.

    The colour is the share of a true class; the number, which is left out with
    more than 25 classes, counts examples.

    Args:
        matrix: int array of shape `(classes, classes)`: rows are true classes,
            columns predicted ones.
        label_names: list of strings, the classes.
        path: str or path. A file to write the picture to, PNG unless its name
            ends otherwise. Defaults to `None`.
        title: string. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`, of which the only image holds shares
        between 0 and 1.

    Raises:
        ValueError: if the matrix is not square, has negative numbers, or not
            as many rows as there are classes.

    Example:

    >>> from unilmv2_tf.plots import plot_confusion
    >>> figure = plot_confusion([[3, 1], [0, 2]], ["bad", "good"])
    >>> figure.axes[0].images[0].get_array().tolist()
    [[0.75, 0.25], [0.0, 1.0]]
    """
    from matplotlib.figure import Figure

    matrix = np.asarray(matrix)
    size = len(label_names)
    if matrix.shape != (size, size) or not size or (matrix < 0).any():
        raise ValueError(
            "`matrix` must hold counts, with a row and a column for each of "
            f"`label_names`. Received: an array of shape {matrix.shape}, "
            f"{size} names"
        )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    side = min(max(0.6 * size, 2.0), 12.0)
    figure = Figure(
        figsize=(side + 2.2, side + 1.4), dpi=150, layout="constrained"
    )
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if size <= _FEW_CLASSES:
        _draw_counts(axes, matrix, shares)
    # A dollar sign in a name begins no formula.
    style = {"color": TEXT_COLOR, "parse_math": False}
    axes.set_xticks(range(size), label_names, rotation=45, ha="right", **style)
    axes.set_yticks(range(size), label_names, **style)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if title:
        axes.set_title(title, loc="left", fontweight="bold", parse_math=False)
    save_figure(figure, path)
    return figure


def _draw_counts(axes, matrix, shares):
    for (row, column), count in np.ndenumerate(matrix):
        axes.text(
            column,
            row,
            f"{count:,}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] >= _DARK else TEXT_COLOR,
        )
