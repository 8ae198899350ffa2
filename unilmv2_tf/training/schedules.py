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
    """Linear warm-up to a peak, then decay, as in the paper's table 7.

    Keras counts each of the `parts` micro-batches of an update as a step.
    """

    def __init__(
        self, peak, num_steps, num_warmup_steps=0, decay="linear", parts=1
    ):
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
