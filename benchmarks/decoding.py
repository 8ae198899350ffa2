"""Decoding by beam search beside BART's, and beside no cache.

All are forced to the full length, with random weights of the same width,
vocabulary and number of layers; BART has half of them in its encoder, so that
its decoder reads a little over half of the weights that ours reads at each
step. Ours is also measured as it was before its kernels were laid out in
blocks. Curves show what longer targets and more beams cost.

    python -m benchmarks decoding
"""

from benchmarks.alternating import measure
from benchmarks.alternating import ratio
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.contenders import rows

NAME = "decoding"
PACKAGES = ("tensorflow", "keras", "keras-hub", "torch", "transformers")
QUICK = [
    *("--size", "tiny", "--source_length", "24", "--target_length", "8"),
    *("--uncached_target_length", "4", "--rounds", "2"),
    *("--curve_lengths", "4", "8", "--curve_beams", "1", "2"),
]
CONTENDERS = "benchmarks.contenders.decoding"
PEERS = {
    "KerasHub BART": f"{CONTENDERS}:keras_hub_bart",
    "Hugging Face BART": f"{CONTENDERS}:hugging_face_bart",
}
OURS = f"{CONTENDERS}:ours"
FORMER = {"ours, kernels as they are": f"{CONTENDERS}:as_they_are"}


def add_arguments(parser):
    parser.add_argument("--size", default="base", choices=list(rows.SIZES))
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--source_length", type=int, default=256)
    parser.add_argument("--target_length", type=int, default=48)
    parser.add_argument("--num_beams", type=int, default=4)
    parser.add_argument(
        "--uncached_target_length",
        type=int,
        default=48,
        help="target of the contest without a cache, which takes minutes",
    )
    parser.add_argument(
        "--curve_lengths", type=int, nargs="*", default=[12, 24, 48, 96]
    )
    parser.add_argument(
        "--curve_beams", type=int, nargs="*", default=[1, 2, 4, 8]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: as many as cores")


def run(settings):
    """Measures all contests; returns a dict of figures."""
    shared = dict(vars(settings))
    figures = {"settings": shared}
    for precision in ("float32", "bfloat16"):
        print(precision)
        seconds = _contest(
            {"unilmv2_tf": OURS, **PEERS, **FORMER},
            settings,
            {**shared, "precision": precision},
        )
        figures[precision] = _compared(seconds)
        print_contest(figures[precision])
    print(f"without a cache, {settings.uncached_target_length} tokens")
    seconds = _contest(
        {"unilmv2_tf": OURS, "no cache": f"{CONTENDERS}:uncached"},
        settings,
        {**shared, "target_length": settings.uncached_target_length},
        rounds=1,
        num_warmups=1,
    )
    figures["uncached"] = _compared(seconds)
    print_contest(figures["uncached"])
    figures["by_target_length"] = _curve(
        settings, "target_length", settings.curve_lengths
    )
    figures["by_num_beams"] = _curve(
        settings, "num_beams", settings.curve_beams
    )
    return figures


def _contest(contenders, settings, shared, rounds=None, num_warmups=2):
    samples = measure(
        contenders, rounds or settings.rounds, shared, num_warmups
    )
    return {name: sample["seconds"] for name, sample in samples.items()}


def _compared(seconds):
    return {
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "speed_to": {
            name: ratio(values, seconds["unilmv2_tf"])
            for name, values in seconds.items()
            if name != "unilmv2_tf"
        },
    }


def _curve(settings, name, values):
    print(f"by {name}")
    contenders = {
        str(value): (OURS, {name: value, "precision": "float32"})
        for value in values
    }
    seconds = _contest(contenders, settings, vars(settings), num_warmups=1)
    return {value: spread(samples) for value, samples in seconds.items()}


def print_contest(contest):
    """Prints what was found."""
    for name, seconds in contest["seconds"].items():
        print(f"  {name:26} {shown(seconds, 2)} s")
    for name, value in contest["speed_to"].items():
        print(f"  time of {name} / ours {shown(value)}")


def draw(figures, path):
    """Draws seconds by target length and by number of beams."""
    from benchmarks.pictures import curves

    curves(
        {
            "seconds by target length": {
                "unilmv2_tf": figures["by_target_length"]
            },
            "seconds by number of beams": {
                "unilmv2_tf": figures["by_num_beams"]
            },
        },
        "tokens, beams",
        path,
    )


def table(figures):
    """Rows of README's table."""
    settings = figures["settings"]
    task = (
        f"Beam search, {settings['num_beams']} beams, "
        f"{settings['source_length']} to {settings['target_length']} tokens"
    )
    lines = [
        (f"{task}, {precision}: texts a second, of {name}'s", shown(value))
        for precision in ("float32", "bfloat16")
        for name, value in figures[precision]["speed_to"].items()
        if name not in FORMER
    ]
    (value,) = figures["uncached"]["speed_to"].values()
    length = settings["uncached_target_length"]
    lines.append(
        (
            f"Beam search to {length} tokens: of the same one without a cache",
            shown(value, 0),
        )
    )
    return lines
