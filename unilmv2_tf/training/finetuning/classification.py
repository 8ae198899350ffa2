import functools
import os

import keras
import numpy as np

from unilmv2_tf.datasets import seeded_batches
from unilmv2_tf.evaluation import score_labels
from unilmv2_tf.models import UniLMv2TextClassifier
from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.training.finetuning import labelled
from unilmv2_tf.training.finetuning.model import model_arguments
from unilmv2_tf.training.finetuning.predictions import predict
from unilmv2_tf.training.finetuning.problem import Problem
from unilmv2_tf.training.finetuning.rows import crop


class Classification(Problem):
    """What a fine-tuning has to know of labelled texts.

    Args:
        settings: a `ClassifySettings`.

    Raises:
        ValueError: if the examples cannot be read, have a single class, or the
            ones for validation have labels that training lacks.

    Reference:
        Bao et al., 2020, section 3.4.
    """

    command = "classify"
    task_cls = UniLMv2TextClassifier
    read = staticmethod(labelled.read)

    def __init__(self, settings):
        super().__init__(settings)
        labelled.check_kinds(settings, self.train, self.held_out)
        self.label_names = labelled.names_of(settings, self.train)
        labelled.check_labels(self.train, self.held_out, self.label_names)
        self.metrics = labelled.metrics_of(
            settings.data, self.label_names, settings.metric
        )
        self.metric = self.metrics[0]
        # Says now what is wrong with the metrics, and not after an epoch.
        labels = self.held_out.labels
        score_labels(labels, labels, self.metrics, self.label_names)

    def facts(self):
        """What determines the result, beside the settings."""
        return {
            "examples": len(self.train),
            "fingerprint": self.train.fingerprint(),
            "labels": self.label_names,
        }

    def description(self):
        """Lines that tell a person what is trained on."""
        kind = (
            "regression"
            if self.label_names is None
            else f"{len(self.label_names)} classes"
        )
        yield (
            f"{len(self.train):,} examples for training, "
            f"{len(self.held_out):,} for validation, {kind}"
        )
        # Rows without padding: few of them fit exactly.
        full = np.mean(self._held_out_rows["padding_mask"].all(axis=1))
        if full:
            yield (
                f"{full:.1%} of the validation examples fill a row of "
                f"{self.settings.sequence_length} tokens: what is longer is cut"
            )

    def make_model(self):
        """The model, with a head that has learned nothing."""
        settings = self.settings
        names = self.label_names
        return UniLMv2TextClassifier.from_preset(
            settings.preset,
            num_classes=1 if names is None else len(names),
            preprocessor=UniLMv2TextClassifierPreprocessor(
                self.tokenizer,
                sequence_length=settings.sequence_length,
                label_names=names,
            ),
            **model_arguments(settings, self.tokenizer),
        )

    def compile(self, model, optimizer):
        """Compiles the model for training."""
        if self.label_names is None:
            loss = keras.losses.MeanSquaredError()
            metrics = []
        else:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            metrics = [keras.metrics.SparseCategoricalAccuracy("accuracy")]
        model.compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics if self.class_weights is None else [],
            weighted_metrics=[] if self.class_weights is None else metrics,
        )

    def training_dataset(self, preprocessor, num_steps, seed, start_step):
        """The batches of all steps from one on, each a function of its step."""
        columns = {
            **self.train.texts,
            "label": self.train.targets(self.label_names),
        }
        if self.class_weights is not None:
            columns["weight"] = self.class_weights[columns["label"]]
        batches = seeded_batches(
            columns,
            self.train.lengths(),
            self.settings.batch_size,
            num_steps,
            seed,
            start_step,
            self.settings.accumulation_steps,
        )
        keys = tuple(self.train.texts)

        def to_rows(batch):
            x = preprocessor({key: batch[key] for key in keys})
            rest = [batch["label"]]
            if "weight" in batch:
                rest.append(batch["weight"])
            if self.settings.strategy == "tpu":
                # Which wants to know all shapes.
                return (x, *rest)
            return crop(x, *rest)

        return batches.map(to_rows, num_parallel_calls=2, deterministic=True)

    @functools.cached_property
    def class_weights(self):
        """A weight for each class, or `None`."""
        weights = self.settings.class_weights
        if weights is None:
            return None
        return labelled.weights_of(weights, self.train, self.label_names)

    def predict(self, model, examples):
        """Predicts labels.

        Args:
            model: a `UniLMv2TextClassifier`.
            examples: a `LabelledTexts`.

        Returns:
            `Predictions`.
        """
        batch_size = self.settings.evaluation_batch_size
        # Those are predicted again and again.
        rows = self._held_out_rows if examples is self.held_out else None
        return predict(model, examples, batch_size, rows)

    @functools.cached_property
    def _held_out_rows(self):
        preprocessor = UniLMv2TextClassifierPreprocessor(
            self.tokenizer, sequence_length=self.settings.sequence_length
        )
        return labelled.rows_of(self.held_out, preprocessor)

    def scores(self, predictions):
        """Scores of predictions, see `Predictions.scores`."""
        return predictions.scores(self.metrics)

    def final_sources(self):
        """What is predicted in the end, and where; see `final_sources`."""
        return labelled.final_sources(self.settings)

    def write_final(self, predictions, place, output):
        """Writes what a benchmark's server takes.

        Args:
            predictions: `Predictions`.
            place: tuple of the name of a file, and whether it holds names.
            output: string. The folder that it goes into.
        """
        file_name, has_names = place
        path = os.path.join(output, file_name)
        predictions.write_submission(path, has_names)
