import dataclasses
import hashlib
from typing import Any
from typing import Literal

from unilmv2_tf.training.settings import remember_settings

# Settings that may differ when a training goes on: they say where and how it
# is run, not what is trained.
_FREE = {
    "data",
    "output",
    "strategy",
    "devices",
    "tpu",
    "accumulation_steps",
    "steps_per_loop",
    "jit_compile",
    "evaluation_interval",
    "evaluation_rows",
    "checkpoint_interval",
    "keep",
    "tensorboard",
    "stop_at_step",
}
_AT_LEAST_ONE = (
    "num_steps",
    "batch_size",
    "accumulation_steps",
    "steps_per_loop",
    "evaluation_interval",
    "checkpoint_interval",
    "keep",
)


@dataclasses.dataclass(kw_only=True)
class PretrainingSettings:
    """Everything that `unilmv2 pretrain` can be told.

    The defaults of the optimizer are those of the paper's base run (section
    4.1 and table 7); its other figures are in the recipe `base`.

    Args:
        data: The folder of shards that `unilmv2 prepare` wrote.
        output: The folder for checkpoints, history, curves and the model. A
            training that is found there goes on.
        preset: A built-in size (unilmv2_tiny, _mini, _small, _base, _large),
            or a preset folder, to go on from its weights.
        backbone: Arguments of UniLMv2Backbone that replace those of the
            preset, for example num_relative_buckets or dropout.
        objectives: ae, par, or a list of both.
        mask_selection_rate: The share of tokens that are masked at least.
        block_probability: How likely a span is longer than one token; 0 is
            autoregressive.
        whole_words: Whether spans are of whole words.
        num_steps: The length of the training, in updates.
        batch_size: Rows in each update, on all devices together.
        accumulation_steps: The parts in which each device computes its share
            of a batch, one after the other, to save memory.
        learning_rate: The peak.
        warmup_steps: Steps until the peak; 4.8% of num_steps if not given.
        weight_decay: Of AdamW; LayerNorm and biases are not decayed.
        beta_1: Of AdamW.
        beta_2: Of AdamW.
        epsilon: Of AdamW.
        clip_norm: The norm that all gradients together are clipped to.
        precision: What is computed in. Weights are float32 in any case.
        strategy: one device, mirrored (several devices of this machine),
            multiworker (several machines, named in TF_CONFIG), or tpu.
        devices: How many devices of this machine mirrored uses; all if not
            given. CPUs are split into as many.
        tpu: The address of the TPU for the resolver; local if not given.
        steps_per_loop: Steps that run in one call of the graph.
        jit_compile: Whether XLA compiles the forward and backward pass. On
            accelerators only, if not given.
        deterministic: Whether TensorFlow must use deterministic operations.
        seed: Of weights, masks, order of the data, and dropout.
        evaluation_interval: Steps between evaluations.
        evaluation_rows: How many held-out rows are evaluated; all if 0.
        checkpoint_interval: Steps between checkpoints.
        keep: How many checkpoints are kept, beside the best.
        tensorboard: Whether events for TensorBoard are written.
        stop_at_step: Saves and stops at this step, as if asked to by SIGTERM.

    Raises:
        ValueError: if a setting is out of range.

    Example:

    >>> from unilmv2_tf.training.pretraining.settings import (
    ...     PretrainingSettings)
    >>> PretrainingSettings(data="shards", output="run").warmup_steps
    24000
    """

    data: str
    output: str
    preset: str = "unilmv2_base"
    backbone: dict[str, Any] = dataclasses.field(default_factory=dict)
    objectives: list[Literal["ae", "par"]] | Literal["ae", "par"] = (
        dataclasses.field(default_factory=lambda: ["ae", "par"])
    )
    mask_selection_rate: float = 0.15
    block_probability: float = 0.4
    whole_words: bool = False
    num_steps: int = 500_000
    batch_size: int = 256
    accumulation_steps: int = 1
    learning_rate: float = 6e-4
    warmup_steps: int | None = None
    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.98
    epsilon: float = 1e-6
    clip_norm: float | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    strategy: Literal["one", "mirrored", "multiworker", "tpu"] = "one"
    devices: int | None = None
    tpu: str | None = None
    steps_per_loop: int = 100
    jit_compile: bool | None = None
    deterministic: bool = False
    seed: int = 0
    evaluation_interval: int = 1000
    evaluation_rows: int = 2048
    checkpoint_interval: int = 1000
    keep: int = 3
    tensorboard: bool = True
    stop_at_step: int | None = None

    def __post_init__(self):
        self._check_objectives()
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: "
                    f"{name}={getattr(self, name)}"
                )
        if self.evaluation_rows < 0:
            raise ValueError(
                "`evaluation_rows` must be at least 0 (0: all of them). "
                f"Received: evaluation_rows={self.evaluation_rows}"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(
                f"`seed` must be in [0, 2**31). Received: seed={self.seed}"
            )
        if self.learning_rate <= 0:
            raise ValueError(
                "`learning_rate` must be above 0, for example 6e-4. Received: "
                f"learning_rate={self.learning_rate}"
            )
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError(
                "`clip_norm` must be above 0, or left out for no clipping. "
                f"Received: clip_norm={self.clip_norm}"
            )
        if self.warmup_steps is None:
            self.warmup_steps = round(0.048 * self.num_steps)
        if not 0 <= self.warmup_steps <= self.num_steps:
            raise ValueError(
                "`warmup_steps` must be at most `num_steps`. Received: "
                f"warmup_steps={self.warmup_steps}, num_steps={self.num_steps}"
            )

    def _check_objectives(self):
        if isinstance(self.objectives, str):
            self.objectives = [self.objectives]
        if not self.objectives or len(set(self.objectives)) < len(
            self.objectives
        ):
            raise ValueError(
                "`objectives` must name ae, par or both, each once. Received: "
                f"objectives={self.objectives}"
            )

    def check_replicas(self, num_replicas):
        """Checks that the batch can be shared out.

        Args:
            num_replicas: int. The devices of all workers.

        Raises:
            ValueError: if it cannot.
        """
        parts = num_replicas * self.accumulation_steps
        if self.batch_size % parts:
            raise ValueError(
                f"`batch_size` must be a multiple of {parts}: {num_replicas} "
                f"devices times accumulation_steps={self.accumulation_steps}. "
                f"Received: batch_size={self.batch_size}. The nearest are "
                f"{max(self.batch_size // parts, 1) * parts} and "
                f"{(self.batch_size // parts + 1) * parts}."
            )

    def remember(self, shards):
        """Writes what determines the result, or compares with what is there.

        Args:
            shards: `PackedFolder`. What is trained on.

        Raises:
            ValueError: if an earlier training there was of other settings.
        """
        remember_settings(
            self,
            _FREE,
            rows=shards.num_rows("train"),
            sequence_length=shards.sequence_length,
            vocabulary=hashlib.sha256(
                "\n".join(shards.vocabulary).encode()
            ).hexdigest(),
        )
