import keras
from keras import ops


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class LinearWarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to a peak, then falls linearly to zero.

    Args:
        peak: float. The highest learning rate.
        num_steps: int. The step at which it is zero again.
        num_warmup_steps: int. The step of the peak. Defaults to `0`.

    Raises:
        ValueError: if the warm-up is longer than the training.

    Example:

    >>> from unilmv2_tf.trainers.optimization import LinearWarmupDecay
    >>> schedule = LinearWarmupDecay(1.0, num_steps=10, num_warmup_steps=2)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Reference:
        Bao et al., 2020, section 4.1 and table 7.
    """

    def __init__(self, peak, num_steps, num_warmup_steps=0):
        if not 0 <= num_warmup_steps <= num_steps:
            raise ValueError(
                "`num_warmup_steps` must be at most `num_steps`. Received: "
                f"num_warmup_steps={num_warmup_steps}, num_steps={num_steps}"
            )
        self.peak = peak
        self.num_steps = num_steps
        self.num_warmup_steps = num_warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
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
        }


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

    Returns:
        An `optimizer_cls`.

    Example:

    >>> from unilmv2_tf.trainers.optimization import make_optimizer
    >>> make_optimizer(6e-4, num_steps=1000).weight_decay
    0.01

    Reference:
        Bao et al., 2020, tables 7, 9 and 10.
    """
    if num_warmup_steps is None:
        num_warmup_steps = round(warmup_ratio * num_steps)
    optimizer = optimizer_cls(
        LinearWarmupDecay(learning_rate, num_steps, num_warmup_steps),
        weight_decay=weight_decay,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        global_clipnorm=global_clipnorm,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
