"""Fine-tuning to classify texts or pairs, or to predict a value."""

import functools

import keras
import numpy as np

from unilmv2_tf.datasets import label_names
from unilmv2_tf.datasets.glue import find_glue_task
from unilmv2_tf.evaluation import score_labels
from unilmv2_tf.evaluation.examples import approximate_lengths
from unilmv2_tf.evaluation.examples import has_label_lists
from unilmv2_tf.evaluation.examples import is_labeled
from unilmv2_tf.evaluation.examples import read_labeled
from unilmv2_tf.evaluation.examples import texts_of
from unilmv2_tf.evaluation.predictions import check_known
from unilmv2_tf.evaluation.predictions import classifier_rows
from unilmv2_tf.evaluation.predictions import crop
from unilmv2_tf.evaluation.predictions import metrics_of
from unilmv2_tf.evaluation.predictions import predict_labels
from unilmv2_tf.models import UniLMv2TextClassifier
from unilmv2_tf.models.class_labels import multi_hot_labels
from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.training.task_adapter import TaskAdapter


class ClassifyAdapter(TaskAdapter):
    """`UniLMv2TextClassifier` on labeled texts."""

    command = "classify"
    task_cls = UniLMv2TextClassifier
    read = staticmethod(read_labeled)

    def __init__(self, args):
        super().__init__(args)
        is_regression = self.train["label"].dtype.kind == "f"
        self.label_names = None
        if not is_regression:
            self.label_names = label_names(args.data, **self.read_options())
        self.multi_label = has_label_lists(self.train)
        self._check_examples()
        self.metrics = metrics_of(
            args.data, self.label_names, args.metric, self.multi_label
        )
        self.metric = self.metrics[0]
        # A mistake in the metrics shows now, not after an epoch.
        labels = self.held_out["label"]
        score_labels(labels, labels, self.metrics, self.label_names)
        self.class_weights = None
        if args.class_weights is not None:
            self.class_weights = class_weights(
                args.class_weights, self.train["label"], self.label_names
            )

    def read_options(self):
        if self.train is None:
            return super().read_options()
        # What is held out has labels of the kind that is trained on.
        is_regression = self.train["label"].dtype.kind == "f"
        task = "regress" if is_regression else "classify"
        return {**super().read_options(), "task": task}

    def _check_examples(self):
        args, splits = self.args, (self.train, self.held_out)
        for what, of_train, of_held_out in (
            ("texts", *(sorted(texts_of(x)) for x in splits)),
            ("labels", *(type(x["label"][0]).__name__ for x in splits)),
        ):
            if of_train != of_held_out:
                raise ValueError(
                    f"`validation` must have {what} as `data` has. Received: "
                    f"{of_held_out} in {args.validation or args.data}, "
                    f"{of_train} in {args.data}"
                )
        for what, examples in zip(("data", "validation"), splits):
            if not is_labeled(examples):
                raise ValueError(
                    f"`{what}` must have labels. Received: examples without "
                    "one, as those that a benchmark keeps for its server; they "
                    "go to `test`"
                )
        labels = self.train["label"]
        if len(set(map(str, labels.tolist()))) < 2:
            raise ValueError(
                "`data` must have examples of at least two classes, or "
                "different values: nothing can be learned from "
                f"{len(labels):,} examples that all have the label "
                f"{labels[0]!r}"
            )
        if self.multi_label and len(self.label_names) < 2:
            raise ValueError(
                "`data` must have at least two different names in 'labels'. "
                f"Received: {self.label_names}. Write two classes instead: a "
                "'label' for those with this name, and another for the rest"
            )
        if self.label_names is not None:
            check_known(self.held_out, self.label_names, "validation")

    def facts(self):
        return {**super().facts(), "labels": self.label_names}

    def describe(self):
        kind = "a REGRESSION: labels are values (--task classify: classes)"
        if self.label_names is not None:
            kind = f"{len(self.label_names)} classes"
            if self.multi_label:
                kind += ", any number of them for a text"
        yield (
            f"{len(self.train):,} examples for training, "
            f"{len(self.held_out):,} for validation, {kind}"
        )
        # Few texts fit a row exactly: one without padding was truncated.
        full = np.mean(self._held_out_rows["padding_mask"].all(axis=1))
        if full:
            yield (
                f"{full:.1%} of the validation examples fill a row of "
                f"{self.args.sequence_length} tokens: longer ones are truncated"
            )

    def make_model(self):
        names = self.label_names
        return UniLMv2TextClassifier.from_preset(
            self.args.preset,
            num_classes=1 if names is None else len(names),
            preprocessor=self._preprocessor(),
            multi_label=self.multi_label,
            **self.model_arguments(),
        )

    def _preprocessor(self):
        return UniLMv2TextClassifierPreprocessor(
            self.tokenizer,
            sequence_length=self.args.sequence_length,
            label_names=self.label_names,
        )

    def compile(self, model, optimizer):
        if self.class_weights is None:
            metrics = [] if self.label_names is None else "auto"
            model.compile(optimizer, metrics=metrics)
            return
        accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
        model.compile(optimizer, metrics=[], weighted_metrics=[accuracy])

    @functools.cached_property
    def columns(self):
        labels = label_ids(self.train["label"], self.label_names)
        columns = {**texts_of(self.train), "label": labels}
        if self.class_weights is not None:
            columns["weight"] = self.class_weights[labels]
        return columns

    @functools.cached_property
    def lengths(self):
        return sum(map(approximate_lengths, texts_of(self.train).values()))

    def rows_of(self, seed):
        del seed
        preprocessor = self._preprocessor()
        keys = tuple(texts_of(self.train))

        def to_rows(batch):
            x = preprocessor({key: batch[key] for key in keys})
            # A TPU needs static shapes.
            x = x if self.args.strategy == "tpu" else crop(x)
            return (x, *(batch[k] for k in ("label", "weight") if k in batch))

        return to_rows

    @functools.cached_property
    def _held_out_rows(self):
        return classifier_rows(self.held_out, self._preprocessor())

    def predict(self, model, examples):
        # The held-out rows are predicted again and again.
        rows = self._held_out_rows if examples is self.held_out else None
        batch_size = self.args.evaluation_batch_size
        return predict_labels(model, examples, batch_size, rows)

    def final_sources(self):
        args = self.args
        sources = {}
        glue = find_glue_task(args.data)
        if glue is not None and args.validation is None:
            name = args.data.split(":")[1]
            for split in glue.validation_splits[1:]:
                sources[f"tfds:{name}:{split}"] = f"{split}.tsv", True
        if args.test is not None:
            sources[args.test] = "test.tsv", True
            glue = find_glue_task(args.test)
            split = args.test.split(":")[-1]
            if glue is not None and split in glue.test_splits:
                file_name = glue.submission_files[glue.test_splits.index(split)]
                sources[args.test] = file_name, glue.submits_names
        return sources


def label_ids(labels, names):
    """Labels as int32 ids; values, and 0 and 1 for lists, as float32."""
    if names is None:
        return labels.astype("float32")
    if isinstance(labels[0], list):
        return multi_hot_labels(labels, names, len(names))
    ids = {name: index for index, name in enumerate(names)}
    return np.array([ids[label] for label in labels], "int32")


def class_weights(weights, labels, names):
    """A float32 array, the weight of each class.

    `"balanced"` stands for inverse frequencies; a dict leaves out classes of
    weight 1.
    """
    if names is None or isinstance(labels[0], list):
        raise ValueError(
            "`class_weights` must be left out for regression, which has no "
            "classes, and where a text may have several. Received: "
            f"class_weights={weights}"
        )
    if weights == "balanced":
        counts = np.bincount(label_ids(labels, names), minlength=len(names))
        # As in scikit-learn: the mean weight of an example is 1.
        balanced = len(labels) / (len(names) * np.maximum(counts, 1))
        return balanced.astype("float32")
    unknown = sorted(set(weights) - set(names))
    if unknown or min(weights.values(), default=1) < 0:
        raise ValueError(
            "`class_weights` must be weights, at least 0, of the classes "
            f"{', '.join(names)}. Received: class_weights={weights}"
        )
    return np.array([weights.get(name, 1.0) for name in names], "float32")
