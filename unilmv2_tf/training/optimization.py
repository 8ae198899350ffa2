import re

import keras
import tensorflow as tf
from keras import ops

from unilmv2_tf.training.fused_adamw import FusedAdamW


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class LinearWarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to a peak, then falls linearly to zero.

    Args:
        peak: float. The highest learning rate.
        num_steps: int. The step at which it is zero again.
        num_warmup_steps: int. The step of the peak. Defaults to `0`.
        parts: int. How many times Keras counts each step: once for each part
            of an accumulated batch. Defaults to `1`.

    Raises:
        ValueError: if the warm-up is longer than the training.

    Example:

    >>> from unilmv2_tf.training.optimization import LinearWarmupDecay
    >>> schedule = LinearWarmupDecay(1.0, num_steps=10, num_warmup_steps=2)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Reference:
        Bao et al., 2020, section 4.1 and table 7.
    """

    def __init__(self, peak, num_steps, num_warmup_steps=0, parts=1):
        if not 0 <= num_warmup_steps <= num_steps:
            raise ValueError(
                "`num_warmup_steps` must be at most `num_steps`. Received: "
                f"num_warmup_steps={num_warmup_steps}, num_steps={num_steps}"
            )
        self.peak = peak
        self.num_steps = num_steps
        self.num_warmup_steps = num_warmup_steps
        self.parts = parts

    def __call__(self, step):
        step = ops.cast(step // self.parts, "float32")
        rising = step / max(self.num_warmup_steps, 1)
        falling = (self.num_steps - step) / max(
            self.num_steps - self.num_warmup_steps, 1
        )
        is_warm = step >= self.num_warmup_steps
        return self.peak * ops.maximum(ops.where(is_warm, falling, rising), 0.0)

    def get_config(self):
        return {
            "peak": self.peak,
            "num_steps": self.num_steps,
            "num_warmup_steps": self.num_warmup_steps,
            "parts": self.parts,
        }


class ReducedGradientAdamW(FusedAdamW):
    """AdamW for gradients that were summed over the replicas before.

    Keras sums gradients inside of the optimizer, after clipping them, so that
    clipping would depend on the number of replicas.

    Args:
        **kwargs: see `keras.optimizers.AdamW`.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


class FinetuningAdamW(ReducedGradientAdamW):
    """AdamW for `fit`, on one or several replicas, with a rate for each layer.

    Gradients are made dense and summed over the replicas before anything else
    is done with them: Keras would take the repeated rows of an embedding's
    gradient one by one, and clip before it sums.

    Args:
        rate_scales: dict from paths of variables to what their learning rate
            is multiplied by, 1 where none is named. Defaults to `None`.
        **kwargs: see `keras.optimizers.AdamW`.
    """

    def __init__(self, rate_scales=None, **kwargs):
        super().__init__(**kwargs)
        self.rate_scales = dict(rate_scales or {})

    def apply(self, grads, trainable_variables=None):
        """Updates the variables.

        Args:
            grads: list of gradients of this replica.
            trainable_variables: list of as many variables.
        """
        grads = [
            None if grad is None else tf.convert_to_tensor(grad)
            for grad in grads
        ]
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            grads = replica.all_reduce(tf.distribute.ReduceOp.SUM, grads)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        # Keras hands over TensorFlow's variable, which has no path.
        index = self._get_variable_index(variable)
        path = self._trainable_variables[index].path
        rate = learning_rate * self.rate_scales.get(path, 1.0)
        super().update_step(gradient, variable, rate)


def layer_rate_scales(task, decay):
    """Smaller learning rates for lower layers.

    The head learns at the full rate, the last layer at `decay` times that, the
    one below it at `decay ** 2`, and the embeddings, with the relative
    positions, at `decay ** (num_layers + 1)`.

    Args:
        task: a task with a `UniLMv2Backbone`.
        decay: float in (0, 1].

    Returns:
        A dict from the path of each variable of the backbone to a float.

    Raises:
        ValueError: if `decay` is not in (0, 1].

    Reference:
        Howard and Ruder, "Universal Language Model Fine-tuning for Text
        Classification" (2018), section 3.2: discriminative fine-tuning.
    """
    if not 0 < decay <= 1:
        raise ValueError(
            "`layer_decay` must be in (0, 1], for example 0.9. Received: "
            f"layer_decay={decay}"
        )
    num_layers = task.backbone.num_layers
    scales = {}
    for variable in task.backbone.variables:
        layer = re.search(r"transformer_layer_(\d+)", variable.path)
        height = int(layer[1]) + 1 if layer else 0
        scales[variable.path] = decay ** (num_layers + 1 - height)
    return scales


def make_optimizer(
    learning_rate,
    num_steps,
    warmup_ratio=0.1,
    num_warmup_steps=None,
    weight_decay=0.01,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-6,
    global_clipnorm=None,
    optimizer_cls=keras.optimizers.AdamW,
    parts=1,
    **kwargs,
):
    """AdamW with linear warm-up and decay, as in all of the paper's recipes.

    LayerNorm weights and biases are not decayed.

    Args:
        learning_rate: float. The peak.
        num_steps: int. The length of the training.
        warmup_ratio: float. The share of the steps that warm up. Defaults to
            `0.1`.
        num_warmup_steps: int. The steps that warm up, instead of a share of
            them. Defaults to `None`.
        weight_decay: float. Defaults to `0.01`.
        beta_1: float. Defaults to `0.9`.
        beta_2: float. Defaults to `0.999`.
        epsilon: float. Defaults to `1e-6`.
        global_clipnorm: float. The norm that all gradients together are
            clipped to. Defaults to `None`: no clipping.
        optimizer_cls: `keras.optimizers.AdamW` or a subclass. Defaults to
            `AdamW`.
        parts: int. The number of parts of a batch, one after the other, whose
            gradients make an update. Defaults to `1`.
        **kwargs: other arguments of `optimizer_cls`.

    Returns:
        An `optimizer_cls`.

    Example:

    >>> from unilmv2_tf.training.optimization import make_optimizer
    >>> make_optimizer(6e-4, num_steps=1000).weight_decay
    0.01

    Reference:
        Bao et al., 2020, tables 7, 9 and 10.
    """
    if num_warmup_steps is None:
        num_warmup_steps = round(warmup_ratio * num_steps)
    optimizer = optimizer_cls(
        learning_rate=LinearWarmupDecay(
            learning_rate, num_steps, num_warmup_steps, parts
        ),
        weight_decay=weight_decay,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        global_clipnorm=global_clipnorm,
        gradient_accumulation_steps=parts if parts > 1 else None,
        **kwargs,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
