"""mixed_bfloat16 beside float32: the time of a step, and the loss.

The steps are those of pre-training at base size, the matrix products beside
them tell what the machine gains at most. For the loss a small model is trained
on random text of a Markov chain, which has something to learn, with each
precision from the same seeds; all see the same batches.

    python -m benchmarks precision
"""

import numpy as np

from benchmarks.alternating import measure
from benchmarks.alternating import ratio
from benchmarks.alternating import shown
from benchmarks.alternating import spread
from benchmarks.contenders import rows
from benchmarks.training import OURS
from benchmarks.training import matmul_flops
from benchmarks.training import vars_of

NAME = "precision"
QUICK = [
    *("--size", "tiny", "--length", "32", "--batch_size", "2"),
    *("--rounds", "2", "--matmul_size", "256", "--loss_steps", "4"),
    *("--seeds", "1"),
]
PRECISIONS = ("float32", "mixed_bfloat16")


def add_arguments(parser):
    parser.add_argument("--size", default="base", choices=list(rows.SIZES))
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loss_steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, help="default: as many as cores")
    parser.add_argument("--matmul_size", type=int, default=2048)


def run(settings):
    """Measures steps and losses; returns a dict of figures."""
    contenders = {}
    for precision in PRECISIONS:
        own = {"precision": precision}
        contenders[precision] = (f"{OURS}:pretraining", own)
        own = {"matmul_dtype": precision.removeprefix("mixed_")}
        contenders[f"matmul, {precision}"] = (f"{OURS}:matmul", own)
    samples = measure(contenders, settings.rounds, vars_of(settings))
    seconds = {name: sample["seconds"] for name, sample in samples.items()}
    figures = {
        "settings": vars_of(settings),
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "matmul_flops_per_second": {
            precision: spread(
                [
                    matmul_flops(settings) / second
                    for second in seconds[f"matmul, {precision}"]
                ]
            )
            for precision in PRECISIONS
        },
        "bfloat16_to_float32": {
            "step": ratio(seconds["mixed_bfloat16"], seconds["float32"]),
            "matmul": ratio(
                seconds["matmul, mixed_bfloat16"], seconds["matmul, float32"]
            ),
        },
        "held_out_loss": losses(settings),
    }
    for name, value in figures["bfloat16_to_float32"].items():
        print(f"  {name}: time in bfloat16 / float32 {shown(value)}")
    print(f"  held-out losses: {figures['held_out_loss']}")
    return figures


def losses(settings):
    """Held-out losses of a small model after training in each precision."""
    result = {precision: [] for precision in PRECISIONS}
    for seed in range(settings.seeds):
        for precision in PRECISIONS:
            result[precision].append(_train(precision, seed, settings))
    return result


def _train(precision, seed, settings):
    import keras
    import tensorflow as tf

    from benchmarks.contenders import ours
    from unilmv2_tf.models import UniLMv2Backbone
    from unilmv2_tf.models import UniLMv2PseudoMaskedLM
    from unilmv2_tf.training.train_step import StepSums
    from unilmv2_tf.training.train_step import TrainStep

    keras.utils.set_random_seed(seed)
    task = UniLMv2PseudoMaskedLM(
        UniLMv2Backbone(512, 2, 2, 128, 512, dtype=precision),
        pseudo_token_id=rows.MASK,
    )
    optimizer = ours.make_optimizer(
        {
            "batch_size": 16,
            "precision": precision,
            "learning_rate": 1e-3,
            "num_steps": settings.loss_steps,
            "warmup_steps": settings.loss_steps // 10,
        }
    )
    optimizer.build(task.trainable_variables)
    update = tf.function(TrainStep(task, optimizer, seed=seed))
    sums = StepSums(task.objectives)
    for step in range(settings.loss_steps):
        update(_batch(step, seed), tf.constant(step, tf.int64))
    totals = sum(
        sums(task(x), y, weight).numpy()
        for x, y, weight in (_batch(10**6 + number, 0) for number in range(16))
    )
    return round(sums.means(totals)["loss"], 4)


def _batch(number, seed):
    """Masked rows of a Markov chain: each token has four likely followers."""
    import tensorflow as tf

    from benchmarks.contenders import our_models

    chain = np.random.default_rng(0).integers(128, 512, [512, 4])
    rng = np.random.default_rng([seed, number])
    masked = rows.masked_rows(16, 64, seed=[seed, number])
    ids = np.empty([16, 64], "int32")
    ids[:, 0] = rng.integers(128, 512, 16)
    for place in range(1, 64):
        ids[:, place] = chain[ids[:, place - 1], rng.integers(0, 4, 16)]
    labels = np.take_along_axis(ids, masked["positions"], 1)
    masked["labels"] = labels * (masked["steps"] > 0)
    is_masked = masked["token_ids"] == rows.MASK
    masked["token_ids"] = np.where(is_masked, rows.MASK, ids)
    return tf.nest.map_structure(tf.constant, our_models.as_inputs(masked))


def table(figures):
    """Rows of README's table."""
    return [
        (
            "mixed_bfloat16, of the time of a float32 step",
            shown(figures["bfloat16_to_float32"]["step"]),
        )
    ]
