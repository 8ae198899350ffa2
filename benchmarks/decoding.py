"""Decoding by beam search beside BART's of two libraries.

All are forced to the full length, with random weights of the same width,
vocabulary and number of layers. BART has half of its layers in the encoder, so
that its decoder reads a little over half of the weights that ours reads for
each token. Curves show what longer targets and more beams cost.

    python -m benchmarks decoding
"""

from benchmarks import charts
from benchmarks import peer_steps
from benchmarks.contest import faster_than
from benchmarks.contest import installed
from benchmarks.contest import measure
from benchmarks.contest import ratio
from benchmarks.contest import shown
from benchmarks.contest import spreads
from benchmarks.random_rows import Size

QUICK = {
    "size": "tiny",
    "source_length": 24,
    "target_length": 8,
    "rounds": 2,
    "curve_lengths": [4, 8],
    "curve_beams": [1, 2],
}
OURS = "unilmv2_tf"
PRECISIONS = ("float32", "bfloat16")


def run(
    size: Size = "base",
    batch_size: int = 2,
    source_length: int = 256,
    target_length: int = 48,
    num_beams: int = 4,
    curve_lengths: list[int] = [12, 24, 48, 96],  # noqa: B006
    curve_beams: list[int] = [1, 2, 4, 8],  # noqa: B006
    rounds: int = 5,
    threads: int | None = None,
):
    """Measures all contests."""
    settings = dict(locals())
    peers = installed(peer_steps.DECODING)
    contest = {OURS: "benchmarks.our_steps:beam_search", **peers}
    figures = {}
    for precision in PRECISIONS:
        print(precision)
        own = {**settings, "precision": precision}
        samples = measure(contest, rounds, own)
        ours = samples[OURS]["seconds"]
        speed_to = {name: ratio(samples[name]["seconds"], ours)
                    for name in peers}  # fmt: skip
        figures[precision] = {"seconds": spreads(samples), "speed_to": speed_to}
        for name, value in speed_to.items():
            print(f"  {faster_than(name, value)}")
    curves = {"target_length": curve_lengths, "num_beams": curve_beams}
    for setting, values in curves.items():
        figures[f"by_{setting}"] = {name: {} for name in contest}
        for value in values:
            print(f"{setting} {value}")
            own = {**settings, setting: value}
            samples = measure(contest, rounds, own, num_warmups=1)
            for name, seconds in spreads(samples).items():
                figures[f"by_{setting}"][name][str(value)] = seconds
    return figures


def draw(figures, path):
    """Draws the contests, and seconds by target length and by beams."""
    settings = figures["settings"]
    series = {
        name: [figures[p]["seconds"][name] for p in PRECISIONS]
        for name in figures["float32"]["seconds"]
    }
    groups = [
        "{0}\n{target_length} tokens, {num_beams} beams".format(p, **settings)
        for p in PRECISIONS
    ]
    lengths = "tokens of the target ({num_beams} beams, float32)"
    beams = "number of beams ({target_length} tokens, float32)"
    label = "seconds for {batch_size} texts".format(**settings)
    charts.draw_panels(
        path,
        lambda axes: charts.bar_panel(axes, series, groups, label),
        lambda axes: charts.curve_panel(
            axes, figures["by_target_length"], lengths.format(**settings), label
        ),
        lambda axes: charts.curve_panel(
            axes, figures["by_num_beams"], beams.format(**settings), label
        ),
    )


def summary(figures):
    """Rows of the summary in docs/results/speed.md."""
    search = (
        "Beam search, base size, {num_beams} beams, {source_length} to "
        "{target_length} tokens"
    ).format(**figures["settings"])
    return [
        (f"{search}, {precision}", faster_than(name, value))
        for precision in PRECISIONS
        for name, value in figures[precision]["speed_to"].items()
    ]


def tables(figures):
    """The table of docs/results/speed.md."""
    rows = [
        (name, *(shown(figures[p]["seconds"][name]) for p in PRECISIONS))
        for name in figures["float32"]["seconds"]
    ]
    title = "seconds for {batch_size} texts".format(**figures["settings"])
    return {"decoding": ((title, *PRECISIONS), rows)}
