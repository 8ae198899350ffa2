"""mixed_bfloat16 beside float32: the time of a pre-training step.

Matrix products beside the steps show what the machine gains at most.

    python -m benchmarks precision
"""

from benchmarks.contest import faster_than
from benchmarks.contest import inverse
from benchmarks.contest import measure
from benchmarks.contest import ratio
from benchmarks.contest import shown
from benchmarks.contest import spreads
from benchmarks.random_rows import Size
from benchmarks.training import MATMUL
from benchmarks.training import OURS

QUICK = {
    "size": "tiny",
    "length": 32,
    "batch_size": 2,
    "rounds": 2,
    "matmul_size": 256,
}
PRECISIONS = ("float32", "mixed_bfloat16")


def run(
    size: Size = "base",
    length: int = 256,
    batch_size: int = 8,
    rounds: int = 3,
    threads: int | None = None,
    matmul_size: int = 2048,
):
    """Measures steps and losses."""
    settings = dict(locals())
    contest = {}
    for name in PRECISIONS:
        dtype = {"matmul_dtype": name.removeprefix("mixed_")}
        contest[name] = (OURS, {"precision": name})
        contest[f"matmul, {name}"] = (MATMUL, dtype)
    samples = measure(contest, rounds, settings)
    ratios = {}
    for key, prefix in (("step", ""), ("matmul", "matmul, ")):
        float32, bfloat16 = (samples[prefix + name] for name in PRECISIONS)
        ratios[key] = ratio(bfloat16["seconds"], float32["seconds"])
        print(f"  {key}: {faster_than('float32', inverse(ratios[key]))}")
    return {"seconds": spreads(samples), "bfloat16_to_float32": ratios}


def summary(figures):
    """Rows of the summary in docs/results/speed.md."""
    speed = inverse(figures["bfloat16_to_float32"]["step"])
    return [
        ("Pre-training step, mixed_bfloat16", faster_than("float32", speed))
    ]


def tables(figures):
    """The table of docs/results/speed.md."""
    rows = []
    for what, prefix, key in (
        ("pre-training step, s", "", "step"),
        ("products of matrices, s", "matmul, ", "matmul"),
    ):
        speed = inverse(figures["bfloat16_to_float32"][key])
        seconds = (figures["seconds"][prefix + name] for name in PRECISIONS)
        rows.append((what, *map(shown, seconds), faster_than("float32", speed)))
    return {"precision": (("", *PRECISIONS, "mixed_bfloat16 is"), rows)}
