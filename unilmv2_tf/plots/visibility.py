"""Who sees whom, as a picture."""

import numpy as np

from unilmv2_tf.plots.figures import QUIET_COLOR
from unilmv2_tf.plots.figures import TEXT_COLOR
from unilmv2_tf.plots.figures import save_figure
from unilmv2_tf.plots.row import make_row

# Of the blocks: context, revealed, pseudo.
_COLORS = ("#8db2de", "#2a9d76", "#dd7a2e")
_MEANINGS = (
    "context, step 0: the text with its masks [M]",
    "revealed, step i: the masked tokens themselves",
    "pseudo masks, step \N{MINUS SIGN}i: P(x) predicts x",
    "A row's cells are filled where its token may look.",
)
_HIDDEN_COLOR = "#eef0f3"


def plot_visibility(
    tokens, steps, target_positions, context_tokens=None, title=None, path=None
):
    """Draws who sees whom in a row of context, revealed and pseudo tokens.

    Rows are queries, columns keys; a cell is filled where the one sees the
    other, in the colour of the key's block.

    Args:
        tokens: list of strings, the original text.
        steps: sequence of m ints above 0, the factorization steps of the
            masked tokens.
        target_positions: sequence of m ints, where in `tokens` they stand.
        context_tokens: list of strings, the context as the model reads it;
            for sequence-to-sequence training that is the source, and `tokens`
            goes on with the target. Defaults to `None`, `tokens` with `[M]` at
            `target_positions`.
        title: string. Defaults to `None`.
        path: str or path. A file to write the picture to, PNG unless its name
            ends otherwise. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`, of which the only image holds 0 where
        nothing is seen and 1, 2 or 3 by the key's block elsewhere.

    Raises:
        ValueError: if steps and positions do not fit together.

    Example:

    >>> from unilmv2_tf.plots import plot_visibility
    >>> figure = plot_visibility(
    ...     ["x1", "x2", "x3", "x4", "x5", "x6"], steps=[1, 1, 2],
    ...     target_positions=[3, 4, 1])
    >>> figure.axes[0].images[0].get_array().shape
    (12, 12)

    Reference:
        Bao et al., 2020, figures 4 and 5.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    row = make_row(tokens, steps, target_positions, context_tokens)
    size = len(row.labels)
    layout = _Layout(row, title)
    figure = Figure(figsize=layout.figsize, dpi=150, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(
        np.where(row.visible, row.blocks + 1, 0),
        cmap=ListedColormap([_HIDDEN_COLOR, *_COLORS]),
        vmin=0,
        vmax=3,
        extent=(0, size, size, 0),
        interpolation="none",
        aspect="auto",
    )
    axes.set_xlim(*layout.xlim)
    axes.set_ylim(*layout.ylim)
    _draw_lines(axes, row)
    _draw_labels(axes, row, layout)
    _draw_steps(axes, row, layout)
    _draw_words(axes, layout, title)
    save_figure(figure, path)
    return figure


class _Layout:
    """Sizes in units of a cell, so that nothing depends on a renderer."""

    def __init__(self, row, title):
        size = len(row.labels)
        cell = 0.34 if size <= 16 else 0.27 if size <= 32 else 0.22
        self.font_size = min(10.0, 37.0 * cell)
        # The mean width of a letter is about 0.6 of the font size.
        self.letter = 0.6 * self.font_size / 72 / cell
        self.line = 1.5 * self.font_size / 72 / cell
        labels = self.letter * max(len(label) for label in row.labels)
        self.strip = labels + 0.45
        before = self.strip + 0.75
        meanings = self.letter * max(len(line) for line in _MEANINGS)
        right = max(
            size + 8 * self.letter + 0.8,
            meanings + 1.2,
            self.letter * 1.15 * len(title or ""),
        )
        top = before + (1.6 * self.line if title else 0.3)
        self.legend = size + 0.6 + 1.4 * self.line
        bottom = self.legend + 4.3 * self.line
        self.xlim = (-before - 0.3, right)
        self.ylim = (bottom, -top)
        self.figsize = (
            cell * (self.xlim[1] - self.xlim[0]),
            cell * (self.ylim[0] - self.ylim[1]),
        )


def _draw_lines(axes, row):
    size = len(row.labels)
    edges = np.arange(size + 1)
    inner = [start for start, _ in row.runs[1:]]
    # The dark lines last, or white ones would cut them.
    for places, color, width in (
        (edges, "white", 1.2),
        (inner, "white", 2.4),
        (row.bounds, TEXT_COLOR, 1.0),
    ):
        axes.hlines(places, 0, size, color=color, linewidth=width)
        axes.vlines(places, 0, size, color=color, linewidth=width)


def _draw_labels(axes, row, layout):
    style = {
        "fontsize": layout.font_size,
        "color": TEXT_COLOR,
        # A dollar sign in a text begins no formula.
        "parse_math": False,
    }
    for slot, label in enumerate(row.labels):
        axes.text(
            -0.25, slot + 0.5, label, ha="right", va="center_baseline", **style
        )
        axes.text(
            slot + 0.5, -0.25, label, ha="center", va="bottom", rotation=90,
            **style,
        )  # fmt: skip
    edges = [0, *row.bounds, len(row.labels)]
    for start, end, color in zip(edges, edges[1:], _COLORS):
        if start < end:
            ends, place = (start + 0.12, end - 0.12), [-layout.strip - 0.3] * 2
            line = {"color": color, "linewidth": 4, "solid_capstyle": "butt"}
            axes.plot(ends, place, **line)
            axes.plot(place, ends, **line)


def _draw_steps(axes, row, layout):
    size = len(row.labels)
    style = {"fontsize": layout.font_size, "color": QUIET_COLOR}
    small = {**style, "fontsize": 0.9 * layout.font_size}
    line = {"color": QUIET_COLOR, "linewidth": 0.8}
    for start, end in row.runs:
        step = f"{row.steps[start]}".replace("-", "\N{MINUS SIGN}")
        ends, place = (start + 0.15, end - 0.15), [size + 0.3] * 2
        axes.plot(place, ends, **line)
        axes.plot(ends, place, **line)
        middle = (start + end) / 2
        axes.text(
            size + 0.55, middle, f"step {step}", va="center_baseline", **style
        )
        axes.text(middle, size + 0.5, step, ha="center", va="top", **small)
    axes.text(-0.25, size + 0.5, "step", ha="right", va="top", **style)


def _draw_words(axes, layout, title):
    left = layout.xlim[0] + 0.4
    for index, meaning in enumerate(_MEANINGS):
        middle = layout.legend + layout.line * (index + 0.5)
        if index < len(_COLORS):
            axes.plot(
                left + 0.3, middle, "s", markersize=8, color=_COLORS[index]
            )
        axes.text(
            left + 0.9, middle, meaning, fontsize=layout.font_size,
            color=TEXT_COLOR, va="center_baseline",
        )  # fmt: skip
    if title:
        axes.text(
            left, layout.ylim[1] + 0.4, title,
            fontsize=1.15 * layout.font_size, fontweight="bold",
            color=TEXT_COLOR, va="top", parse_math=False,
        )  # fmt: skip
