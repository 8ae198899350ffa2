"""Seconds until the import and the first training step are done.

Each figure is of new processes. What `import unilmv2_tf` adds is measured after
`import keras_hub` in the same process. The first step of pre-training is that
of a model of base size, from the start of the process: imports, random weights,
tracing and optimizing the graph, the step.

    python -m benchmarks startup
"""

import subprocess
import sys

from benchmarks import peer_steps
from benchmarks.contest import faster_than
from benchmarks.contest import installed
from benchmarks.contest import measure
from benchmarks.contest import ratio
from benchmarks.contest import shown
from benchmarks.contest import spread
from benchmarks.random_rows import Size
from benchmarks.training import OURS

QUICK = {
    "size": "tiny",
    "length": 32,
    "batch_size": 2,
    "import_rounds": 1,
    "rounds": 1,
}
_IMPORTS = """
import time
start = time.perf_counter()
import keras_hub
middle = time.perf_counter()
import unilmv2_tf
print(middle - start, time.perf_counter() - middle)
"""


def run(
    size: Size = "base",
    length: int = 256,
    batch_size: int = 8,
    import_rounds: int = 5,
    rounds: int = 1,
    threads: int | None = None,
):
    """Measures imports and first steps."""
    settings = dict(locals())
    # The first one reads the files from the disk.
    imports = [_import_seconds() for _ in range(1 + import_rounds)][1:]
    keras_hub, ours = zip(*imports)
    print(f"  import unilmv2_tf adds {shown(spread(ours))} s")
    contenders = {"AE+PAR": OURS, **installed(peer_steps.PRETRAINING)}
    totals = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, factory in contenders.items():
            sample = measure({name: factory}, 1, settings)[name]
            totals[name].append(sum(sample["made"].values()))
    return {
        "import_keras_hub": spread(keras_hub),
        "import_unilmv2_tf": spread(ours),
        "first_step": {name: spread(values) for name, values in totals.items()},
    }


def _import_seconds():
    output = subprocess.run(
        [sys.executable, "-c", _IMPORTS],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(float(number) for number in output.split())


def summary(figures):
    """Rows of the summary in docs/results/speed.md."""
    peers = dict(figures["first_step"])
    ours = peers.pop("AE+PAR")
    step = "First pre-training step of a new process, base size"
    added = shown(figures["import_unilmv2_tf"])
    rows = [
        ("`import unilmv2_tf`", f"{added} s more than `import keras_hub`"),
        (step, f"{shown(ours, 1)} s"),
    ]
    for name, peer in peers.items():
        speed = ratio([peer["median"]], [ours["median"]])
        rows.append((step, faster_than(name, speed)))
    return rows
