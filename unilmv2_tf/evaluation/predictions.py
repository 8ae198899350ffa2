"""What a model predicts for examples: scored, and written to files."""

import contextlib
import csv
import itertools
import json
import os

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets.glue import find_glue_task
from unilmv2_tf.evaluation import confusion_matrix
from unilmv2_tf.evaluation import score_labels
from unilmv2_tf.evaluation import score_squad
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.evaluation.examples import decoded
from unilmv2_tf.evaluation.examples import has_label_lists
from unilmv2_tf.evaluation.examples import is_labeled
from unilmv2_tf.evaluation.examples import readable
from unilmv2_tf.evaluation.examples import texts_of
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.plots.figures import try_plot
from unilmv2_tf.plots.training_plots import plot_confusion
from unilmv2_tf.progress import Progress

ROW_KEYS = ("token_ids", "segment_ids", "padding_mask")


class LabelPredictions:
    """Labels or values of texts, from the outputs of a classifier."""

    def __init__(self, model, outputs, examples):
        self.examples = examples
        self.names = None if model.is_regression else model.label_names
        labels = model.results_of(outputs)
        self.labels = np.fromiter(labels, object, len(labels))
        self.is_one_class = not (model.is_regression or model.multi_label)
        self.probabilities = None
        if self.is_one_class and model.has_probabilities:
            results = model.results_of(outputs, return_probabilities=True)
            self.probabilities = [round(x["probability"], 4) for x in results]

    @property
    def can_be_scored(self):
        return is_labeled(self.examples)

    def scores(self, metrics):
        """Scores against the labels, see `score_labels`."""
        return score_labels(
            self.examples["label"], self.labels, metrics, self.names
        )

    def write(self, folder):
        """Writes `predictions.tsv`, and for classes `confusion.png`."""
        os.makedirs(folder, exist_ok=True)
        labels = self.examples["label"]
        columns = {
            "index": self.examples["id"],
            "prediction": _shown(self.labels),
            "label": _shown(labels),
        }
        if self.probabilities is not None:
            columns["probability"] = self.probabilities
        _write_tsv(os.path.join(folder, "predictions.tsv"), columns)
        if self.is_one_class and self.can_be_scored:
            try_plot(
                plot_confusion,
                confusion_matrix(labels, self.labels, self.names),
                self.names,
                os.path.join(folder, "confusion.png"),
            )

    def write_submission(self, path, has_names=True):
        """Writes index and prediction, as a benchmark's server takes them."""
        labels = _shown(self.labels)
        if self.names is None:
            labels = [f"{value:.3f}" for value in labels]
        elif not has_names:
            labels = [self.names.index(label) for label in labels]
        ids, labels = zip(*sorted(zip(self.examples["id"], labels)))
        _write_tsv(path, {"index": ids, "prediction": labels})


def _shown(labels):
    """Labels with lists as texts."""
    return [", ".join(x) if isinstance(x, list) else x for x in labels]


class TextPredictions:
    """Generated texts; `examples` are those of `read_pairs`."""

    can_be_scored = True

    def __init__(self, examples, texts):
        self.texts = texts
        self.sources = readable(examples["encoder_text"])
        self.references = readable(examples["decoder_text"])

    def scores(self, metrics=None):
        """Scores against the targets, see `score_texts`."""
        return score_texts(self.texts, self.references, metrics)

    def write(self, folder):
        """Writes `predictions.jsonl`."""
        _write_json_lines(
            os.path.join(folder, "predictions.jsonl"),
            (
                {"src": source, "tgt": target, "prediction": text}
                for source, target, text in zip(
                    self.sources, self.references, self.texts
                )
            ),
        )


class AnswerPredictions:
    """Answers of `answer()` to questions.

    Where the score of no answer is larger by more than `threshold`, the
    prediction is "no answer"; `None`: always a text.
    """

    can_be_scored = True

    def __init__(self, examples, answers, threshold=None):
        self.examples, self.answers = examples, answers
        self.threshold = threshold
        self.null_odds = {
            key: answer["null_score"] - answer["score"]
            for key, answer in zip(examples["id"], answers)
        }

    def texts(self):
        """Answers by the ids of their questions, "" for no answer."""
        return {
            key: ""
            if self.threshold is not None
            and self.null_odds[key] > self.threshold
            else answer["text"]
            for key, answer in zip(self.examples["id"], self.answers)
        }

    def scores(self, metrics=None):
        """Exact match and F1, from 0 to 100, and more for SQuAD 2.0."""
        del metrics
        references = dict(
            zip(self.examples["id"], self.examples["answer_texts"])
        )
        has_odds = self.threshold is None and not all(references.values())
        scores = score_squad(
            self.texts(), references, self.null_odds if has_odds else None
        )
        return {
            name: score
            for name, score in scores.items()
            if not name.endswith("total")
        }

    def write(self, folder):
        """Writes `predictions.json` and `null_odds.json` for the benchmark.

        `answers.jsonl` has the questions, answers, scores and positions.
        """
        for name, values in (
            ("predictions.json", self.texts()),
            ("null_odds.json", self.null_odds),
        ):
            text = json.dumps(values, ensure_ascii=False, indent=0) + "\n"
            write_text(os.path.join(folder, name), text)
        columns = (self.examples[k] for k in ("id", "question", "answer_texts"))
        _write_json_lines(
            os.path.join(folder, "answers.jsonl"),
            (
                {"id": key, "question": question, **answer, "gold": gold}
                for key, question, gold, answer in zip(*columns, self.answers)
            ),
        )


def predict_labels(model, examples, batch_size, rows=None):
    """The `LabelPredictions` of a `UniLMv2TextClassifier`."""
    if rows is None:
        rows = classifier_rows(examples, model.preprocessor)
    # Batches of similar lengths, without the padding they do not need.
    order = np.argsort(rows["padding_mask"].sum(axis=1), kind="stable")
    dataset = (
        tf.data.Dataset.from_tensor_slices(
            {key: rows[key][order] for key in ROW_KEYS}
        )
        .batch(batch_size)
        .map(crop)
        .prefetch(tf.data.AUTOTUNE)
    )
    with preprocessor_set_to(model, None):
        outputs = model.predict(dataset, verbose=0)
    logits = np.empty_like(outputs)
    logits[order] = outputs
    return LabelPredictions(model, logits, examples)


def generate_texts(model, examples, batch_size, max_length=None, is_shown=True):
    """The `TextPredictions` of a `UniLMv2Seq2SeqLM`, with a progress bar."""
    sources = decoded(examples["encoder_text"])
    batch_size = min(batch_size, len(sources))
    with Progress(
        "generating",
        -(-len(sources) // batch_size),
        examples_per_step=batch_size,
        unit="texts",
        is_shown=is_shown,
        step_unit="batches",
    ) as progress:
        texts = model.generate(
            sources,
            max_length=max_length,
            batch_size=batch_size,
            on_batch=lambda num_texts: progress.advance(),
        )
    return TextPredictions(examples, texts)


def answer_questions(model, examples, batch_size, max_answer_length):
    """The `AnswerPredictions` of a `UniLMv2QuestionAnswerer`."""
    # Its threshold for no answer is applied to the predictions.
    threshold, model.null_threshold = model.null_threshold, None
    try:
        answers = []
        for part in examples.parts():
            answers += model.answer(
                part["question"].tolist(),
                part["context"].tolist(),
                max_answer_length=max_answer_length,
                batch_size=batch_size,
            )
    finally:
        model.null_threshold = threshold
    return AnswerPredictions(examples, answers, threshold)


def metrics_of(source, names, first=None, multi_label=False):
    """The metrics of a source; the first one selects the best weights."""
    glue = find_glue_task(source)
    if glue is not None:
        metrics = (glue.primary_metric, *glue.metrics)
    elif names is None:
        metrics = ("pearson", "spearman")
    elif multi_label:
        metrics = ("micro_f1", "macro_f1", "exact_match")
    else:
        metrics = ("accuracy", "macro_f1")
    if first is not None:
        metrics = (first, *metrics)
    return tuple(dict.fromkeys(metrics))


def unknown_labels(examples, names):
    """Lists the labels that are not among names; "" is not published."""
    labels = examples["label"].tolist()
    if has_label_lists(examples):
        labels = itertools.chain(*labels)
    return sorted({str(label) for label in labels} - {*names, ""})


def check_known(examples, names, what):
    """Raises ValueError if a label is not among the classes of a model."""
    unknown = unknown_labels(examples, names)
    if unknown:
        raise ValueError(
            f"`{what}` must have labels that the model knows: "
            f"{', '.join(names)}. Received: {', '.join(unknown[:5])}"
            f"{' and others' if len(unknown) > 5 else ''}"
        )


def name_classes(model, examples, label_names=None):
    """Gives a classifier the names of its classes, or ids if it has none."""
    if has_label_lists(examples) != model.multi_label:
        raise ValueError(
            "`data` must have "
            + ("lists of labels" if model.multi_label else "one label a text")
            + f", as the model predicts. Received: {examples['label'][0]!r}"
        )
    if model.is_regression:
        return
    count = model.num_classes
    ids = [str(i) for i in range(count)]
    names = label_names or model.label_names or ids
    unknown = unknown_labels(examples, names)
    if len(names) != count or (names is ids and unknown):
        raise ValueError(
            f"`label_names` must be {count} names, those of the model's "
            f"classes in their order. Received: label_names={label_names}, a "
            f"preset with {model.label_names or 'no names'}, and labels such "
            f"as {', '.join(unknown[:count])}. Give for example --label_names "
            f"'[{','.join(unknown[:count])}]', in the order of the training; "
            f"labels that are ids below {count} need no names"
        )
    model.preprocessor.label_names = names
    check_known(examples, names, "data")


def classifier_rows(examples, preprocessor):
    """Labeled texts as rows: a dict of int arrays `(n, sequence_length)`."""
    parts = [preprocessor(texts_of(part)) for part in examples.parts()]
    return {
        key: np.concatenate([np.asarray(part[key]) for part in parts])
        for key in parts[0]
    }


def crop(rows):
    """Cuts a batch of rows to the longest of them."""
    length = longest(rows["padding_mask"])
    return {key: rows[key][:, :length] for key in ROW_KEYS}


def longest(padding_mask):
    """The length of a batch's longest row, rounded up to a multiple of 8."""
    length = tf.reduce_max(tf.reduce_sum(padding_mask, axis=1))
    return tf.maximum(-(-length // 8), 1) * 8


@contextlib.contextmanager
def preprocessor_set_to(task, preprocessor):
    """Replaces a task's preprocessor for a while; `None`: it takes rows."""
    earlier, task.preprocessor = task.preprocessor, preprocessor
    try:
        yield
    finally:
        task.preprocessor = earlier


def _write_tsv(path, columns):
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))


def _write_json_lines(path, records):
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    write_text(path, "\n".join(lines) + "\n")
