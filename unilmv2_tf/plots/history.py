"""How losses fell."""

import numpy as np

from unilmv2_tf.plots.figures import QUIET_COLOR
from unilmv2_tf.plots.figures import save_figure

_VALIDATION = "val_"
_AXES = ("step", "epoch")
_NAMES = {"ae_loss": "AE", "par_loss": "PAR"}
_COLORS = {"ae_loss": "#3b6fb6", "par_loss": "#d9782d", "loss": "#4b515b"}


def plot_history(
    history,
    path=None,
    title=None,
    reference=None,
    reference_label="unigram entropy",
    show_sum=True,
):
    """Draws losses over the steps of training.

    Args:
        history: dict of lists, such as `keras.callbacks.History.history`, or
            list of dicts, one for each point. What ends in `loss` is drawn;
            `val_` marks validation. A `step` or `epoch` gives the axis,
            without one points are counted from 1. Where `loss` is missing,
            the sum of `ae_loss` and `par_loss` is drawn for it.
        path: str or path. A file to write the picture to. Defaults to `None`.
        title: string. Defaults to `None`.
        reference: float. Where to draw a horizontal line, for example the
            entropy of the word frequencies: a model that is below it has
            learned something of the text. Defaults to `None`.
        reference_label: string. Defaults to `"unigram entropy"`.
        show_sum: bool. Whether to draw the sum of AE and PAR too. Defaults to
            `True`.

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
    from matplotlib.figure import Figure

    axis_name, curves = _loss_curves(history)
    if not show_sum and "ae_loss" in curves and "par_loss" in curves:
        curves = {
            name: points
            for name, points in curves.items()
            if name.removeprefix(_VALIDATION) != "loss"
        }
    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for name, (x, y) in curves.items():
        _draw_curve(axes, name, x, y, has_parts="ae_loss" in curves)
    if reference is not None:
        axes.axhline(
            reference,
            color=QUIET_COLOR,
            linestyle=":",
            label=f"{reference_label} ({reference:.2f})",
        )
    axes.set_xlabel(axis_name)
    axes.set_ylabel("loss (nats per token)")
    if title:
        axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(color="#eef0f3")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save_figure(figure, path)
    return figure


def _loss_curves(history):
    """The name of the axis, and by name of a loss the points to draw."""
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
    """By name an array of numbers, NaN where there are none."""
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
    """AE, PAR, their sum, then others; validation after training."""
    base = name.removeprefix(_VALIDATION)
    order = [*_NAMES, "loss"]
    place = order.index(base) if base in order else len(order)
    return name.startswith(_VALIDATION), place, name


def _axis_of(axis, values):
    """Keras validates every so many epochs, and then has fewer values."""
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
        # None goes on with the colours of Matplotlib.
        color=_COLORS.get(base),
        linestyle="--" if is_validation else "-",
        marker="o" if is_validation or len(x) == 1 else None,
        markersize=4,
        linewidth=1.3 if base == "loss" else 1.8,
        label=f"{label}, validation" if is_validation else label,
    )
