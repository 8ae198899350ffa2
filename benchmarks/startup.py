"""Seconds until something happens: imports, and the first training step.

Each figure is of new processes. What `import unilmv2_tf` adds is measured
after `import keras_hub` in the same process. The first step of pre-training is
that of a model of base size, from the start of the process: imports, random
weights, tracing and optimising the graph, the step.

    python -m benchmarks startup
"""

import subprocess
import sys

from benchmarks.alternating import measure
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.contenders import rows
from benchmarks.training import OURS
from benchmarks.training import PEERS
from benchmarks.training import vars_of

NAME = "startup"
PACKAGES = ("tensorflow", "keras", "keras-hub", "tf-models-official")
QUICK = [
    *("--size", "tiny", "--length", "32", "--batch_size", "2"),
    *("--import_rounds", "1", "--rounds", "1"),
]
_IMPORTS = """
import time
start = time.perf_counter()
import keras_hub
middle = time.perf_counter()
import unilmv2_tf
print(middle - start, time.perf_counter() - middle)
"""


def add_arguments(parser):
    parser.add_argument("--size", default="base", choices=list(rows.SIZES))
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--import_rounds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, help="default: as many as cores")


def run(settings):
    """Measures imports and first steps; returns a dict of figures."""
    # The first one reads the files from the disk.
    imports = [imported() for _ in range(1 + settings.import_rounds)][1:]
    keras_hub, ours = zip(*imports)
    figures = {
        "settings": vars_of(settings),
        "import_keras_hub": spread(keras_hub),
        "import_unilmv2_tf": spread(ours),
        "first_step": {},
    }
    print(f"  import unilmv2_tf adds {shown(spread(ours))} s")
    contenders = {"AE+PAR": f"{OURS}:pretraining", **PEERS}
    made = {name: [] for name in contenders}
    for _ in range(settings.rounds):
        for name, factory in contenders.items():
            samples = measure({name: factory}, 1, vars_of(settings))
            sample = samples[name]
            made[name].append(
                sample["made"] | {"later_step_seconds": sample["seconds"][0]}
            )
    for name, runs in made.items():
        parts = {key: spread([run[key] for run in runs]) for key in runs[0]}
        parts["total"] = spread(
            [
                sum(v for k, v in run.items() if k != "later_step_seconds")
                for run in runs
            ]
        )
        figures["first_step"][name] = parts
        print(f"  first step of {name}: {shown(parts['total'], 1)} s")
    return figures


def imported():
    """Seconds of `import keras_hub` and of `import unilmv2_tf` after it."""
    output = subprocess.run(
        [sys.executable, "-c", _IMPORTS],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(float(number) for number in output.split())


def table(figures):
    """Rows of README's table."""
    return [
        (
            "`import unilmv2_tf`, seconds more than `import keras_hub`",
            shown(figures["import_unilmv2_tf"]),
        ),
        (
            "First pre-training step of a new process, base size, seconds",
            shown(figures["first_step"]["AE+PAR"]["total"], 1),
        ),
    ]
