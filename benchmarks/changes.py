"""What changes made for speed are worth: each beside the code before it.

The contenders are the same step of pre-training, now and with one change
undone. `docs/performance.md` tells what the changes are, and which others were
tried.

    python -m benchmarks changes
"""

from benchmarks.alternating import measure
from benchmarks.alternating import ratio
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.contenders import rows
from benchmarks.contenders.former import CHANGES
from benchmarks.training import vars_of

NAME = "changes"
QUICK = [
    *("--size", "tiny", "--length", "32", "--batch_size", "2"),
    *("--rounds", "2"),
]
FORMER = "benchmarks.contenders.former:pretraining"


def add_arguments(parser):
    parser.add_argument("--size", default="base", choices=list(rows.SIZES))
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--changes", nargs="+", default=list(CHANGES), choices=list(CHANGES)
    )
    parser.add_argument("--threads", type=int, help="default: as many as cores")


def run(settings):
    """Measures now and before, for each change; returns a dict of figures."""
    contenders = {"now": (FORMER, {"undo": []})}
    for change in settings.changes:
        contenders[change] = (FORMER, {"undo": [change]})
    samples = measure(contenders, settings.rounds, vars_of(settings))
    now = samples["now"]
    figures = {
        "settings": vars_of(settings),
        "now": {
            "seconds": spread(now["seconds"]),
            "ready_seconds": ready_seconds(now),
        },
        "changes": {},
    }
    for change in settings.changes:
        before = samples[change]
        figures["changes"][change] = {
            "seconds_before": spread(before["seconds"]),
            "ready_seconds_before": ready_seconds(before),
            "now_to_before": ratio(now["seconds"], before["seconds"]),
            "memory_now_to_before": ratio(now["peak_mb"], before["peak_mb"]),
        }
        print(
            f"  {change}: time now / before "
            f"{shown(figures['changes'][change]['now_to_before'], 3)}"
        )
    return figures


def ready_seconds(sample):
    """Seconds to make a model and its graph, and to take the first step."""
    made = sample["made"]
    return round(made["make_seconds"] + made["first_step_seconds"], 1)
