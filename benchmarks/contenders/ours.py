"""Steps of unilmv2_tf."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.contenders import rows
from benchmarks.contenders.our_models import as_inputs
from benchmarks.contenders.our_models import backbone
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.training.arguments import PretrainArgs
from unilmv2_tf.training.optimizer import FitAdamW
from unilmv2_tf.training.optimizer import make_optimizer as make_adamw
from unilmv2_tf.training.train_step import TrainStep


def pretraining(settings, backbone_cls=UniLMv2Backbone):
    """An update as `unilmv2 pretrain` does it.

    Settings:
        objectives: list of strings. Defaults to both.
        cloze: bool. Whether each factorization step is a row of its own, which
            needs the objective `ae` alone. Defaults to `False`.
        accumulation_steps: int. Defaults to `1`.
    """
    masked = rows.masked_rows(settings["batch_size"], settings["length"])
    parts = settings.get("accumulation_steps", 1)
    if settings.get("cloze"):
        masked = rows.cloze_rows(masked)
        # A batch that memory holds, and a number of rows that it divides.
        parts = -(-len(masked["steps"]) // settings["batch_size"])
        keep = parts * settings["batch_size"]
        masked = {name: np.resize(v, (keep, *v.shape[1:]))
                  for name, v in masked.items()}  # fmt: skip
    task = UniLMv2PseudoMaskedLM(
        backbone(settings, max(512, settings["length"]), backbone_cls),
        objectives=tuple(settings.get("objectives", ("ae", "par"))),
        pseudo_token_id=rows.MASK,
    )
    optimizer = make_optimizer(settings)
    optimizer.build(task.trainable_variables)
    update = TrainStep(task, optimizer, accumulation_steps=parts)
    batch = tf.nest.map_structure(tf.constant, as_inputs(masked))
    counter = tf.Variable(0, dtype=tf.int64)

    @tf.function
    def step():
        return update(batch, counter.assign_add(1))

    return lambda: step().numpy()


def make_optimizer(settings):
    """The optimizer of `unilmv2 pretrain`.

    Settings:
        num_steps: int. Defaults to that of the paper's base run.
        warmup_steps: int. Defaults to the same share as there.
    """
    args = PretrainArgs(
        data="",
        output="",
        batch_size=settings["batch_size"],
        learning_rate=settings.get("learning_rate", rows.LEARNING_RATE),
        weight_decay=rows.WEIGHT_DECAY,
        beta_2=rows.BETAS[1],
        num_steps=settings.get("num_steps", 500_000),
        warmup_steps=settings.get("warmup_steps"),
        precision=settings.get("precision", "float32"),
    )
    return make_adamw(args, args.num_steps, args.warmup_steps)


def finetuning(settings):
    """An update as `unilmv2 finetune seq2seq` does it."""
    source, target = rows.pairs(
        settings["batch_size"],
        settings["source_length"],
        settings["target_length"],
    )
    task = UniLMv2Seq2SeqLM(
        backbone(settings, sum(_lengths(settings))), pseudo_token_id=rows.MASK
    )
    optimizer = FitAdamW(
        learning_rate=rows.LEARNING_RATE,
        weight_decay=rows.WEIGHT_DECAY,
        epsilon=rows.EPSILON,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    task.compile(
        optimizer=optimizer,
        label_smoothing=0.0,
        weighted_metrics=[],
        jit_compile=False,
    )
    steps = np.arange(1, target.shape[1] + 1, dtype="int32")
    x = {
        "encoder_token_ids": source,
        "encoder_padding_mask": np.ones_like(source),
        "decoder_token_ids": target,
        "decoder_padding_mask": np.ones_like(target),
        "pseudo_token_ids": np.full_like(target, rows.MASK),
        "decoder_steps": np.tile(steps, (len(target), 1)),
    }
    x = {name: keras.ops.convert_to_tensor(value) for name, value in x.items()}
    return lambda: float(task.train_on_batch(x, target))


def _lengths(settings):
    return settings["source_length"], settings["target_length"]


def matmul(settings):
    """Multiplies large matrices: what the machine can do.

    Settings:
        matmul_size: int. Defaults to `2048`.
        matmul_repeats: int. Products in a step. Defaults to `10`.
    """
    size = settings.get("matmul_size", 2048)
    number = settings.get("matmul_repeats", 10)
    dtype = settings.get("matmul_dtype", "float32")
    x = tf.random.stateless_normal([size, size], [0, 1])
    x = tf.cast(x / size**0.5, dtype)

    @tf.function
    def step():
        product = x
        for _ in range(number):
            product = tf.matmul(product, x)
        return tf.reduce_sum(product[0])

    return lambda: step().numpy()


def matmul_flops(settings):
    """The operations of a step of `matmul`."""
    size = settings.get("matmul_size", 2048)
    return 2 * size**3 * settings.get("matmul_repeats", 10)
