"""The command `unilmv2 evaluate`."""

import dataclasses
import json
import os

from unilmv2_tf.evaluation.baselines import LeadBaseline
from unilmv2_tf.evaluation.baselines import NearestNeighborBaseline
from unilmv2_tf.evaluation.text_metrics import describe_metrics
from unilmv2_tf.evaluation.text_metrics import score_texts
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.samplers import PRESET_SAMPLER
from unilmv2_tf.samplers import SamplerArgs


def evaluate(
    preset: str,
    data: str,
    output: str | None = None,
    batch_size: int = 64,
    max_answer_length: int = 30,
    metrics: list[str] | None = None,
    num_examples: int | None = None,
    max_length: int | None = None,
    baselines: str | None = None,
    label_names: list[str] | None = None,
    quoting: bool | None = None,
    skip_misfits: bool = False,
    special_tokens_in_strings: bool | None = None,
    sampler_args: SamplerArgs = PRESET_SAMPLER,
) -> dict[str, float]:
    """Scores a fine-tuned model on labeled data, and prints the scores.

    Classifiers are scored by the metrics of the GLUE task, or by accuracy and
    macro F1, with several labels a text by micro F1, macro F1 and exact match.
    If their classes have no names, labels are ids. Regressors are scored by
    correlations; question answerers by SQuAD's exact match and F1; text
    generators by ROUGE, BLEU and more, each with a note on what it compares.
    Returns a dict from metric to score.

    Args:
        preset: Preset folder of a fine-tuned model.
        data: Labeled examples, as for `unilmv2 finetune`: all of a file, or the
            validation split of other sources unless they name another.
        output: Folder for scores.json and the predictions. By default nothing
            is written.
        batch_size: Number of rows computed at once.
        max_answer_length: Maximum length of an answer in tokens.
        metrics: Metrics of generated texts: rouge1, rouge2, rougeL, rougeLsum,
            bleu4, meteor, exact_match, as in '[rougeL,meteor]'.
        num_examples: Number of pairs a text is generated for, evenly spaced in
            the data. By default all.
        max_length: Maximum length of a generated text in tokens, its end token
            included. By default that of the preset.
        baselines: Pairs of texts, as for `unilmv2 finetune seq2seq`, that
            baselines are fitted on and scored beside the model: the first
            words of the source, and the target of the most similar source.
        label_names: Names of a classifier's classes in their order, as in
            '[negative,positive]', if the preset has none or the data others.
        quoting: Whether TSV has fields in double quotes, as csv and pandas
            write them; by default such files are refused.
        skip_misfits: Leave out records of files that do not fit; by default
            they are an error.
        special_tokens_in_strings: Whether special tokens such as [SEP] in
            texts are single tokens. Defaults to what the preset says.
        sampler_args: Options of the sampler of generated texts.
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.evaluation.examples import evaluation_split
    from unilmv2_tf.evaluation.examples import input_texts
    from unilmv2_tf.evaluation.examples import read_labeled
    from unilmv2_tf.evaluation.examples import read_pairs
    from unilmv2_tf.evaluation.examples import read_questions
    from unilmv2_tf.evaluation.predictions import answer_questions
    from unilmv2_tf.evaluation.predictions import generate_texts
    from unilmv2_tf.evaluation.predictions import metrics_of
    from unilmv2_tf.evaluation.predictions import name_classes
    from unilmv2_tf.evaluation.predictions import predict_labels
    from unilmv2_tf.models import UniLMv2QuestionAnswerer
    from unilmv2_tf.models import UniLMv2Seq2SeqLM
    from unilmv2_tf.models import UniLMv2TextClassifier
    from unilmv2_tf.models.task import load_task
    from unilmv2_tf.preprocessing.tokenizer import note_special_tokens

    if metrics is not None:
        # Reports wrong names, and missing libraries, before hours of work.
        score_texts(["a"], ["a"], metrics)
    model = load_task(preset, special_tokens_in_strings)
    split = evaluation_split(data)
    read = {"quoting": quoting, "skip_misfits": skip_misfits}
    notes, baseline_scores, num_left_out = {}, {}, 0
    options = {
        "metrics": metrics,
        "num_examples": num_examples,
        "max_length": max_length,
        "baselines": baselines,
        **dataclasses.asdict(sampler_args),
    }
    for name, value in options.items():
        if value is not None and not isinstance(model, UniLMv2Seq2SeqLM):
            raise ValueError(
                f"`{name}` is an option of models that generate texts. "
                f"Received: {name}={value}, and a {type(model).__name__}. "
                "Remove it"
            )
    if label_names and not isinstance(model, UniLMv2TextClassifier):
        raise ValueError(
            "`label_names` is an option of classifiers. Received: label_names="
            f"{label_names}, and a {type(model).__name__}. Remove it"
        )
    if isinstance(model, UniLMv2Seq2SeqLM):
        model.compile(sampler=_one_text_sampler(model, sampler_args))
        examples = read_pairs(data, split, **read).spread(num_examples)
        methods = {} if baselines is None else fit_baselines(baselines)
        predictions = generate_texts(model, examples, batch_size, max_length)
        scores = predictions.scores(metrics)
        notes = describe_metrics(scores)
        baseline_scores = {
            name: score_texts(
                method.predict(predictions.sources),
                predictions.references,
                list(scores),
            )
            for name, method in methods.items()
        }
        num_left_out = examples.num_skipped
    elif isinstance(model, UniLMv2TextClassifier):
        task = "regress" if model.is_regression else "classify"
        examples = read_labeled(data, split, task=task, **read)
        name_classes(model, examples, label_names)
        predictions = predict_labels(model, examples, batch_size)
        scores = predictions.scores(
            metrics_of(data, predictions.names, multi_label=model.multi_label)
        )
    elif isinstance(model, UniLMv2QuestionAnswerer):
        examples = read_questions(data, split, skip_misfits=skip_misfits)
        predictions = answer_questions(
            model, examples, batch_size, max_answer_length
        )
        scores = predictions.scores()
    else:
        raise ValueError(
            "`preset` must hold a classifier, a question answerer or a text "
            "generator, as `unilmv2 finetune` saves them. Received: a "
            f"{type(model).__name__}"
        )

    note_special_tokens(
        model.preprocessor.tokenizer, input_texts(examples), "examples"
    )
    if num_left_out:
        print(f"pairs without a target, left out: {num_left_out:,}")
    for name, value in scores.items():
        note = f"  ({notes[name]})" if name in notes else ""
        print(f"{name}: {value:.4f}{note}")
    for method, values in baseline_scores.items():
        shown = ", ".join(f"{name} {v:.4f}" for name, v in values.items())
        print(f"{method}: {shown}")
    if output is not None:
        predictions.write(output)
        summary = {
            "preset": preset,
            "data": data,
            "scores": scores,
            "metric_notes": notes,
            "baselines": baseline_scores,
            "pairs_left_out": num_left_out,
        }
        write_text(
            os.path.join(output, "scores.json"),
            json.dumps(summary, indent=2) + "\n",
        )
    return scores


def fit_baselines(source):
    """The baselines of text generation by name, fitted on pairs of texts."""
    from unilmv2_tf.evaluation.examples import read_pairs
    from unilmv2_tf.evaluation.examples import readable

    known = read_pairs(source)
    texts = list(
        zip(readable(known["encoder_text"]), readable(known["decoder_text"]))
    )
    return {
        "first words": LeadBaseline().fit(texts),
        "nearest neighbor": NearestNeighborBaseline().fit(texts),
    }


def _one_text_sampler(model, sampler_args):
    """The sampler, which returns one text also where the preset's has more."""
    if sampler_args.num_return_sequences not in (None, 1):
        raise ValueError(
            "`num_return_sequences` must be 1: one text of each source is "
            "scored. Received: num_return_sequences="
            f"{sampler_args.num_return_sequences}"
        )
    tokenizer = model.preprocessor.tokenizer
    sampler = sampler_args.make_sampler(model.sampler, tokenizer)
    if getattr(sampler, "num_return_sequences", 1) > 1:
        one = dataclasses.replace(sampler_args, num_return_sequences=1)
        sampler = one.make_sampler(model.sampler, tokenizer)
    return sampler
