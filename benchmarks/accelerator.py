"""Steps of pre-training on an accelerator, compiled as Keras's `fit` does it.

Part of the benchmark `training`, for `--device gpu`. With JAX:

    KERAS_BACKEND=jax python -m benchmarks training --device gpu \\
      --precision mixed_bfloat16 --tokens 32768

Both objectives, autoencoding alone, both without dropout, and KerasHub's
masked language model take steps by turns, in one process.
"""

import time

from benchmarks.alternating import ratio
from benchmarks.alternating import spread
from benchmarks.training import print_length
from benchmarks.training import step_flops
from benchmarks.training import vars_of

PACKAGES = ("keras", "keras-hub", "numpy")
PEER = "KerasHub BERT"
_WARM_UPS = 3


def run_on_accelerator(settings):
    """Measures all contenders at each length.

    Args:
        settings: what `training.add_arguments` added.

    Returns:
        A dict of figures, with the device in its settings.

    Raises:
        ValueError: if Keras's backend sees no accelerator.
    """
    import keras

    device = find_device()
    peak = matmul_peak(settings.matmul_size, settings.precision)
    print(f"{device}: {peak / 1e12:.0f} TFLOP/s")
    figures = {
        "name": f"training-{settings.device}",
        "packages": (*PACKAGES, keras.backend.backend()),
        "settings": {**vars_of(settings), "device": device},
        "matmul_flops_per_second": peak,
        "lengths": {},
    }
    for length in settings.lengths:
        found = measure_length(settings, length, peak)
        figures["lengths"][str(length)] = found
        print_length(length, found)
    return figures


def measure_length(settings, length, peak):
    """Steps of all contenders at one length, by turns."""
    from benchmarks.contenders import keras_hub_models
    from benchmarks.contenders import our_models

    batch_size = max(1, settings.tokens // length)
    common = {**vars_of(settings), "length": length, "batch_size": batch_size}
    own = {
        "AE+PAR": {"objectives": ("ae", "par")},
        "AE": {"objectives": ("ae",)},
        "AE+PAR, no dropout": {"objectives": ("ae", "par"), "dropout": 0.0},
    }
    steps = {}
    for name, settings_of in own.items():
        steps[name] = our_models.keras_pretraining({**common, **settings_of})
        print(f"  {name}: {_timed(steps[name]):.0f} s to the first step")
    if PEER in settings.peers:
        steps[PEER] = keras_hub_models.bert({**common, "jit_compile": "auto"})
        print(f"  {PEER}: {_timed(steps[PEER]):.0f} s to the first step")
    for name, step in steps.items():
        warm_ups = [f"{_timed(step):.2f}" for _ in range(_WARM_UPS)]
        print(f"  {name}: steps of {', '.join(warm_ups)} s before measuring")
    seconds = {name: [] for name in steps}
    for number in range(settings.rounds):
        for name, step in steps.items():
            seconds[name].append(_timed(step))
        latest = ", ".join(f"{n} {s[-1]:.3g}" for n, s in seconds.items())
        print(f"  round {number + 1}, seconds: {latest}")
    flops = {
        name: step_flops(common, settings_of["objectives"])
        for name, settings_of in own.items()
    }
    found = {
        "batch_size": batch_size,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "flops": flops,
        "share_of_peak": {
            name: spread([flops[name] / s / peak for s in seconds[name]])
            for name in flops
        },
        "joint_to_ae": ratio(seconds["AE+PAR"], seconds["AE"]),
        "joint_to_ae_by_flops": flops["AE+PAR"] / flops["AE"],
        "ae_to": {},
    }
    if PEER in seconds:
        found["ae_to"][PEER] = ratio(seconds["AE"], seconds[PEER])
    return found


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

    dtype = precision.removeprefix("mixed_")
    number, width = 32, 4 * size
    # Random, since products of zeros are faster on some accelerators, and of
    # a size at which the entries neither grow nor vanish.
    x = keras.random.normal([width, width], stddev=width**-0.5, seed=0)
    x = keras.ops.cast(x, dtype)

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
    return number * 2 * width**3 / min(seconds)


def _timed(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
