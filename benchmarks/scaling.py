"""Cost of a token of pre-training: by size of the model, length and batch.

Joint steps are measured at several points, one setting changed at a time, each
beside the products of matrices of the same rounds.

    python -m benchmarks scaling
"""

from benchmarks.contest import shown
from benchmarks.training import measure_length

QUICK = {
    "sizes": ["tiny"],
    "lengths": [32],
    "batch_sizes": [2],
    "rounds": 2,
    "matmul_size": 256,
}


def run(
    sizes: list[str] = ["small", "tiny", "mini", "base"],  # noqa: B006
    lengths: list[int] = [256, 128, 512],  # noqa: B006
    batch_sizes: list[int] = [8, 1, 4, 16],  # noqa: B006
    rounds: int = 3,
    threads: int | None = None,
    matmul_size: int = 2048,
):
    """Measures all points: of each list, the others change beside the first."""
    settings = dict(locals())
    center = {
        "size": sizes[0],
        "length": lengths[0],
        "batch_size": batch_sizes[0],
    }
    points = [center]
    points += [{**center, "size": size} for size in sizes[1:]]
    points += [{**center, "length": length} for length in lengths[1:]]
    points += [{**center, "batch_size": size} for size in batch_sizes[1:]]
    for point in points:
        print(point)
        found = measure_length({**settings, **point}, peers={})
        tokens = point["batch_size"] * point["length"]
        point["milliseconds_per_token"] = {
            key: 1e3 * value / tokens
            for key, value in found["seconds"]["AE+PAR"].items()
        }
        point["flops_per_token"] = found["flops"]["AE+PAR"] / tokens
        point["share_of_peak"] = found["share_of_peak"]["AE+PAR"]
        point["peak_mb"] = found["peak_mb"]["AE+PAR"]
    return {"points": points}


def tables(figures):
    """The table of docs/results/scaling.md."""
    rows = [
        (
            point["size"],
            point["length"],
            point["batch_size"],
            shown(point["milliseconds_per_token"], 3),
            f"{point['flops_per_token'] / 1e6:,.0f}",
            shown(point["share_of_peak"]),
            f"{point['peak_mb']['median']:,.0f}",
        )
        for point in figures["points"]
    ]
    header = ("size", "n", "batch", "ms a token", "MFLOP a token",
              "share of peak", "MB")  # fmt: skip
    return {"points": (header, rows)}
