"""Steps of unilmv2_tf: contenders of several benchmarks."""

import types

import keras
import numpy as np

from benchmarks import random_rows
from benchmarks.random_rows import model_arguments
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots

BOTH = ("ae", "par")
MATMULS = 10


def make_masked_lm(settings, backbone_cls=UniLMv2Backbone):
    """A task with random weights."""
    backbone = backbone_cls(
        max_sequence_length=max(512, settings["length"]),
        **model_arguments(settings),
    )
    return UniLMv2PseudoMaskedLM(
        backbone,
        objectives=tuple(settings.get("objectives", BOTH)),
        pseudo_token_id=random_rows.MASK,
    )


def make_seq2seq_lm(settings):
    """A task with random weights."""
    backbone = UniLMv2Backbone(
        max_sequence_length=settings["source_length"]
        + settings["target_length"],
        **model_arguments(settings),
    )
    return UniLMv2Seq2SeqLM(backbone, pseudo_token_id=random_rows.MASK)


def task_inputs(masked):
    """Masked rows as `(x, y, sample_weight)`, what the task takes."""
    ids = masked["token_ids"]
    x = {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": np.ones_like(ids),
        "mask_positions": masked["positions"],
        "mask_steps": masked["steps"],
        "revealed_token_ids": masked["labels"],
    }
    return x, masked["labels"], (masked["steps"] > 0).astype("float32")


def masked_rows(settings):
    """The rows of a step of pre-training."""
    ids = random_rows.random_ids(settings["batch_size"], settings["length"])
    return random_rows.masked_rows(ids)


def tensors(arrays):
    """Arrays as tensors of Keras's backend."""
    return {
        name: keras.ops.convert_to_tensor(value)
        for name, value in arrays.items()
    }


def pretraining(settings, backbone_cls=UniLMv2Backbone):
    """An update as `unilmv2 pretrain` does it."""
    import tensorflow as tf

    from unilmv2_tf.training.arguments import PretrainArgs
    from unilmv2_tf.training.optimizer import make_optimizer
    from unilmv2_tf.training.train_step import TrainStep

    masked = masked_rows(settings)
    task = make_masked_lm(settings, backbone_cls)
    args = PretrainArgs(
        data="",
        output="",
        batch_size=settings["batch_size"],
        precision=settings.get("precision", "float32"),
    )
    optimizer = make_optimizer(args, args.num_steps, args.warmup_steps)
    optimizer.build(task.trainable_variables)
    update = TrainStep(task, optimizer)
    batch = tf.nest.map_structure(tf.constant, task_inputs(masked))
    counter = tf.Variable(0, dtype=tf.int64)

    @tf.function
    def step():
        return update(batch, counter.assign_add(1))

    return lambda: step().numpy()


def keras_pretraining(settings):
    """An update as Keras's `fit` does it, under any backend."""
    masked = masked_rows(settings)
    task = make_masked_lm(settings)
    task.compile(
        weighted_metrics=[], jit_compile=settings.get("jit_compile", "auto")
    )
    x, y, weight = task_inputs(masked)
    x = tensors(x)
    # A list of losses; the first is their sum.
    return lambda: float(np.ravel(task.train_on_batch(x, y, weight))[0])


def finetuning(settings):
    """An update as `unilmv2 finetune seq2seq` does it."""
    from unilmv2_tf.training.optimizer import FitAdamW

    task = make_seq2seq_lm(settings)
    optimizer = FitAdamW(
        learning_rate=random_rows.LEARNING_RATE,
        weight_decay=random_rows.WEIGHT_DECAY,
        epsilon=random_rows.EPSILON,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    task.compile(
        optimizer=optimizer,
        label_smoothing=0.0,
        weighted_metrics=[],
        jit_compile=False,
    )
    x = random_rows.pair_inputs(settings)
    target = x["decoder_token_ids"]
    x["pseudo_token_ids"] = np.full_like(target, random_rows.MASK)
    x["decoder_steps"] = np.cumsum(np.ones_like(target), 1, dtype="int32")
    x = tensors(x)
    return lambda: float(task.train_on_batch(x, target))


def beam_search(settings):
    """`UniLMv2Seq2SeqLM.generate`, forced to the full length."""
    from unilmv2_tf import BeamSearchSampler

    task = make_seq2seq_lm(settings)
    task.compile(sampler=BeamSearchSampler(settings["num_beams"]))
    inputs = random_rows.pair_inputs(settings, is_target_known=False)
    return lambda: task.generate(inputs, stop_token_ids=None)


def step_flops(settings, objectives=BOTH, num_slots=None):
    """The operations of a step of a whole batch."""
    from unilmv2_tf.training.pretraining_task import training_flops

    length = settings["length"]
    shape = types.SimpleNamespace(**model_arguments(settings))
    slots = (length, num_slots or num_mask_slots(length))
    return settings["batch_size"] * training_flops(shape, slots, objectives)


def matmul(settings):
    """Multiplies large matrices: the peak of the machine."""
    size = settings["matmul_size"]
    # Random, since products of zeros are faster on some accelerators; entries
    # neither grow nor vanish.
    x = keras.random.normal([size, size], stddev=size**-0.5, seed=0)
    x = keras.ops.cast(x, settings.get("matmul_dtype", "float32"))

    def step():
        product = x
        for _ in range(MATMULS):
            product = keras.ops.matmul(product, x)
        return float(product[0, 0])

    return step


def matmul_flops(settings):
    """The operations of a step of `matmul`."""
    return 2 * settings["matmul_size"] ** 3 * MATMULS
