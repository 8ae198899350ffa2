"""Charts of the benchmarks."""

from matplotlib.figure import Figure

TEXT_COLOR = "#2b2f36"
COLORS = ("#2f5d9b", "#c98b2b", "#4f8f63", "#8fb0d9", "#7a7a7a", "#a34f6e")


def bar_panel(axes, series, groups, y_label):
    """Draws spreads as groups of bars, a list of spreads for each name."""
    width = 0.8 / len(series)
    for number, (name, spreads) in enumerate(series.items()):
        offset = (number - (len(series) - 1) / 2) * width
        medians = [value["median"] for value in spreads]
        reach = [
            [value["median"] - value["lowest"] for value in spreads],
            [value["highest"] - value["median"] for value in spreads],
        ]
        bars = axes.bar(
            [group + offset for group in range(len(groups))],
            medians,
            width * 0.92,
            yerr=reach,
            ecolor=TEXT_COLOR,
            error_kw={"linewidth": 1},
            color=COLORS[number % len(COLORS)],
            label=name,
        )
        labels = [f"{m:,.{0 if m >= 100 else 2}f}" for m in medians]
        axes.bar_label(bars, labels, fontsize=7, padding=1)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(y_label, color=TEXT_COLOR)
    # Room for the legend above the bars.
    axes.set_ylim(top=axes.get_ylim()[1] * 1.25)
    _finish(axes)


def curve_panel(axes, curves, x_label, y_label):
    """Draws spreads as curves, a dict from x to a spread for each name."""
    for number, (name, points) in enumerate(curves.items()):
        x = [float(key) for key in points]
        median, lowest, highest = (
            [point[key] for point in points.values()]
            for key in ("median", "lowest", "highest")
        )
        color = COLORS[number % len(COLORS)]
        axes.plot(x, median, "o-", color=color, markersize=4, label=name)
        axes.fill_between(
            x, lowest, highest, color=color, alpha=0.2, linewidth=0
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [f"{value:g}" for value in x])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(x_label, color=TEXT_COLOR)
    axes.set_ylabel(y_label, color=TEXT_COLOR)
    _finish(axes)


def _finish(axes):
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2)


def draw_panels(path, *panels):
    """Draws panels, functions of an axes, side by side."""
    size = (max(7.5, 4.2 * len(panels)), 3.6)
    figure = Figure(figsize=size, layout="constrained")
    for axes, draw in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels
    ):
        draw(axes)
    figure.savefig(path)
