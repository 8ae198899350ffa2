"""README's table of figures, and that of docs/scaling.md, from the results.

    python -m benchmarks table

Each stands between two comments in its file, and is never typed.
"""

import pathlib

from benchmarks import catalogue
from benchmarks.alternating import shown
from benchmarks.report import RESULTS
from benchmarks.report import read_results
from unilmv2_tf.filesystem import write_text

ROOT = pathlib.Path(__file__).parent.parent


def begin_of(name):
    """The comment before a table."""
    return f"<!-- figures {name}: written by `python -m benchmarks table` -->"


def end_of(name):
    """The comment after a table."""
    return f"<!-- end of figures {name} -->"


def write_tables(root=ROOT, results=RESULTS):
    """Writes the tables anew.

    Args:
        root: path of the repository.
        results: path of the folder of the JSON files.
    """
    for path, name, table in (
        ("README.md", "summary", summary_table(results)),
        ("docs/performance.md", "details", details_table(results)),
        ("docs/performance.md", "changes", changes_table(results)),
        ("docs/performance.md", "precision", precision_table(results)),
        ("docs/scaling.md", "points", points_table(results)),
        ("docs/scaling.md", "costs", costs_table(results)),
    ):
        file = pathlib.Path(root) / path
        if file.exists():
            text = file.read_text(encoding="utf-8")
            write_text(file, replaced(text, name, table))


def replaced(text, name, table):
    """A text with another table between the comments of a name.

    Args:
        text: string.
        name: string.
        table: string.

    Returns:
        A string; the text as it is if it has no such comments.

    Raises:
        ValueError: if the table begins and does not end.
    """
    begin, end = begin_of(name), end_of(name)
    before, found, rest = text.partition(begin)
    if not found:
        return text
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(
            f"The text must have {end!r} after {begin!r}. Add that line."
        )
    return f"{before}{begin}\n{table}{end}{after}"


def summary_table(results=RESULTS):
    """The rows that benchmarks give for README, with the machine.

    Args:
        results: path of the folder of the JSON files.

    Returns:
        A string, a table in Markdown.
    """
    lines, machines = [], []
    for benchmark in catalogue.find().values():
        figures = read_results(benchmark.name, results)
        if figures is None or not benchmark.is_regular:
            continue
        module = benchmark.load()
        for what, value in getattr(module, "table", lambda f: [])(figures):
            machine = figures["machine"]
            machines.append(f"{machine['cpu']}, {machine['cores']} cores")
            lines.append(f"| {what} | {value} |")
    head = "| median (lowest-highest) | |\n|---|---|"
    measured = "; ".join(dict.fromkeys(machines))
    return "\n".join([head, *lines]) + f"\n\nMeasured on {measured}.\n"


def details_table(results=RESULTS):
    """Seconds and memory of all contenders of the training steps.

    Args:
        results: path of the folder of the JSON files.

    Returns:
        A string, a table in Markdown.
    """
    lines = [
        "| step, base size | | seconds | of peak | peak MB |",
        "|---|---|---|---|---|",
    ]
    training = read_results("training", results) or {"lengths": {}}
    steps = {
        f"pre-training, {found['batch_size']} rows of {length}": found
        for length, found in training["lengths"].items()
    }
    finetuning = read_results("finetuning", results)
    if finetuning is not None:
        settings = finetuning["settings"]
        step = "{batch_size} pairs of {source_length} and {target_length}"
        steps[f"fine-tuning, {step.format(**settings)}"] = finetuning
    for step, found in steps.items():
        for name, seconds in found["seconds"].items():
            share = found["share_of_peak"].get(name)
            lines.append(
                f"| {step} | {name} | {shown(seconds)} | "
                f"{shown(share) if share else ''} | "
                f"{found['peak_mb'][name]['median']:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def changes_table(results=RESULTS):
    """What each change is worth, see the benchmark `changes`."""
    figures = read_results("changes", results)
    lines = [
        "| | seconds before | now / before | ready before, now |",
        "|---|---|---|---|",
    ]
    for change, found in figures["changes"].items() if figures else ():
        ready = ""
        if "ready_seconds_before" in found:
            before, now = found["ready_seconds_before"], figures["now"]
            ready = f"{before:.1f}, {now['ready_seconds']:.1f} s"
        lines.append(
            f"| {change} | {shown(found['seconds_before'])} | "
            f"{shown(found['now_to_before'])} | {ready} |"
        )
    return "\n".join(lines) + "\n"


def precision_table(results=RESULTS):
    """Time and loss of mixed_bfloat16, see the benchmark `precision`."""
    figures = read_results("precision", results)
    lines = ["| | float32 | mixed_bfloat16 | of float32 |", "|---|---|---|---|"]
    if figures is None:
        return "\n".join(lines) + "\n"
    pair = ("float32", "mixed_bfloat16")
    ratios = figures["bfloat16_to_float32"]
    for what, prefix, key in (
        ("step of pre-training, s", "", "step"),
        ("products of matrices, s", "matmul, ", "matmul"),
    ):
        cells = [shown(figures["seconds"][prefix + name]) for name in pair]
        lines.append(f"| {what} | {' | '.join(cells)} | {shown(ratios[key])} |")
    losses = [
        ", ".join(f"{loss:.3f}" for loss in figures["held_out_loss"][name])
        for name in pair
    ]
    lines.append(f"| held-out loss, a seed each | {' | '.join(losses)} | |")
    return "\n".join(lines) + "\n"


def points_table(results=RESULTS):
    """What a token costs at the points that `scaling` measured."""
    figures = read_results("scaling", results)
    lines = ["| size | n | batch | ms a token | MFLOP a token | of peak | MB |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for point in figures["points"] if figures else []:
        lines.append(
            f"| {point['size']} | {point['length']} | {point['batch_size']} | "
            f"{shown(point['milliseconds_per_token'], 3)} | "
            f"{point['flops_per_token'] / 1e6:,.0f} | "
            f"{shown(point['share_of_peak'])} | "
            f"{point['peak_mb']['median']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


# Peak operations a second of dense matrix products in 16 bits, as the makers
# state them, and an hour's price in dollars as assumed.
ACCELERATORS = {
    "V100 (the paper's)": (125e12, 1.5),
    "A100": (312e12, 2.0),
    "H100 SXM": (989e12, 3.0),
    "TPU v5e": (197e12, 1.2),
}
SHARES = (0.2, 0.4)
BASE_RUN_STEPS, BASE_RUN_BATCH = 500_000, 7680


def costs_table(results=RESULTS):
    """Time and cost of the paper's base run on accelerators."""
    del results
    from unilmv2_tf.models import UniLMv2Backbone
    from unilmv2_tf.preprocessing import num_mask_slots
    from unilmv2_tf.training.flops import training_flops

    shape = UniLMv2Backbone.from_preset("unilmv2_base", load_weights=False)
    row = training_flops(shape, (512, num_mask_slots(512)), ("ae", "par"))
    total = BASE_RUN_STEPS * BASE_RUN_BATCH * row
    lines = [
        "| accelerator | of peak | device hours | 64 devices, days | cost |",
        "|---|---|---|---|---|",
    ]
    for name, (peak, price) in ACCELERATORS.items():
        for share in SHARES:
            hours = total / (peak * share) / 3600
            lines.append(
                f"| {name} | {share:.0%} | {hours:,.0f} | "
                f"{hours / 64 / 24:.1f} | ${hours * price:,.0f} |"
            )
    return "\n".join(lines) + f"\n\nOperations of the run: {total:.3g}.\n"
