"""A step of pre-training: both objectives, one, and BERT's of two libraries.

Measured alternately, at each length: the joint step of autoencoding and
partially autoregressive modelling, autoencoding alone, KerasHub's and Model
Garden's masked language model of the same size, and a product of matrices,
the machine's peak. Apart from these, the joint step beside what it replaces:
a row for each factorization step.

Floating-point operations are those of `training/flops.py`.

    python -m benchmarks training
    KERAS_BACKEND=jax python -m benchmarks training --device gpu

The second measures steps on an accelerator, see `accelerator`.

Reference:
    Bao et al., 2020, section 3.2: the cost of pseudo masks.
"""

import types

from benchmarks.alternating import measure
from benchmarks.alternating import ratio
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.contenders import rows

NAME = "training"
PACKAGES = ("tensorflow", "keras", "keras-hub", "tf-models-official", "numpy")
QUICK = [
    *("--size", "tiny", "--lengths", "32", "--tokens", "64"),
    *("--rounds", "2", "--cloze_batches", "2", "--matmul_size", "256"),
]
OURS = "benchmarks.contenders.ours"
PEERS = {
    "KerasHub BERT": "benchmarks.contenders.keras_hub_models:bert",
    "Model Garden BERT": "benchmarks.contenders.model_garden:bert",
}


def add_arguments(parser):
    parser.add_argument("--size", default="base", choices=list(rows.SIZES))
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[128, 256, 512]
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=2048,
        help="of the rows of a batch: 8 rows of 256",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=list(PEERS)
    )
    parser.add_argument(
        "--cloze_batches",
        type=int,
        nargs="*",
        default=[0, 2],
        help="rows of the comparison with a row for each factorization step, "
        "for each length; 0 for none",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    )
    parser.add_argument("--threads", type=int, help="default: as many as cores")
    parser.add_argument("--matmul_size", type=int, default=2048)
    parser.add_argument("--device", default="cpu", choices=("cpu", "gpu"))


def run(settings):
    """Measures all lengths.

    Args:
        settings: what `add_arguments` added.

    Returns:
        A dict of `settings` and `lengths`, a dict from length to figures.

    Raises:
        ValueError: if an accelerator is asked for, and there is none.
    """
    if settings.device == "gpu":
        from benchmarks.accelerator import run_on_accelerator

        return run_on_accelerator(settings)
    figures = {"settings": vars_of(settings), "lengths": {}}
    clozes = [*settings.cloze_batches, *[0] * len(settings.lengths)]
    for length, cloze_batch in zip(settings.lengths, clozes):
        print(f"{settings.size}, n = {length}")
        found = measure_length(settings, length)
        if cloze_batch:
            found["cloze"] = measure_cloze(settings, length, cloze_batch)
        figures["lengths"][str(length)] = found
        print_length(length, found)
    return figures


def vars_of(settings):
    """The settings that matter, as a dict."""
    return {
        name: value
        for name, value in vars(settings).items()
        if name not in ("output", "quick")
    }


def measure_length(settings, length):
    """The contests of one length, of two models each: memory holds no more."""
    batch_size = max(1, settings.tokens // length)
    common = {**vars_of(settings), "length": length, "batch_size": batch_size}
    ae = (f"{OURS}:pretraining", {"objectives": ["ae"]})
    samples = measure(
        {
            "AE+PAR": f"{OURS}:pretraining",
            "AE": ae,
            "matmul": f"{OURS}:matmul",
        },
        settings.rounds,
        common,
    )
    seconds = {name: sample["seconds"] for name, sample in samples.items()}
    flops = {
        name: step_flops(common, objectives)
        for name, objectives in (("AE+PAR", ("ae", "par")), ("AE", ("ae",)))
    }
    peaks = [matmul_flops(settings) / second for second in seconds["matmul"]]
    found = {
        "batch_size": batch_size,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "peak_mb": {
            name: spread(sample["peak_mb"]) for name, sample in samples.items()
        },
        "flops": flops,
        "matmul_flops_per_second": spread(peaks),
        "share_of_peak": {
            name: ratio(
                [flops[name] / second for second in seconds[name]], peaks
            )
            for name in flops
        },
        "joint_to_ae": ratio(seconds["AE+PAR"], seconds["AE"]),
        "joint_to_ae_by_flops": flops["AE+PAR"] / flops["AE"],
        "ae_to": {},
    }
    for name in settings.peers:
        contest = {"AE": ae, name: PEERS[name]}
        samples = measure(contest, settings.rounds, common)
        ours, theirs = (samples[key]["seconds"] for key in contest)
        found["seconds"][name] = spread(theirs)
        found["peak_mb"][name] = spread(samples[name]["peak_mb"])
        found["ae_to"][name] = ratio(ours, theirs)
    return found


def measure_cloze(settings, length, batch_size):
    """The joint step beside one with a row for each factorization step."""
    common = {**vars_of(settings), "length": length, "batch_size": batch_size}
    masked = rows.masked_rows(batch_size, length)
    cloze = {"objectives": ["ae"], "cloze": True}
    samples = measure(
        {
            "AE+PAR": f"{OURS}:pretraining",
            "one row a step": (f"{OURS}:pretraining", cloze),
        },
        max(1, settings.rounds - 2),
        common,
        num_warmups=1,
    )
    instances = len(rows.cloze_rows(masked)["steps"])
    parts = -(-instances // batch_size)
    # The last part is filled up with rows that nobody needs.
    needed = instances / (parts * batch_size)
    joint, one_a_step = (sample["seconds"] for sample in samples.values())
    return {
        "batch_size": batch_size,
        "instances": instances,
        "seconds": {
            "AE+PAR": spread(joint),
            "one row a step": spread([s * needed for s in one_a_step]),
        },
        "joint_to_cloze": ratio(joint, [s * needed for s in one_a_step]),
    }


def step_flops(settings, objectives=("ae", "par"), num_slots=None):
    """The operations of a step of the whole batch.

    Args:
        settings: dict of `size`, `length`, `batch_size`.
        objectives: tuple of strings. Defaults to both.
        num_slots: int. The tokens of a row that are predicted. Defaults to
            `None`: as many as pre-training masks.

    Returns:
        An int.
    """
    from unilmv2_tf.preprocessing import num_mask_slots
    from unilmv2_tf.training.flops import training_flops

    size = rows.size(settings)
    shape = types.SimpleNamespace(
        hidden_dim=size["hidden"],
        intermediate_dim=size["inner"],
        num_layers=size["layers"],
        vocabulary_size=rows.VOCABULARY_SIZE,
    )
    length = settings["length"]
    slots = (length, num_slots or num_mask_slots(length))
    return settings["batch_size"] * training_flops(shape, slots, objectives)


def matmul_flops(settings):
    """The operations of a step of the contender `matmul`."""
    return 2 * settings.matmul_size**3 * 10


def print_length(length, found):
    """Prints what was found at one length."""
    print(f"n = {length}: median (lowest-highest)")
    for name, seconds in found["seconds"].items():
        share = found["share_of_peak"].get(name)
        note = f"   of peak {shown(share)}" if share else ""
        print(f"  {name:18} {shown(seconds, 3)} s{note}")
    print(
        f"  AE+PAR / AE {shown(found['joint_to_ae'])}, "
        f"by operations {found['joint_to_ae_by_flops']:.2f}"
    )
    for name, value in found["ae_to"].items():
        print(f"  AE / {name} {shown(value)}")
    if "cloze" in found:
        print(f"  AE+PAR / one row a step "
              f"{shown(found['cloze']['joint_to_cloze'], 3)}")  # fmt: skip


def draw(figures, path):
    """Draws the seconds of all contenders, by length."""
    from benchmarks.pictures import bars

    lengths = figures["lengths"]
    if not lengths:
        return
    names = [
        n for n in next(iter(lengths.values()))["seconds"] if n != "matmul"
    ]
    bars(
        {
            name: [found["seconds"][name] for found in lengths.values()]
            for name in names
        },
        [f"n = {length}" for length in lengths],
        "seconds for a step of pre-training",
        path,
    )


def table(figures):
    """Rows of README's table."""
    length = "256" if "256" in figures["lengths"] else None
    found = figures["lengths"].get(length)
    if found is None:
        return []
    size, batch_size = figures["settings"]["size"], found["batch_size"]
    step = f"{size} size, batch {batch_size}, n = 256"
    result = [
        (
            f"Pre-training step, {step}: share of the measured matmul peak",
            shown(found["share_of_peak"]["AE+PAR"]),
        ),
        (
            "Both objectives, of autoencoding alone "
            f"({found['joint_to_ae_by_flops']:.2f} by operations)",
            shown(found["joint_to_ae"]),
        ),
    ]
    if "cloze" in found:
        result.append(
            (
                "Both objectives, of a row for each factorization step",
                shown(found["cloze"]["joint_to_cloze"], 3),
            )
        )
    result += [
        (f"Time of autoencoding, of {name}'s", shown(value))
        for name, value in found["ae_to"].items()
    ]
    return result
