import dataclasses
from typing import Any
from typing import Literal

# Settings that may differ when a training goes on: they say where and how it
# is run, not what is trained.
FREE = {
    "data",
    "validation",
    "test",
    "output",
    "devices",
    "tpu",
    "seeds",
    "evaluation_batch_size",
    "checkpoint_interval",
    "stop_at_step",
}
_AT_LEAST_ONE = (
    "epochs",
    "batch_size",
    "accumulation_steps",
    "seeds",
    "evaluations_per_epoch",
    "evaluation_batch_size",
    "checkpoint_interval",
)
_POSITIVE = ("learning_rate", "clip_norm")


@dataclasses.dataclass(kw_only=True)
class FinetuningSettings:
    """What every `unilmv2 finetune` can be told.

    Args:
        data: What is trained on.
        output: The folder for checkpoints, scores, predictions and the model.
            A training that is found there goes on.
        preset: A preset folder, for example of a pre-training, or a built-in
            size with random weights (unilmv2_tiny, _mini, _small, _base,
            _large), which needs --vocabulary.
        validation: What is evaluated on. If not given, a part of the data: the
            validation split of those that have one, 5% of a file.
        vocabulary: The vocabulary of a built-in size, a file with a token a
            line.
        lowercase: Whether the text is lowercased, with a built-in size.
        backbone: Arguments of UniLMv2Backbone that replace those of the
            preset, for example dropout.
        num_examples: How many of the training examples are used; all if not
            given.
        epochs: How often all examples are gone through.
        batch_size: Rows in each update, on all devices together.
        accumulation_steps: The parts of a batch that are computed one after
            the other, to save memory; with strategy one only.
        learning_rate: The peak.
        warmup_ratio: The share of the updates in which the rate rises.
        weight_decay: Of AdamW; LayerNorm and biases are not decayed.
        clip_norm: The norm that all gradients together are clipped to.
        layer_decay: What the learning rate is multiplied by from each layer to
            the one below it; 1 if not given.
        lora_rank: The rank of LoRA updates of the attention, instead of all
            weights of the backbone.
        patience: Evaluations without a better score after which a training
            ends. If not given, none ends early.
        evaluations_per_epoch: How often is evaluated. The best weights are
            kept.
        seeds: How many trainings, with seeds one after the other.
        seed: The first seed, of the head, the order of the data, and dropout.
        precision: What is computed in. Weights are float32 in any case.
        strategy: one device, mirrored (several devices of this machine), or
            tpu.
        devices: How many devices of this machine mirrored uses; all if not
            given. CPUs are split into as many.
        tpu: The address of the TPU for the resolver; local if not given.
        evaluation_batch_size: Rows that are evaluated at once.
        checkpoint_interval: Updates between checkpoints.
        stop_at_step: Saves and stops at this update, as if asked to by
            SIGTERM.

    Raises:
        ValueError: if a setting is out of range.
    """

    data: str
    output: str
    preset: str
    validation: str | None = None
    vocabulary: str | None = None
    lowercase: bool = True
    backbone: dict[str, Any] = dataclasses.field(default_factory=dict)
    num_examples: int | None = None
    epochs: int = 10
    batch_size: int = 32
    accumulation_steps: int = 1
    learning_rate: float = 3e-5
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    layer_decay: float | None = None
    lora_rank: int | None = None
    patience: int | None = None
    evaluations_per_epoch: int = 1
    seeds: int = 1
    seed: int = 0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    strategy: Literal["one", "mirrored", "tpu"] = "one"
    devices: int | None = None
    tpu: str | None = None
    evaluation_batch_size: int = 64
    checkpoint_interval: int = 500
    stop_at_step: int | None = None

    def __post_init__(self):
        for name in _AT_LEAST_ONE:
            _check(self, name, lambda value: value >= 1, "at least 1")
        for name in ("num_examples", "lora_rank", "patience"):
            _check(self, name, lambda value: value >= 1, "at least 1")
        for name in _POSITIVE:
            _check(self, name, lambda value: value > 0, "above 0")
        _check(self, "warmup_ratio", lambda value: 0 <= value <= 1, "in [0, 1]")
        _check(self, "weight_decay", lambda value: value >= 0, "at least 0")
        _check(self, "layer_decay", lambda value: 0 < value <= 1, "in (0, 1]")
        _check(self, "seed", lambda value: 0 <= value < 2**31, "in [0, 2**31)")
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                "`batch_size` must be a multiple of `accumulation_steps`. "
                f"Received: batch_size={self.batch_size}, "
                f"accumulation_steps={self.accumulation_steps}"
            )
        if self.accumulation_steps > 1 and self.strategy != "one":
            raise ValueError(
                "`accumulation_steps` must be 1 with several devices, which "
                "share a batch as it is. Received: accumulation_steps="
                f"{self.accumulation_steps}, strategy={self.strategy}"
            )

    def check_replicas(self, num_replicas):
        """Checks that a batch can be shared out.

        Args:
            num_replicas: int. The number of devices.

        Raises:
            ValueError: if it cannot.
        """
        if self.batch_size % num_replicas:
            raise ValueError(
                f"`batch_size` must be a multiple of {num_replicas}, the "
                f"number of devices. Received: batch_size={self.batch_size}"
            )


@dataclasses.dataclass(kw_only=True)
class ClassifySettings(FinetuningSettings):
    """Everything that `unilmv2 finetune classify` can be told.

    Args:
        data: Labelled texts or pairs: PATH.tsv, PATH.jsonl,
            tfds:NAME/CONFIG:SPLIT, docstrings:packages or docstrings:topics.
        output: The folder for checkpoints, scores, predictions and the model.
            A training that is found there goes on.
        sequence_length: Tokens of a row, special ones included. Batches are
            cut to their longest text.
        metric: What tells the best weights: accuracy, f1, macro_f1, matthews,
            pearson, spearman or a mean of two of them such as
            pearson_spearman. If not given, that of the GLUE task, or accuracy,
            or pearson_spearman for regression.
        class_weights: balanced, for weights that make up for rare classes, or
            a weight for each class name.
        test: What is predicted in the end with the best weights, labelled or
            not, for example tfds:glue/sst2:test.

    Raises:
        ValueError: if a setting is out of range.

    Example:

    >>> from unilmv2_tf.training.finetuning.settings import ClassifySettings
    >>> ClassifySettings(
    ...     data="reviews.tsv", output="run", preset="pretrained").epochs
    10

    Reference:
        Bao et al., 2020, section 3.4 and table 9.
    """

    sequence_length: int = 128
    metric: str | None = None
    class_weights: Literal["balanced"] | dict[str, float] | None = None
    test: str | None = None


@dataclasses.dataclass(kw_only=True)
class AnswerSettings(FinetuningSettings):
    """Everything that `unilmv2 finetune answer` can be told.

    Args:
        data: Questions with passages: PATH.json in SQuAD's format,
            tfds:squad/v1.1, tfds:squad/v2.0 or docstrings:questions.
        output: The folder for checkpoints, scores, predictions and the model.
            A training that is found there goes on.
        epochs: How often all examples are gone through.
        learning_rate: The peak.
        sequence_length: Tokens of a row: question, passage, special tokens.
        doc_stride: How far the window moves over a passage that is too long
            for one row, in tokens.
        max_question_length: Longer questions are cut.
        max_answer_length: The longest answer, in tokens.
        test: What is answered in the end with the best weights.

    Raises:
        ValueError: if a setting is out of range.

    Example:

    >>> from unilmv2_tf.training.finetuning.settings import AnswerSettings
    >>> AnswerSettings(
    ...     data="train.json", output="run", preset="pretrained").epochs
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
    test: str | None = None


@dataclasses.dataclass(kw_only=True)
class Seq2SeqSettings(FinetuningSettings):
    """Everything that `unilmv2 finetune seq2seq` can be told.

    Args:
        data: Pairs of texts: PATH.jsonl, PATH.tsv, tfds:cnn_dailymail,
            tfds:xsum, tfds:NAME/CONFIG:SPLIT, docstrings:summaries or
            docstrings:arguments; or questions to learn to ask: PATH.json in
            SQuAD's format, tfds:squad/v1.1 or docstrings:questions.
        output: The folder for checkpoints, scores, predictions and the model.
            A training that is found there goes on.
        learning_rate: The peak.
        source_length: Tokens of a source, special ones included. Batches are
            cut to their longest.
        target_length: Tokens of a target, its end included.
        truncation_side: Where sources that are too long are cut; left keeps
            their end.
        target_mask_rate: The share of target tokens that are replaced while
            training.
        label_smoothing: The share of the probability that goes to other
            tokens.
        num_beams: Beams of the search.
        length_penalty: Above 0 longer texts score higher.
        min_length: The fewest tokens of a generated text.
        no_repeat_ngram_size: No n tokens occur twice in a generated text; 0
            for no such rule.
        ignored_tokens: Words that this rule does not apply to, for example
            ". ,".
        metric: What tells the best weights: rouge1, rouge2, rougeL, rougeLsum,
            bleu4, meteor, meteor_exact_stem or exact_match.
        evaluation_examples: For how many held-out pairs, spread evenly over
            them, a text is generated and scored in each evaluation; all if not
            given.
        test: What texts are generated for in the end with the best weights.

    Raises:
        ValueError: if a setting is out of range.

    Example:

    >>> from unilmv2_tf.training.finetuning.settings import Seq2SeqSettings
    >>> Seq2SeqSettings(
    ...     data="train.jsonl", output="run", preset="pretrained").num_beams
    5

    Reference:
        Bao et al., 2020, section 3.4 and table 10.
    """

    learning_rate: float = 7e-5
    source_length: int = 464
    target_length: int = 48
    truncation_side: Literal["right", "left"] = "right"
    target_mask_rate: float = 0.5
    label_smoothing: float = 0.1
    num_beams: int = 5
    length_penalty: float = 0.7
    min_length: int = 0
    no_repeat_ngram_size: int = 0
    ignored_tokens: str | list[str] | None = None
    metric: str = "rougeL"
    evaluation_examples: int | None = None
    test: str | None = None

    def __post_init__(self):
        super().__post_init__()
        for name in ("num_beams", "evaluation_examples"):
            _check(self, name, lambda value: value >= 1, "at least 1")
        for name in ("length_penalty", "min_length", "no_repeat_ngram_size"):
            _check(self, name, lambda value: value >= 0, "at least 0")
        _check(
            self, "target_mask_rate", lambda value: 0 <= value <= 1, "in [0, 1]"
        )
        _check(
            self, "label_smoothing", lambda value: 0 <= value < 1, "in [0, 1)"
        )
        _check(self, "source_length", lambda value: value >= 3, "at least 3")
        _check(self, "target_length", lambda value: value >= 2, "at least 2")
        if self.min_length >= self.target_length:
            raise ValueError(
                "`min_length` must be below `target_length`, which counts the "
                f"end of a text too. Received: min_length={self.min_length}, "
                f"target_length={self.target_length}"
            )


def _check(settings, name, is_valid, accepted):
    value = getattr(settings, name)
    if value is not None and not is_valid(value):
        raise ValueError(
            f"`{name}` must be {accepted}. Received: {name}={value}"
        )
