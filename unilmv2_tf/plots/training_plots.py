"""Curves of losses and scores, and confusion matrices."""

import numpy as np

from unilmv2_tf.optional_imports import optional_import
from unilmv2_tf.plots.figures import QUIET_COLOR
from unilmv2_tf.plots.figures import TEXT_COLOR
from unilmv2_tf.plots.figures import new_figure
from unilmv2_tf.plots.figures import save_figure

_VALIDATION = "val_"
_AXES = ("step", "epoch")
_NAMES = {"ae_loss": "AE", "par_loss": "PAR"}
_COLORS = {"ae_loss": "#3b6fb6", "par_loss": "#d9782d", "loss": "#4b515b"}
# Numbers in cells at least this dark are white.
_DARK = 0.6
_MAX_COUNTED_CLASSES = 25


def plot_history(
    history,
    path=None,
    title: str | None = None,
    reference: float | None = None,
):
    """Plots the loss curves of a training.

    Args:
        history: `keras.callbacks.History.history`, or a list of dicts, one for
            each point. Keys that end in `loss` are plotted over `step` or
            `epoch`. A missing `loss` is the sum of `ae_loss` and `par_loss`.
        path: string or path. The picture file. Defaults to `None`.
        title: string. Defaults to `None`.
        reference: float. The unigram entropy of the text, a horizontal line.
            Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if there is no loss in the history.

    Example:

    >>> from unilmv2_tf.plots import plot_history
    >>> figure = plot_history(
    ...     [{"step": 100, "ae_loss": 6.0, "par_loss": 5.5},
    ...      {"step": 200, "ae_loss": 5.0, "par_loss": 4.0}])
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['AE', 'PAR', 'AE + PAR']
    """
    axis_name, curves = _loss_curves(history)
    figure, axes = _curve_axes(axis_name, "loss (nats per token)", title)
    for name, (x, y) in curves.items():
        _draw_curve(axes, name, x, y, has_parts="ae_loss" in curves)
    if reference is not None:
        label = f"unigram entropy ({reference:.2f})"
        axes.axhline(reference, color=QUIET_COLOR, linestyle=":", label=label)
    axes.legend(frameon=False)
    save_figure(figure, path)
    return figure


def plot_scores(
    curves, score_name: str, path=None, title: str | None = None, baselines=None
):
    """Plots scores, pairs of epoch and score, of several trainings."""
    if not any(curves.values()):
        raise ValueError(
            "`curves` must hold at least one pair of epoch and score. "
            f"Received: curves={curves}"
        )
    ticker = optional_import("matplotlib.ticker", "plots")
    figure, axes = _curve_axes("epoch", score_name, title)
    for name, points in curves.items():
        epochs, scores = zip(*points)
        axes.plot(epochs, scores, marker="o", markersize=4, label=name)
    style = {"ha": "right", "va": "bottom", "color": QUIET_COLOR}
    for name, score in (baselines or {}).items():
        axes.axhline(score, color=QUIET_COLOR, linestyle=":")
        position = (1, score)
        axes.annotate(
            name, position, xycoords=("axes fraction", "data"), **style
        )
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.legend(frameon=False)
    save_figure(figure, path)
    return figure


def plot_confusion(matrix, label_names, path=None, title: str | None = None):
    """Plots a confusion matrix: rows are true classes."""
    matrix = np.asarray(matrix)
    size = len(label_names)
    if matrix.shape != (size, size) or not size or (matrix < 0).any():
        raise ValueError(
            "`matrix` must hold counts, with a row and a column for each of "
            f"`label_names`. Received: an array of shape {matrix.shape}, "
            f"{size} names"
        )
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(0.6 * size, 2.0), 12.0)
    figure = new_figure(figsize=(side + 2.2, side + 1.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if size <= _MAX_COUNTED_CLASSES:
        style = {"ha": "center", "va": "center", "fontsize": 8}
        for (row, column), count in np.ndenumerate(matrix):
            is_dark = shares[row, column] >= _DARK
            color = "white" if is_dark else TEXT_COLOR
            axes.text(column, row, f"{count:,}", color=color, **style)
    # A dollar sign in a name starts no formula.
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


def _curve_axes(x_label, y_label, title):
    figure = new_figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if title:
        axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(color="#eef0f3")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _loss_curves(history):
    """Returns the name of the axis, and the points of each loss."""
    columns = _columns(history)
    axis_name = next((name for name in _AXES if name in columns), None)
    count = max((len(values) for values in columns.values()), default=0)
    axis = columns.get(axis_name, np.arange(1, count + 1))
    for prefix in ("", _VALIDATION):
        _add_sum(columns, prefix)
    curves = {}
    for name in sorted(columns, key=_rank):
        if not name.endswith("loss"):
            continue
        x, y = _axis_of(axis, columns[name]), columns[name]
        is_known = ~np.isnan(y)
        if is_known.any():
            curves[name] = (x[is_known], y[is_known])
    if not curves:
        raise ValueError(
            "`history` must hold a loss: a key that ends in `loss`, with at "
            f"least one value. Received keys: {sorted(columns)}"
        )
    return axis_name or "epoch", curves


def _columns(history):
    """Returns an array for each loss and axis, NaN where it has no value."""
    if not isinstance(history, dict):
        rows = list(history)
        names = dict.fromkeys(name for row in rows for name in row)
        history = {name: [row.get(name) for row in rows] for name in names}
    return {
        name: np.array(
            [np.nan if value is None else value for value in values], float
        )
        for name, values in history.items()
        if name in _AXES or name.endswith("loss")
    }


def _add_sum(columns, prefix):
    parts = [columns.get(f"{prefix}{name}") for name in _NAMES]
    is_one = sum(part is not None for part in parts) == 1
    if is_one:
        # The sum of one objective is that objective.
        columns.pop(f"{prefix}loss", None)
    elif parts[0] is not None and parts[1] is not None:
        columns.setdefault(f"{prefix}loss", parts[0] + parts[1])


def _rank(name):
    """Sorts AE, PAR, their sum, others; validation after training."""
    base = name.removeprefix(_VALIDATION)
    order = [*_NAMES, "loss"]
    rank = order.index(base) if base in order else len(order)
    return name.startswith(_VALIDATION), rank, name


def _axis_of(axis, values):
    """Positions of values; with `validation_freq` Keras has fewer of them."""
    if len(values) == len(axis):
        return axis
    stride = max(len(axis) // max(len(values), 1), 1)
    return axis[stride - 1 :: stride][: len(values)]


def _draw_curve(axes, name, x, y, has_parts):
    base = name.removeprefix(_VALIDATION)
    is_validation = base != name
    label = _NAMES.get(base, base)
    if base == "loss" and has_parts:
        label = " + ".join(_NAMES.values())
    axes.plot(
        x,
        y,
        # `None` is the next color of Matplotlib.
        color=_COLORS.get(base),
        linestyle="--" if is_validation else "-",
        marker="o" if is_validation or len(x) == 1 else None,
        markersize=4,
        linewidth=1.3 if base == "loss" else 1.8,
        label=f"{label}, validation" if is_validation else label,
    )
