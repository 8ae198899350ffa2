"""What `unilmv2 evaluate` does with each kind of model."""

import dataclasses
from typing import Any

from unilmv2_tf.evaluation import LeadBaseline
from unilmv2_tf.evaluation import NearestNeighbourBaseline
from unilmv2_tf.evaluation import describe_metrics
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import UniLMv2TextClassifier
from unilmv2_tf.samplers import SamplerArgs
from unilmv2_tf.training.finetuning import labelled
from unilmv2_tf.training.finetuning import pairs
from unilmv2_tf.training.finetuning import questions
from unilmv2_tf.training.finetuning.examples import evaluation_split
from unilmv2_tf.training.finetuning.predictions import predict

_BASELINES = {
    "first words": LeadBaseline,
    "nearest neighbour": NearestNeighbourBaseline,
}


@dataclasses.dataclass
class Evaluation:
    """What came of a model and its data.

    Args:
        predictions: what `write` is called on to keep them.
        scores: dict from metric to float.
        metric_notes: dict from metric to string: what it compares.
        baselines: dict from the name of a trivial method to its scores.
        num_left_out: int. How many pairs were not scored, having no target.
            Defaults to `0`.
    """

    predictions: Any
    scores: dict
    metric_notes: dict = dataclasses.field(default_factory=dict)
    baselines: dict = dataclasses.field(default_factory=dict)
    num_left_out: int = 0


def evaluate_model(
    model, data, batch_size, max_answer_length, metrics, **options
):
    """Scores a model of any kind.

    Args:
        model: a task with a preprocessor.
        data: string. The source of the examples.
        batch_size: int.
        max_answer_length: int, of answers to questions.
        metrics: list of strings or `None`, of generated texts.
        **options: further ones of generated texts, see `evaluate_generator`.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: if the model is of no kind that is known here, or the data
            or options don't fit it.
    """
    if isinstance(model, UniLMv2Seq2SeqLM):
        return evaluate_generator(model, data, batch_size, metrics, **options)
    for name, value in {"metrics": metrics, **options}.items():
        if value is not None:
            raise ValueError(
                f"`{name}` is a setting of models that generate texts. "
                f"Received: {name}={value}, and a {type(model).__name__}. "
                "Leave it out"
            )
    if isinstance(model, UniLMv2TextClassifier):
        return _evaluate_classifier(model, data, batch_size)
    if isinstance(model, UniLMv2QuestionAnswerer):
        examples = questions.read(data, evaluation_split(data))
        predictions = questions.predict(
            model, examples, batch_size, max_answer_length
        )
        return Evaluation(predictions, predictions.scores())
    raise ValueError(
        "`preset` must hold a classifier, a question answerer or a generator "
        "of texts, as `unilmv2 finetune` makes them. Received: a "
        f"{type(model).__name__}"
    )


def _evaluate_classifier(model, data, batch_size):
    examples = labelled.read(data, evaluation_split(data))
    names = model.label_names
    if names is not None:
        labelled.check_known(examples, names, "data")
    predictions = predict(model, examples, batch_size)
    scores = predictions.scores(labelled.metrics_of(data, names))
    return Evaluation(predictions, scores)


def evaluate_generator(
    model,
    data,
    batch_size,
    metrics=None,
    num_examples=None,
    max_length=None,
    baselines=None,
    **beam_options,
):
    """Generates texts and scores them.

    Args:
        model: a `UniLMv2Seq2SeqLM` with a preprocessor. It is compiled anew.
        data: string. The source of the pairs.
        batch_size: int.
        metrics: list of strings, see `unilmv2_tf.evaluation.score_texts`.
            Defaults to `None`.
        num_examples: int. How many pairs are taken. Defaults to `None`, all.
        max_length: int, in tokens. Defaults to `None`, that of the
            preprocessor.
        baselines: string. Where trivial methods learn from. Defaults to
            `None`: there are none.
        **beam_options: arguments of the sampler; `None` for that of the model.

    Returns:
        An `Evaluation`.

    Raises:
        ValueError: if the pairs cannot be read, a metric is unknown, or the
            sampler does not take the options.
    """
    if metrics is not None:
        # Says now what is wrong with them, and not after an hour.
        score_texts(["a"], ["a"], metrics)
    # One text for each source, also where the preset asks for more.
    is_ranked = getattr(model.sampler, "num_return_sequences", 1) > 1
    if is_ranked:
        beam_options["num_return_sequences"] = 1
    model.compile(
        sampler=SamplerArgs(**beam_options).make_sampler(model.sampler)
    )
    examples = pairs.read(data, evaluation_split(data)).spread(num_examples)
    fitted = {} if baselines is None else fit_baselines(baselines)
    predictions = pairs.predict(model, examples, batch_size, max_length)
    scores = predictions.scores(metrics)
    sources = predictions.sources
    return Evaluation(
        predictions,
        scores,
        describe_metrics(scores),
        {
            name: score_texts(
                baseline.predict(sources), predictions.references, list(scores)
            )
            for name, baseline in fitted.items()
        },
        examples.num_skipped,
    )


def fit_baselines(source):
    """Fits the trivial methods of generation.

    Args:
        source: string. Where the pairs come from that they learn from.

    Returns:
        A dict from name to a fitted method.

    Raises:
        ValueError: if the pairs cannot be read.

    Example:

    >>> from unilmv2_tf.evaluation.evaluating import fit_baselines
    >>> list(fit_baselines("docstrings:arguments"))
    ['first words', 'nearest neighbour']
    """
    known = pairs.read(source)
    texts = list(zip(known.source_texts(), known.target_texts()))
    return {name: method().fit(texts) for name, method in _BASELINES.items()}
