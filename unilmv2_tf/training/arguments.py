"""The arguments of `unilmv2 pretrain` and `unilmv2 finetune`.

A field is a flag, and a key of a recipe; its line in the docstring is the help.
"""

import dataclasses
from typing import Any
from typing import ClassVar
from typing import Literal

from unilmv2_tf.samplers import SamplerArgs

# Rule -> a function that checks it, and the fields that it holds for.
RANGES = {
    "at least 1": (
        lambda value: value >= 1,
        "batch_size accumulation_steps checkpoint_interval num_steps keep "
        "steps_per_loop evaluation_interval epochs seeds num_examples "
        "evaluations_per_epoch evaluation_batch_size lora_rank patience "
        "num_beams evaluation_examples",
    ),
    "at least 2": (lambda value: value >= 2, "target_length"),
    "at least 3": (lambda value: value >= 3, "source_length"),
    "at least 0": (lambda value: value >= 0, "evaluation_rows weight_decay"),
    "above 0": (lambda value: value > 0, "learning_rate epsilon clip_norm"),
    "in [0, 1]": (
        lambda value: 0 <= value <= 1,
        "warmup_ratio target_mask_rate",
    ),
    "in [0, 1)": (
        lambda value: 0 <= value < 1,
        "beta_1 beta_2 label_smoothing",
    ),
    "in (0, 1]": (lambda value: 0 < value <= 1, "layer_decay"),
    "in [0, 2**31)": (lambda value: 0 <= value < 2**31, "seed"),
}


@dataclasses.dataclass(kw_only=True)
class RunArgs:
    """What is trained, by which optimizer, where, and where its output goes.

    Args:
        data: What is trained on.
        output: The folder for checkpoints, metrics and the model. An
            interrupted run in it is resumed.
        preset: A preset folder to start from, or a built-in size with random
            weights (unilmv2_tiny, _mini, _small, _base, _large).
        backbone: Arguments of UniLMv2Backbone that replace those of the
            preset, for example dropout.
        batch_size: Rows in each update, summed over all devices.
        accumulation_steps: Micro-batches of each update, to save memory.
        seed: Seed of new weights, masks, data order and dropout.
        checkpoint_interval: Updates between checkpoints.
        stop_at_step: Save and stop at this update, with status 0.
        callbacks: Keras callbacks; in YAML a list of `class_path` and
            `init_args`. An epoch of theirs ends with each evaluation.
        learning_rate: Peak learning rate.
        schedule: Decay after the warm-up: linear (to zero) or constant.
        weight_decay: Weight decay coefficient; LayerNorm weights and biases
            are not decayed.
        beta_1: Exponential decay rate of the first moment.
        beta_2: Exponential decay rate of the second moment.
        epsilon: Small constant added to the denominator of an update.
        clip_norm: Maximum global norm of the gradients; null for no clipping.
        precision: Keras dtype policy of the computation; weights are float32.
        strategy: one (a single device), mirrored (several devices of this
            machine), multiworker (several machines, named in TF_CONFIG;
            pretrain only) or tpu.
        devices: Number of local devices for mirrored, by default all
            accelerators. A CPU is split into as many logical devices.
        tpu: Address of the TPU for the resolver, by default the local one.
    """

    data: str
    output: str
    preset: str
    backbone: dict[str, Any] = dataclasses.field(default_factory=dict)
    batch_size: int = 32
    accumulation_steps: int = 1
    seed: int = 0
    checkpoint_interval: int = 500
    stop_at_step: int | None = None
    callbacks: list[Any] | None = None
    learning_rate: float
    schedule: str = "linear"
    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    clip_norm: float | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    strategy: Literal["one", "mirrored", "multiworker", "tpu"] = "one"
    devices: int | None = None
    tpu: str | None = None

    # The fields that may differ when a run is resumed.
    MAY_CHANGE: ClassVar[frozenset] = frozenset(
        "data output devices tpu checkpoint_interval stop_at_step callbacks"
        .split()
    )  # fmt: skip

    def __post_init__(self):
        for rule, (is_valid, names) in RANGES.items():
            for name in names.split():
                value = getattr(self, name, None)
                if value is not None and not is_valid(value):
                    raise ValueError(
                        f"`{name}` must be {rule}. Received: {name}={value}"
                    )


@dataclasses.dataclass(kw_only=True)
class PretrainArgs(RunArgs):
    """The arguments of `unilmv2 pretrain`.

    Args:
        data: The folder of token shards that `unilmv2 prepare` wrote.
        objectives: ae (autoencoding), par (partially autoregressive), or a
            list of both.
        mask_selection_rate: Minimum fraction of the tokens that is masked.
        block_probability: Probability that a masked span is longer than one
            token; 0 makes par autoregressive.
        whole_words: Mask whole words only.
        num_steps: Length of the training in updates.
        warmup_steps: Updates of linear warm-up, by default 4.8% of num_steps.
        steps_per_loop: Updates that run in one call of the graph.
        jit_compile: Compile the forward and backward pass with XLA; by default
            on accelerators only.
        deterministic: Use deterministic operations only.
        evaluation_interval: Updates between evaluations.
        evaluation_rows: Number of held-out rows to evaluate; 0 for all.
        keep: Number of latest checkpoints to keep, besides the best.
        tensorboard: Write events for TensorBoard.

    Raises:
        ValueError: if a value is out of range.

    Example:

    >>> from unilmv2_tf.training.arguments import PretrainArgs
    >>> PretrainArgs(data="shards", output="run").warmup_steps
    24000

    Reference:
        Bao et al., 2020, section 4.1 and table 7.
    """

    preset: str = "unilmv2_base"
    batch_size: int = 256
    checkpoint_interval: int = 1000
    learning_rate: float = 6e-4
    beta_2: float = 0.98
    objectives: list[Literal["ae", "par"]] | Literal["ae", "par"] = (
        dataclasses.field(default_factory=lambda: ["ae", "par"])
    )
    mask_selection_rate: float = 0.15
    block_probability: float = 0.4
    whole_words: bool = False
    num_steps: int = 500_000
    warmup_steps: int | None = None
    steps_per_loop: int = 100
    jit_compile: bool | None = None
    deterministic: bool = False
    evaluation_interval: int = 1000
    evaluation_rows: int = 2048
    keep: int = 3
    tensorboard: bool = True

    MAY_CHANGE: ClassVar[frozenset] = RunArgs.MAY_CHANGE | frozenset(
        "strategy accumulation_steps steps_per_loop jit_compile keep "
        "evaluation_interval evaluation_rows tensorboard".split()
    )

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.objectives, str):
            self.objectives = [self.objectives]
        if sorted(self.objectives) not in (["ae"], ["par"], ["ae", "par"]):
            raise ValueError(
                "`objectives` must name ae, par or both, each once. Received: "
                f"objectives={self.objectives}"
            )
        if self.warmup_steps is None:
            self.warmup_steps = round(0.048 * self.num_steps)
        if not 0 <= self.warmup_steps <= self.num_steps:
            raise ValueError(
                "`warmup_steps` must be at most `num_steps`. Received: "
                f"warmup_steps={self.warmup_steps}, num_steps={self.num_steps}"
            )


@dataclasses.dataclass(kw_only=True)
class FinetuneArgs(RunArgs):
    """The arguments that all `unilmv2 finetune` commands share.

    Args:
        preset: A preset folder, for example of a pre-training, or a built-in
            size with random weights, which needs --vocabulary.
        validation: What is evaluated on, by default a part of the data: the
            validation split of those that have one, 5% of a file.
        test: What the best model predicts in the end: tfds:glue/sst2:test.
        vocabulary: Vocabulary file of a built-in size, one token a line.
        lowercase: Lowercase the text; with a built-in size only.
        num_examples: Number of training examples to use, by default all.
        epochs: Number of passes over the training examples.
        warmup_ratio: Fraction of the updates with linear warm-up.
        layer_decay: Factor of the learning rate from each layer to the one
            below it, for example 0.9; 1 by default.
        lora_rank: Rank of LoRA updates of the attention; by default all
            weights of the backbone are trained.
        patience: Evaluations without a better score before training stops.
        evaluations_per_epoch: Number of evaluations in each epoch.
        skip_misfits: Leave out records that do not fit, instead of an error.
        special_tokens_in_strings: Whether special tokens such as [SEP] in
            texts are single tokens. Defaults to what the preset says.
        seeds: Number of runs, with consecutive seeds.
        evaluation_batch_size: Rows in each batch of an evaluation.
    """

    validation: str | None = None
    test: str | None = None
    vocabulary: str | None = None
    lowercase: bool = True
    special_tokens_in_strings: bool | None = None
    num_examples: int | None = None
    epochs: int = 10
    learning_rate: float = 3e-5
    clip_norm: float | None = 1.0
    warmup_ratio: float = 0.1
    layer_decay: float | None = None
    lora_rank: int | None = None
    patience: int | None = None
    skip_misfits: bool = False
    evaluations_per_epoch: int = 1
    seeds: int = 1
    evaluation_batch_size: int = 64

    MAY_CHANGE: ClassVar[frozenset] = RunArgs.MAY_CHANGE | frozenset(
        "validation test seeds evaluation_batch_size".split()
    )

    def __post_init__(self):
        super().__post_init__()
        if self.strategy == "multiworker":
            raise ValueError(
                "`strategy` must be one, mirrored or tpu for fine-tuning. "
                "Received: strategy=multiworker"
            )
        if self.accumulation_steps > 1 and self.strategy != "one":
            raise ValueError(
                "`accumulation_steps` must be 1 with several devices, which "
                "share each batch already. Received: accumulation_steps="
                f"{self.accumulation_steps}, strategy={self.strategy}"
            )


@dataclasses.dataclass(kw_only=True)
class ClassifyArgs(FinetuneArgs):
    """The arguments of `unilmv2 finetune classify`.

    Args:
        data: Labeled texts or pairs: PATH.tsv, PATH.jsonl,
            tfds:NAME/CONFIG:SPLIT or docstrings:packages.
        task: classify or regress: whether labels are classes or values. By
            default labels are values if all are numbers, some with a point,
            and not only 0.0 and 1.0.
        quoting: Whether TSV has fields in double quotes, as pandas writes them.
        sequence_length: Maximum number of tokens in a row, special tokens
            included. Batches are cropped to their longest row.
        metric: Metric that selects the best weights: accuracy, f1, macro_f1,
            matthews, pearson, spearman, or a mean of two such as
            pearson_spearman. By default that of the GLUE task, else accuracy,
            or pearson_spearman for regression.
        class_weights: balanced (inverse class frequencies), or a weight for
            each class name.

    Raises:
        ValueError: if a value is out of range.

    Example:

    >>> from unilmv2_tf.training import ClassifyArgs
    >>> ClassifyArgs(data="reviews.tsv", output="run", preset="model").epochs
    10

    Reference:
        Bao et al., 2020, section 3.4 and table 9.
    """

    task: Literal["classify", "regress"] | None = None
    quoting: bool | None = None
    sequence_length: int = 128
    metric: str | None = None
    class_weights: Literal["balanced"] | dict[str, float] | None = None


@dataclasses.dataclass(kw_only=True)
class AnswerArgs(FinetuneArgs):
    """The arguments of `unilmv2 finetune answer`.

    Args:
        data: Questions with passages: PATH.json in SQuAD's format,
            tfds:squad/v1.1, tfds:squad/v2.0 or docstrings:questions.
        sequence_length: Maximum number of tokens in a row: question, passage
            and special tokens.
        doc_stride: Number of tokens between the starts of two windows over a
            long passage.
        max_question_length: Maximum number of tokens of a question; longer
            ones are truncated.
        max_answer_length: Maximum number of tokens of an answer.

    Raises:
        ValueError: if a value is out of range.

    Example:

    >>> from unilmv2_tf.training import AnswerArgs
    >>> AnswerArgs(data="train.json", output="run", preset="model").epochs
    4

    Reference:
        Bao et al., 2020, section 3.4.
    """

    epochs: int = 4
    learning_rate: float = 2e-5
    sequence_length: int = 384
    doc_stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30


@dataclasses.dataclass(kw_only=True)
class Seq2SeqArgs(SamplerArgs, FinetuneArgs):
    """The arguments of `unilmv2 finetune seq2seq`.

    Args:
        data: Pairs of texts: PATH.jsonl, PATH.tsv, tfds:cnn_dailymail,
            tfds:xsum, tfds:NAME/CONFIG:SPLIT, docstrings:summaries or
            docstrings:arguments; or questions to learn to ask: PATH.json in
            SQuAD's format, tfds:squad/v1.1 or docstrings:questions.
        quoting: Whether TSV has fields in double quotes, as pandas writes them.
        seed: Seed of new weights, masks, data order and dropout.
        source_length: Maximum number of tokens of a source, special ones too.
        target_length: Maximum number of tokens of a target, its end included.
        truncation_side: Side on which long sources are truncated.
        target_mask_rate: Fraction of target tokens replaced in training.
        label_smoothing: Probability mass that is spread over all other tokens.
        metric: Metric that selects the best weights: rouge1, rouge2, rougeL,
            rougeLsum, bleu4, meteor or exact_match.
        evaluation_examples: Number of held-out pairs, spread evenly, for
            which each evaluation generates a text; by default all.

    Raises:
        ValueError: if a value is out of range.

    Example:

    >>> from unilmv2_tf.training import Seq2SeqArgs
    >>> Seq2SeqArgs(data="train.jsonl", output="run", preset="model").num_beams
    5

    Reference:
        Bao et al., 2020, section 3.4 and table 10.
    """

    quoting: bool | None = None
    seed: int = 0
    learning_rate: float = 7e-5
    source_length: int = 464
    target_length: int = 48
    truncation_side: Literal["right", "left"] = "right"
    target_mask_rate: float = 0.5
    label_smoothing: float = 0.1
    num_beams: int | None = 5
    length_penalty: float | None = 0.7
    metric: str = "rougeL"
    evaluation_examples: int | None = None

    def __post_init__(self):
        super().__post_init__()
        if (self.min_length or 0) >= self.target_length:
            raise ValueError(
                "`min_length` must be below `target_length`, which counts the "
                f"end of a text too. Received: min_length={self.min_length}, "
                f"target_length={self.target_length}"
            )
        if self.num_return_sequences not in (None, 1):
            raise ValueError(
                "`num_return_sequences` must be 1 for fine-tuning, which "
                "scores one text for each source. Received: "
                f"num_return_sequences={self.num_return_sequences}"
            )

    def sampler_args(self):
        """The options of the sampler; `seed` is that of the training."""
        names = {field.name for field in dataclasses.fields(SamplerArgs)}
        names.remove("seed")
        return SamplerArgs(**{name: getattr(self, name) for name in names})
