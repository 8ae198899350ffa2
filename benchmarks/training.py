"""A step of pre-training: both objectives, one, and BERT's of two libraries.

At each length these take turns: the joint step of autoencoding (AE) and
partially autoregressive modeling (PAR), AE alone, the masked language models
of KerasHub and Model Garden of the same size, and a product of matrices, the
peak of the machine.

    python -m benchmarks training
    KERAS_BACKEND=jax python -m benchmarks training --device gpu \\
      --precision mixed_bfloat16 --tokens 32768

The second measures steps as Keras's `fit` compiles them, on an accelerator.

Reference:
    Bao et al., 2020, section 3.2: the cost of pseudo masks.
"""

import os
from typing import Literal

import keras

from benchmarks import charts
from benchmarks import peer_steps
from benchmarks import random_rows
from benchmarks.contest import faster_than
from benchmarks.contest import installed
from benchmarks.contest import inverse
from benchmarks.contest import measure
from benchmarks.contest import ratio
from benchmarks.contest import shown
from benchmarks.contest import spread
from benchmarks.contest import spreads
from benchmarks.our_steps import matmul_flops
from benchmarks.our_steps import step_flops

QUICK = {
    "size": "tiny",
    "lengths": [32],
    "tokens": 64,
    "rounds": 2,
    "matmul_size": 256,
}
OURS = "benchmarks.our_steps:pretraining"
MATMUL = "benchmarks.our_steps:matmul"


def run(
    size: random_rows.Size = "base",
    lengths: list[int] = [128, 256, 512],  # noqa: B006
    tokens: int = 2048,
    rounds: int = 3,
    precision: str = "float32",
    threads: int | None = None,
    matmul_size: int = 2048,
    device: Literal["cpu", "gpu"] = "cpu",
):
    """Measures all lengths, with `tokens` in a batch."""
    settings = dict(locals())
    peers = installed(peer_steps.PRETRAINING)
    variant = None if precision == "float32" else precision
    figures = {"lengths": {}, "variant": variant}
    if device == "gpu":
        figures["device"], figures["variant"] = accelerator(), "gpu"
        # The contenders share its memory, and none takes all of it.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        peers.pop("Model Garden BERT", None)
        settings["matmul_dtype"] = precision.removeprefix("mixed_")
        settings["jit_compile"] = "auto"
    for length in lengths:
        print(f"{size}, n = {length}")
        own = {"length": length, "batch_size": max(1, tokens // length)}
        found = measure_length({**settings, **own}, peers)
        figures["lengths"][str(length)] = found
        print_length(found)
    return figures


def accelerator():
    """The name of the accelerator that Keras's backend uses."""
    backend, names = keras.backend.backend(), []
    if backend == "jax":
        import jax

        names = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name()]
    else:
        import tensorflow as tf

        names = [d.name for d in tf.config.list_physical_devices("GPU")]
    if not names:
        raise ValueError(
            f"--device gpu needs an accelerator, and {backend} sees none. "
            "Received: --device gpu. Install a package of the backend that "
            "supports it, for example jax[cuda12], or leave --device out."
        )
    return f"{names[0]} ({backend})"


def measure_length(settings, peers):
    """The contests of one length, of two models each, for want of memory."""
    ours = OURS
    if settings.get("device") == "gpu":
        ours = "benchmarks.our_steps:keras_pretraining"
    ae = (ours, {"objectives": ["ae"]})
    contest = {"AE+PAR": ours, "AE": ae, "matmul": MATMUL}
    samples = measure(contest, settings["rounds"], settings)
    seconds = {name: sample["seconds"] for name, sample in samples.items()}
    peaks = [matmul_flops(settings) / s for s in seconds["matmul"]]
    flops = {"AE+PAR": step_flops(settings), "AE": step_flops(settings, ["ae"])}
    found = {
        "batch_size": settings["batch_size"],
        "seconds": spreads(samples),
        "peak_mb": spreads(samples, "peak_mb"),
        "matmul_flops_per_second": spread(peaks),
        "flops": flops,
        "share_of_peak": {
            name: ratio([flops[name] / s for s in seconds[name]], peaks)
            for name in flops
        },
        "joint_to_ae": ratio(seconds["AE+PAR"], seconds["AE"]),
        "joint_to_ae_by_flops": flops["AE+PAR"] / flops["AE"],
        "ae_to": {},
    }
    for name, peer in peers.items():
        samples = measure({"AE": ae, name: peer}, settings["rounds"], settings)
        ours, theirs = (sample["seconds"] for sample in samples.values())
        found["seconds"][name] = spread(theirs)
        found["peak_mb"][name] = spread(samples[name]["peak_mb"])
        found["ae_to"][name] = ratio(ours, theirs)
    return found


def print_length(found):
    """Prints what was found at one length."""
    for name, seconds in found["seconds"].items():
        print(f"  {name:18} {shown(seconds, 3)} s")
    for name, share in found["share_of_peak"].items():
        print(f"  {name:18} {shown(share)} of the peak")
    for name, value in found["ae_to"].items():
        print(f"  AE is {faster_than(name, inverse(value))}")


def draw(figures, path):
    """Draws the seconds of all contenders, by length."""
    lengths = figures["lengths"]
    names = list(next(iter(lengths.values()))["seconds"])
    names.remove("matmul")
    series = {
        name: [found["seconds"][name] for found in lengths.values()]
        for name in names
    }
    groups = [f"{length} tokens a row" for length in lengths]
    label = "seconds for a pre-training step"
    charts.draw_panels(
        path, lambda axes: charts.bar_panel(axes, series, groups, label)
    )


def summary(figures):
    """Rows of the summary in docs/results/speed.md."""
    found = figures["lengths"]["256"]
    size, batch_size = figures["settings"]["size"], found["batch_size"]
    step = f"Pre-training step, {size} size, {batch_size} rows of 256 tokens"
    rows = [
        (f"{step}, AE alone", faster_than(name, inverse(value)))
        for name, value in found["ae_to"].items()
    ]
    joint, share = found["joint_to_ae"], found["share_of_peak"]["AE+PAR"]
    return [
        *rows,
        (
            f"{step}, AE and PAR",
            f"{shown(joint)} times the time of AE alone, for "
            f"{found['joint_to_ae_by_flops']:.2f} times the operations",
        ),
        (
            f"{step}, AE and PAR",
            f"{shown(share)} of the measured peak of matrix products",
        ),
    ]


def tables(figures):
    """The table of docs/results/speed.md."""
    steps = {
        f"{found['batch_size']} rows of {length}": found
        for length, found in figures["lengths"].items()
    }
    return {"training": seconds_table("pre-training step, base size", steps)}


def seconds_table(title, steps):
    """Seconds, share of the peak and memory of all contenders."""
    rows = []
    for step, found in steps.items():
        for name, seconds in found["seconds"].items():
            share = found["share_of_peak"].get(name)
            share = shown(share) if share else ""
            memory = f"{found['peak_mb'][name]['median']:,.0f}"
            rows.append((step, name, shown(seconds), share, memory))
    return (title, "", "seconds", "share of peak", "peak MB"), rows
