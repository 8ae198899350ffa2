"""What a token of pre-training costs: by size of the model, length and batch.

Joint steps are measured at several points, one setting changed at a time, each
beside the products of matrices of the same rounds. `docs/scaling.md` makes
costs of large trainings from them.

    python -m benchmarks scaling
"""

from benchmarks.alternating import measure
from benchmarks.alternating import ratio
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.training import OURS
from benchmarks.training import matmul_flops
from benchmarks.training import step_flops
from benchmarks.training import vars_of

NAME = "scaling"
QUICK = [
    *("--sizes", "tiny", "--lengths", "32", "--batch_sizes", "2"),
    *("--centre", "tiny", "32", "2", "--rounds", "2", "--matmul_size", "256"),
]


def add_arguments(parser):
    parser.add_argument(
        "--sizes", nargs="+", default=["tiny", "mini", "small", "base"]
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512])
    parser.add_argument(
        "--batch_sizes", type=int, nargs="+", default=[1, 4, 16]
    )
    parser.add_argument(
        "--centre",
        nargs=3,
        default=["small", "256", "8"],
        metavar=("SIZE", "LENGTH", "BATCH"),
        help="from which one setting at a time is changed",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: as many as cores")
    parser.add_argument("--matmul_size", type=int, default=2048)


def points(settings):
    """The settings that are measured, as tuples of size, length and batch."""
    size, length, batch = settings.centre
    length, batch = int(length), int(batch)
    found = [(size, length, batch)]
    found += [(other, length, batch) for other in settings.sizes]
    found += [(size, other, batch) for other in settings.lengths]
    found += [(size, length, other) for other in settings.batch_sizes]
    return list(dict.fromkeys(found))


def run(settings):
    """Measures all points; returns a dict of figures."""
    figures = {"settings": vars_of(settings), "points": []}
    for size, length, batch_size in points(settings):
        print(f"{size}, n = {length}, batch {batch_size}")
        own = {"size": size, "length": length, "batch_size": batch_size}
        samples = measure(
            {"AE+PAR": f"{OURS}:pretraining", "matmul": f"{OURS}:matmul"},
            settings.rounds,
            {**vars_of(settings), **own},
        )
        seconds = samples["AE+PAR"]["seconds"]
        flops = step_flops(own)
        peaks = [
            matmul_flops(settings) / s for s in samples["matmul"]["seconds"]
        ]
        tokens = batch_size * length
        point = {
            **own,
            "seconds": spread(seconds),
            "milliseconds_per_token": spread([1e3 * s / tokens
                                              for s in seconds]),
            "flops_per_token": flops / tokens,
            "share_of_peak": ratio([flops / s for s in seconds], peaks),
            "peak_mb": spread(samples["AE+PAR"]["peak_mb"]),
        }  # fmt: skip
        figures["points"].append(point)
        print(
            f"  {shown(point['milliseconds_per_token'], 3)} ms a token, "
            f"of peak {shown(point['share_of_peak'])}"
        )
    return figures
