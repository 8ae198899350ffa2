"""What a classifier said of labelled texts: scored, written and drawn."""

import csv
import os

import numpy as np

from unilmv2_tf.evaluation import confusion_matrix
from unilmv2_tf.evaluation import score_labels
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.plots import plot_confusion
from unilmv2_tf.training.finetuning.labelled import rows_of
from unilmv2_tf.training.finetuning.rows import predict_rows


def predict(model, examples, batch_size, rows=None):
    """Lets a model say what it takes examples for.

    Args:
        model: a `UniLMv2TextClassifier` with a preprocessor.
        examples: a `LabelledTexts`.
        batch_size: int.
        rows: dict of arrays. The examples as rows. Defaults to `None`: those
            that the preprocessor makes.

    Returns:
        A `Predictions`.
    """
    if rows is None:
        rows = rows_of(examples, model.preprocessor)
    logits = predict_rows(model, rows, batch_size)
    return Predictions(logits, model.label_names, examples)


class Predictions:
    """What a model said of examples.

    Args:
        logits: float array of shape `(n, num_classes)`.
        names: list of class names, or `None` for regression.
        examples: a `LabelledTexts` of `n`.
    """

    def __init__(self, logits, names, examples):
        self.names, self.examples = names, examples
        logits = np.asarray(logits, "float32")
        if names is None:
            self.labels = logits[:, 0]
            self.probabilities = None
        else:
            shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
            self.probabilities = shifted / shifted.sum(axis=1, keepdims=True)
            self.labels = np.array(names, object)[logits.argmax(axis=1)]

    @property
    def can_be_scored(self):
        """Whether the labels are known."""
        return self.examples.is_labelled()

    def scores(self, metrics):
        """Scores against the examples' labels.

        Args:
            metrics: strings, see `unilmv2_tf.evaluation.score_labels`.

        Returns:
            A dict from metric to float.
        """
        return score_labels(
            self.examples.labels, self.labels, metrics, self.names
        )

    def write(self, folder):
        """Writes `predictions.tsv`, and of classes `confusion.png`.

        Args:
            folder: string.
        """
        os.makedirs(folder, exist_ok=True)
        header = ["index", "prediction", "label"]
        columns = [self.examples.ids, self.labels, self.examples.labels]
        if self.names is not None:
            header.append("probability")
            columns.append(self.probabilities.max(axis=1).round(4))
        _write_tsv(os.path.join(folder, "predictions.tsv"), header, columns)
        if self.names is not None and self.examples.is_labelled():
            matrix = confusion_matrix(
                self.examples.labels, self.labels, self.names
            )
            plot_confusion(
                matrix, self.names, os.path.join(folder, "confusion.png")
            )

    def write_submission(self, path, has_names=True):
        """Writes what a benchmark's server takes: index and prediction.

        Args:
            path: string.
            has_names: bool. Whether it takes the names of classes, and not
                their numbers. Defaults to `True`.
        """
        labels = self.labels
        if self.names is None:
            labels = [f"{value:.3f}" for value in labels]
        elif not has_names:
            labels = [self.names.index(label) for label in labels]
        rows = sorted(zip(self.examples.ids, labels))
        _write_tsv(path, ["index", "prediction"], zip(*rows))


def _write_tsv(path, header, columns):
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(*columns))
