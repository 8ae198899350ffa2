"""A step of sequence-to-sequence fine-tuning beside BART's.

Ours, KerasHub's BART and Hugging Face's BART in PyTorch take turns, on pairs of
the same lengths, with the same vocabulary, width and number of layers; BART has
half of them in its encoder and half in its decoder, as the published one.
Losses and optimizers are each library's own.

BART needs fewer operations for a pair: its source goes through half of the
layers. The operations are in the results, so that both can be read: time, and
the share of the machine's peak.

    python -m benchmarks finetuning
    python -m benchmarks finetuning --precision mixed_bfloat16
"""

from benchmarks import charts
from benchmarks import peer_steps
from benchmarks import random_rows
from benchmarks.contest import faster_than
from benchmarks.contest import installed
from benchmarks.contest import measure
from benchmarks.contest import ratio
from benchmarks.contest import shown
from benchmarks.contest import spreads
from benchmarks.our_steps import matmul_flops
from benchmarks.our_steps import step_flops
from benchmarks.training import MATMUL
from benchmarks.training import seconds_table

QUICK = {
    "size": "tiny",
    "source_length": 24,
    "target_length": 8,
    "batch_size": 2,
    "rounds": 2,
    "matmul_size": 256,
}
OURS = "unilmv2_tf"


def run(
    size: random_rows.Size = "base",
    source_length: int = 256,
    target_length: int = 48,
    batch_size: int = 8,
    precision: str = "float32",
    rounds: int = 3,
    threads: int | None = None,
    matmul_size: int = 2048,
):
    """Measures all contenders."""
    settings = dict(locals())
    peers = installed(peer_steps.FINETUNING)
    dtype = precision.removeprefix("mixed_")
    contest = {
        OURS: "benchmarks.our_steps:finetuning",
        **peers,
        "matmul": (MATMUL, {"matmul_dtype": dtype}),
    }
    samples = measure(contest, rounds, settings)
    seconds = {name: sample["seconds"] for name, sample in samples.items()}
    flops = {OURS: our_flops(settings)}
    flops |= {name: bart_flops(settings) for name in peers}
    peaks = [matmul_flops(settings) / s for s in seconds["matmul"]]
    speed_to = {name: ratio(seconds[name], seconds[OURS]) for name in peers}
    for name, value in spreads(samples).items():
        print(f"  {name:18} {shown(value, 3)} s")
    for name, value in speed_to.items():
        print(f"  {faster_than(name, value)}")
    return {
        "variant": None if precision == "float32" else precision,
        "seconds": spreads(samples),
        "peak_mb": spreads(samples, "peak_mb"),
        "flops": flops,
        "share_of_peak": {
            name: ratio([value / s for s in seconds[name]], peaks)
            for name, value in flops.items()
        },
        "speed_to": speed_to,
    }


def our_flops(settings):
    """The operations of a step of `UniLMv2Seq2SeqLM`."""
    # As with the objective PAR: context, targets, pseudo masks.
    own = {**settings, "length": settings["source_length"]}
    return step_flops(own, ("par",), settings["target_length"])


def bart_flops(settings):
    """The operations of a step of BART."""
    size = random_rows.size_of(settings)
    n, m = settings["source_length"], settings["target_length"]
    hidden, inner = size["hidden_dim"], size["intermediate_dim"]

    def layer(num_tokens, num_pairs):
        weights = 4 * hidden**2 + 2 * hidden * inner
        return num_tokens * weights + num_pairs * 2 * hidden

    # Cross-attention projects the source to keys and values, and the target to
    # queries and back.
    cross = 2 * (n + m) * hidden**2
    layers = layer(n, n * n) + layer(m, m * m + m * n) + cross
    head = m * hidden * random_rows.VOCABULARY_SIZE
    return (
        settings["batch_size"] * 6 * (size["num_layers"] // 2 * layers + head)
    )


def draw(figures, path):
    """Draws the seconds of all contenders."""
    series = {name: [value] for name, value in figures["seconds"].items()}
    series.pop("matmul")
    step = "{batch_size} pairs of {source_length} and {target_length} tokens"
    groups = [step.format(**figures["settings"])]
    label = "seconds for a fine-tuning step"
    charts.draw_panels(
        path, lambda axes: charts.bar_panel(axes, series, groups, label)
    )


def summary(figures):
    """Rows of the summary in docs/results/speed.md."""
    step = "Fine-tuning step, base size, {source_length} to {target_length} "
    step = step.format(**figures["settings"]) + "tokens"
    return [
        (step, faster_than(name, value))
        for name, value in figures["speed_to"].items()
    ]


def tables(figures):
    """The table of docs/results/speed.md."""
    step = "{batch_size} pairs of {source_length} and {target_length}"
    steps = {step.format(**figures["settings"]): figures}
    return {"finetuning": seconds_table("fine-tuning step, base size", steps)}
