"""AdamW for TensorFlow: fused, and with dense gradients."""

import re

import keras
import tensorflow as tf
from keras import ops

from unilmv2_tf.training.schedules import WarmupDecay


class FusedAdamW(keras.optimizers.AdamW):
    """Keras's AdamW with one operation a variable, for reduced gradients.

    Keras updates a variable by some twenty passes over it, TensorFlow's
    `ResourceApplyAdam` is one: a training step of the base size takes 0.92 of
    the time.

    Gradients must be dense, and summed over the replicas already: Keras would
    sum them after clipping, so that clipping depends on the number of replicas.
    `rate_scales` maps paths of variables to factors of their learning rate.
    """

    def __init__(self, learning_rate=0.001, rate_scales=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.rate_scales = dict(rate_scales or {})

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        # Keras hands over TensorFlow's variable, which has no path.
        path = self._trainable_variables[index].path
        rate = learning_rate * self.rate_scales.get(path, 1.0)
        rate = ops.cast(rate, variable.dtype)
        if self.weight_decay and self._use_weight_decay(variable):
            decay = ops.cast(rate * self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay)
        if self.amsgrad:
            super().update_step(gradient, variable, rate)
            return
        beta_1, beta_2, epsilon = (
            tf.constant(value, variable.dtype)
            for value in (self.beta_1, self.beta_2, self.epsilon)
        )
        step = tf.cast(self.iterations + 1, variable.dtype)
        # A handle is that of this replica's copy.
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(tf.convert_to_tensor(gradient), variable.dtype),
        )

    def _apply_weight_decay(self, variables):
        # `update_step` has done it.
        del variables

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


class FitAdamW(FusedAdamW):
    """`FusedAdamW` for `fit`: makes gradients dense and sums them first.

    Keras would square the repeated rows of an embedding's gradient one by one,
    and clip before it sums over the replicas.
    """

    def apply(self, grads, trainable_variables=None):
        grads = [
            None if grad is None else tf.convert_to_tensor(grad)
            for grad in grads
        ]
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            grads = replica.all_reduce(tf.distribute.ReduceOp.SUM, grads)
        super().apply(grads, trainable_variables)


def make_optimizer(
    args,
    num_steps,
    num_warmup_steps,
    optimizer_cls=FusedAdamW,
    parts=1,
    **kwargs,
):
    """AdamW with warm-up and decay; LayerNorm and biases are not decayed.

    `args` are `RunArgs`; with their `precision` mixed_float16 the loss is
    scaled. Keras accumulates the gradients of `parts` micro-batches.
    """
    optimizer = optimizer_cls(
        learning_rate=WarmupDecay(
            args.learning_rate,
            num_steps,
            num_warmup_steps,
            args.schedule,
            parts,
        ),
        weight_decay=args.weight_decay,
        beta_1=args.beta_1,
        beta_2=args.beta_2,
        epsilon=args.epsilon,
        global_clipnorm=args.clip_norm,
        gradient_accumulation_steps=parts if parts > 1 else None,
        **kwargs,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if getattr(args, "precision", None) == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def layer_rate_scales(task, decay):
    """Lower learning rates for lower layers.

    The last layer learns at `decay` times the rate of the head, embeddings and
    relative positions at `decay ** (num_layers + 1)`. See Howard and Ruder
    (2018), section 3.2: discriminative fine-tuning.
    """
    num_layers = task.backbone.num_layers
    scales = {}
    for variable in task.backbone.variables:
        layer = re.search(r"transformer_layer_(\d+)", variable.path)
        height = int(layer[1]) + 1 if layer else 0
        scales[variable.path] = decay ** (num_layers + 1 - height)
    return scales


def _handle(variable):
    if isinstance(variable, keras.Variable):
        variable = variable.value
    return variable.handle
