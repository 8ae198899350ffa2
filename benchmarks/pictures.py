"""Pictures of the benchmarks."""

from matplotlib.figure import Figure

from unilmv2_tf.plots.figures import TEXT_COLOR
from unilmv2_tf.plots.figures import save_figure

COLORS = ("#2f5d9b", "#8fb0d9", "#c98b2b", "#7a7a7a", "#4f8f63", "#a34f6e")


def bars(series, groups, label, path):
    """Draws groups of bars, from medians, with lines from lowest to highest.

    Args:
        series: dict from name to a list of spreads, one for each group.
        groups: list of strings.
        label: string. Of the axis.
        path: path of the PNG.
    """
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(series)
    for number, (name, spreads) in enumerate(series.items()):
        places = [
            group + (number - (len(series) - 1) / 2) * width
            for group in range(len(groups))
        ]
        medians = [value["median"] for value in spreads]
        reach = [
            [value["median"] - value["lowest"] for value in spreads],
            [value["highest"] - value["median"] for value in spreads],
        ]
        axes.bar(
            places,
            medians,
            width * 0.92,
            yerr=reach,
            ecolor=TEXT_COLOR,
            error_kw={"linewidth": 1},
            color=COLORS[number % len(COLORS)],
            label=name,
        )
    axes.set_xticks(range(len(groups)), groups)
    _finish(figure, axes, label, path)


def curves(panels, x_label, path):
    """Draws panels of curves on two logarithmic axes.

    Args:
        panels: dict from the label of a panel to a dict from the name of a
            curve to a dict from x to a spread.
        x_label: string.
        path: path of the PNG.
    """
    figure = Figure(figsize=(4.2 * len(panels), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (label, lines) in zip(all_axes, panels.items()):
        for number, (name, points) in enumerate(lines.items()):
            x = [float(key) for key in points]
            axes.plot(
                x,
                [point["median"] for point in points.values()],
                "o-",
                color=COLORS[number % len(COLORS)],
                markersize=4,
                label=name,
            )
            axes.fill_between(
                x,
                [point["lowest"] for point in points.values()],
                [point["highest"] for point in points.values()],
                color=COLORS[number % len(COLORS)],
                alpha=0.2,
                linewidth=0,
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.set_xlabel(x_label, color=TEXT_COLOR)
        _finish(figure, axes, label, None)
    save_figure(figure, path)


def _finish(figure, axes, label, path):
    axes.set_ylabel(label, color=TEXT_COLOR)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    if path is not None:
        save_figure(figure, path)
