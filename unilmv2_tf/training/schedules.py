"""Learning rates as a function of the step."""

import keras
from keras import ops

# What the learning rate is multiplied by after the warm-up, as a function of
# the fraction of the remaining steps that is done. A function that is added
# here can be named by `--schedule`.
DECAYS = {
    "linear": lambda done: 1.0 - done,
    "constant": ops.ones_like,
}


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then decay.

    Args:
        peak: float. The highest learning rate.
        num_steps: int. The step at which the decay is complete.
        num_warmup_steps: int. The step of the peak. Defaults to `0`.
        decay: string, a key of `DECAYS`. Defaults to `"linear"`.
        parts: int. How many times Keras counts each step: once for each
            micro-batch of an accumulated batch. Defaults to `1`.

    Raises:
        ValueError: if the warm-up is longer than the training, or there is no
            such decay.

    Example:

    >>> from unilmv2_tf.training.schedules import WarmupDecay
    >>> schedule = WarmupDecay(1.0, num_steps=10, num_warmup_steps=2)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Reference:
        Bao et al., 2020, section 4.1 and table 7.
    """

    def __init__(
        self,
        peak: float,
        num_steps: int,
        num_warmup_steps: int = 0,
        decay: str = "linear",
        parts: int = 1,
    ):
        if not 0 <= num_warmup_steps <= num_steps:
            raise ValueError(
                "`num_warmup_steps` must be at most `num_steps`. Received: "
                f"num_warmup_steps={num_warmup_steps}, num_steps={num_steps}"
            )
        check_schedule(decay)
        self.peak = peak
        self.num_steps = num_steps
        self.num_warmup_steps = num_warmup_steps
        self.decay = decay
        self.parts = parts

    def __call__(self, step):
        step = ops.cast(step // self.parts, "float32")
        rising = step / max(self.num_warmup_steps, 1)
        done = (step - self.num_warmup_steps) / max(
            self.num_steps - self.num_warmup_steps, 1
        )
        falling = DECAYS[self.decay](done)
        is_warm = step >= self.num_warmup_steps
        return self.peak * ops.maximum(ops.where(is_warm, falling, rising), 0.0)

    def get_config(self):
        return {
            "peak": self.peak,
            "num_steps": self.num_steps,
            "num_warmup_steps": self.num_warmup_steps,
            "decay": self.decay,
            "parts": self.parts,
        }


def check_schedule(name):
    """Raises ValueError if there is no decay of this name."""
    if name not in DECAYS:
        raise ValueError(
            f"`schedule` must be one of {', '.join(DECAYS)}. Received: "
            f"schedule={name}"
        )
