"""A step of sequence-to-sequence fine-tuning beside BART's.

Measured alternately: ours, KerasHub's BART and Hugging Face's BART in PyTorch,
on pairs of the same lengths, with the same vocabulary, width and number of
layers; BART has half of them in its encoder and half in its decoder, as the
published one. Losses and optimizers are each library's own.

BART needs fewer operations for a pair: its source goes through half of the
layers. How many is in the results, so that both can be read: time, and how
well the machine is used.

    python -m benchmarks finetuning
    python -m benchmarks finetuning --precision mixed_bfloat16
"""

from benchmarks.alternating import measure
from benchmarks.alternating import ratio
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.contenders import rows
from benchmarks.training import OURS
from benchmarks.training import matmul_flops
from benchmarks.training import step_flops
from benchmarks.training import vars_of

NAME = "finetuning"
PACKAGES = ("tensorflow", "keras", "keras-hub", "torch", "transformers")
QUICK = [
    *("--size", "tiny", "--source_length", "24", "--target_length", "8"),
    *("--batch_size", "2", "--rounds", "2", "--matmul_size", "256"),
]
PEERS = {
    "KerasHub BART": "benchmarks.contenders.keras_hub_models:bart",
    "Hugging Face BART": "benchmarks.contenders.hugging_face:bart",
}


def add_arguments(parser):
    parser.add_argument("--size", default="base", choices=list(rows.SIZES))
    parser.add_argument("--source_length", type=int, default=256)
    parser.add_argument("--target_length", type=int, default=48)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "mixed_bfloat16"),
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="default: as many as cores")
    parser.add_argument("--matmul_size", type=int, default=2048)


def run(settings):
    """Measures all contenders; returns a dict of figures."""
    samples = measure(
        {
            "unilmv2_tf": f"{OURS}:finetuning",
            **PEERS,
            "matmul": f"{OURS}:matmul",
        },
        settings.rounds,
        {
            **vars_of(settings),
            "matmul_dtype": settings.precision.removeprefix("mixed_"),
        },
    )
    seconds = {name: sample["seconds"] for name, sample in samples.items()}
    flops = {"unilmv2_tf": our_flops(settings)}
    flops |= {name: bart_flops(settings) for name in PEERS}
    peaks = [matmul_flops(settings) / second for second in seconds["matmul"]]
    figures = {
        "settings": vars_of(settings),
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "peak_mb": {
            name: spread(sample["peak_mb"]) for name, sample in samples.items()
        },
        "flops": flops,
        "share_of_peak": {
            name: ratio([value / s for s in seconds[name]], peaks)
            for name, value in flops.items()
        },
        "speed_to": {
            name: ratio(seconds[name], seconds["unilmv2_tf"]) for name in PEERS
        },
    }
    print_figures(figures)
    if settings.precision != "float32":
        figures["name"] = f"{NAME}-{settings.precision}"
    return figures


def our_flops(settings):
    """The operations of a step of `UniLMv2Seq2SeqLM`."""
    # Those of the objective "par": context, targets, pseudo masks.
    return step_flops(
        {**vars_of(settings), "length": settings.source_length},
        ("par",),
        settings.target_length,
    )


def bart_flops(settings):
    """The operations of a step of BART."""
    size = rows.size(vars_of(settings))
    n, m = settings.source_length, settings.target_length
    half = size["layers"] // 2
    hidden = size["hidden"]
    encoder = _layer(size, n, n * n)
    # A decoder layer also projects the source to keys and values, and its
    # own states to queries, and the result back.
    decoder = _layer(size, m, m * m + m * n) + 2 * (n + m) * hidden**2
    layers = half * (encoder + decoder)
    return settings.batch_size * 6 * (layers + _head(size, m))


def _layer(size, num_tokens, num_pairs):
    hidden, inner = size["hidden"], size["inner"]
    return num_tokens * (4 * hidden**2 + 2 * hidden * inner) + (
        num_pairs * 2 * hidden
    )


def _head(size, num_tokens):
    return num_tokens * size["hidden"] * rows.VOCABULARY_SIZE


def print_figures(figures):
    """Prints what was found."""
    for name, seconds in figures["seconds"].items():
        share = figures["share_of_peak"].get(name)
        note = f"   of peak {shown(share)}" if share else ""
        print(f"  {name:18} {shown(seconds, 3)} s{note}")
    for name, value in figures["speed_to"].items():
        print(f"  time of {name} / ours {shown(value)}")


def draw(figures, path):
    """Draws the seconds of all contenders."""
    from benchmarks.pictures import bars

    settings = figures["settings"]
    bars(
        {
            name: [spread_]
            for name, spread_ in figures["seconds"].items()
            if name != "matmul"
        },
        [f"{settings['source_length']} + {settings['target_length']} tokens"],
        "seconds for a step of fine-tuning",
        path,
    )


def table(figures):
    """Rows of README's table."""
    settings = figures["settings"]
    pair = f"{settings['source_length']} to {settings['target_length']} tokens"
    return [
        (
            f"Fine-tuning step, {pair}: pairs a second, of {name}'s",
            shown(value),
        )
        for name, value in figures["speed_to"].items()
    ]
