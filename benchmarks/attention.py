"""Attention by blocks beside dense attention: time and memory of a step.

A joint step of pre-training is measured with rows of growing length; the peer
is the same model whose attention adds a bias to every pair of tokens of every
row, as the authors' code does. A few layers of base width, a row at a time:
at 2,048 tokens the dense bias of one row is 350 MB, and each layer makes five
tensors of that size. Memory is the peak of the resident set during a step
(Linux).

    python -m benchmarks attention
"""

from benchmarks.alternating import measure
from benchmarks.alternating import ratio
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.contenders import rows
from benchmarks.training import OURS
from benchmarks.training import vars_of

NAME = "attention"
QUICK = ["--size", "tiny", "--lengths", "32", "64", "--rounds", "2"]
CONTENDERS = {
    "blocks": f"{OURS}:pretraining",
    "dense": "benchmarks.contenders.dense:pretraining",
}


def add_arguments(parser):
    parser.add_argument("--size", default="base", choices=list(rows.SIZES))
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[128, 256, 512, 1024, 2048]
    )
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: as many as cores")


def run(settings):
    """Measures all lengths; returns a dict of figures."""
    figures = {"settings": vars_of(settings), "lengths": {}}
    for length in settings.lengths:
        print(f"n = {length}")
        samples = measure(
            CONTENDERS,
            settings.rounds,
            {**vars_of(settings), "length": length},
        )
        found = {"blocks_to_dense": {}}
        for key in ("seconds", "peak_mb"):
            found[key] = {
                name: spread(sample[key]) for name, sample in samples.items()
            }
            found["blocks_to_dense"][key] = ratio(
                *(samples[name][key] for name in CONTENDERS)
            )
        figures["lengths"][str(length)] = found
        of_dense = found["blocks_to_dense"]
        print(
            f"  blocks / dense: time {shown(of_dense['seconds'])}, "
            f"memory {shown(of_dense['peak_mb'])}"
        )
    return figures


def draw(figures, path):
    """Draws seconds and memory by length."""
    from benchmarks.pictures import curves

    curves(
        {
            label: {
                name: {
                    length: found[key][name]
                    for length, found in figures["lengths"].items()
                }
                for name in CONTENDERS
            }
            for key, label in (
                ("seconds", "seconds for a step"),
                ("peak_mb", "peak memory, MB"),
            )
        },
        "tokens in a row",
        path,
    )


def table(figures):
    """Rows of README's table."""
    return [
        (
            f"Attention by blocks, of dense, n = {length}: time; memory",
            f"{shown(found['blocks_to_dense']['seconds'])}; "
            f"{shown(found['blocks_to_dense']['peak_mb'])}",
        )
        for length, found in figures["lengths"].items()
        if length in ("1024", "2048")
    ]
