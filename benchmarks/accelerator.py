"""Our steps on an accelerator, compiled as Keras's `fit` does it.

Part of the benchmark `training`, for `--device gpu`. With JAX:

    KERAS_BACKEND=jax python -m benchmarks training --device gpu

It has not been run on a GPU: none was at hand.
"""

import time

from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.training import step_flops
from benchmarks.training import vars_of


def run_on_accelerator(settings):
    """Measures the joint step and autoencoding alone at each length.

    Args:
        settings: what `training.add_arguments` added.

    Returns:
        A dict of figures, with the device in its settings.

    Raises:
        ValueError: if Keras's backend sees no accelerator.
    """
    device = find_device()
    from benchmarks.contenders import ours

    peak = matmul_peak(settings.matmul_size, settings.precision)
    figures = {
        "name": f"training-{settings.device}",
        "settings": {**vars_of(settings), "device": device},
        "matmul_flops_per_second": peak,
        "lengths": {},
    }
    for length in settings.lengths:
        found = {}
        for name, objectives in (("AE+PAR", ("ae", "par")), ("AE", ("ae",))):
            own = {
                **vars_of(settings),
                "length": length,
                "batch_size": max(1, settings.tokens // length),
                "objectives": objectives,
            }
            step = ours.keras_pretraining(own)
            for _ in range(3):
                step()
            seconds = [_timed(step) for _ in range(settings.rounds)]
            flops = step_flops(own, objectives)
            found[name] = {
                "seconds": spread(seconds),
                "share_of_peak": spread([flops / s / peak for s in seconds]),
            }
            print(
                f"n = {length}, {name}: {shown(spread(seconds), 4)} s, of "
                f"peak {shown(found[name]['share_of_peak'])}"
            )
        figures["lengths"][str(length)] = found
    return figures


def find_device():
    """The name of the accelerator that Keras's backend uses."""
    import keras

    backend = keras.backend.backend()
    names = []
    if backend == "jax":
        import jax

        names = [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name()]
    else:
        import tensorflow as tf

        names = [device.name for device in tf.config.list_physical_devices()
                 if device.device_type != "CPU"]  # fmt: skip
    if not names:
        raise ValueError(
            f"--device gpu needs an accelerator, and {backend} sees none. "
            "Received: --device gpu. Install a package of the backend that "
            "supports it, for example jax[cuda12], or leave --device out."
        )
    return f"{names[0]} ({backend})"


def matmul_peak(size, precision, repeats=20):
    """Operations a second of products of large matrices, the best of some."""
    import keras
    import numpy as np

    dtype = precision.removeprefix("mixed_")
    number = 32
    x = keras.ops.cast(np.eye(4 * size, dtype="float32"), dtype)

    def products(x):
        result = x
        for _ in range(number):
            result = keras.ops.matmul(result, x)
        return keras.ops.sum(result[0])

    if keras.backend.backend() == "jax":
        import jax

        products = jax.jit(products)
    float(products(x))
    seconds = [_timed(lambda: float(products(x))) for _ in range(repeats)]
    return number * 2 * (4 * size) ** 3 / min(seconds)


def _timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
