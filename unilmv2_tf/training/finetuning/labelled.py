"""Labelled texts in memory: reading and checking them."""

import dataclasses
import hashlib

import numpy as np

from unilmv2_tf.datasets import find_glue_task
from unilmv2_tf.datasets import label_names
from unilmv2_tf.datasets import load_labeled
from unilmv2_tf.training.finetuning.examples import rough_lengths

_ROWS_AT_ONCE = 1024


@dataclasses.dataclass
class LabelledTexts:
    """Examples as columns.

    Args:
        texts: dict of arrays of bytes: `text`, or `text_a` and `text_b`.
        labels: array of strings, "" where there is no label, or of floats.
        ids: int array. The numbers of the examples in their source.
    """

    texts: dict
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self):
        return len(self.labels)

    def lengths(self):
        """About how many tokens each example has.

        Returns:
            An int array.
        """
        return sum(rough_lengths(column) for column in self.texts.values())

    def is_labelled(self):
        """Whether all of them have labels; a benchmark's server keeps some.

        Returns:
            A bool.
        """
        if self.labels.dtype.kind == "f":
            return bool(np.isfinite(self.labels).all())
        return "" not in self.labels

    def take(self, places):
        """Some of the examples.

        Args:
            places: int array.

        Returns:
            A `LabelledTexts`.
        """
        return LabelledTexts(
            {key: column[places] for key, column in self.texts.items()},
            self.labels[places],
            self.ids[places],
        )

    def fingerprint(self):
        """A hash of all examples in their order.

        Returns:
            A string of 16 hexadecimal digits.
        """
        digest = hashlib.sha256()
        for column in (*self.texts.values(), self.labels):
            for value in column.tolist():
                digest.update(repr(value).encode() + b"\n")
        return digest.hexdigest()[:16]

    def targets(self, names):
        """The labels as a model takes them.

        Args:
            names: list of class names, or `None` for values.

        Returns:
            An int32 or float32 array.
        """
        if names is None:
            return self.labels.astype("float32")
        ids = {name: index for index, name in enumerate(names)}
        return np.array([ids[label] for label in self.labels], "int32")


def read(source, split=None):
    """Reads labelled texts into memory.

    Args:
        source: string, see `unilmv2_tf.datasets.load_labeled`.
        split: string. Defaults to `None`.

    Returns:
        A `LabelledTexts`.

    Raises:
        ValueError: if the source cannot be read.
    """
    dataset = load_labeled(source, split, with_ids=True)
    batches = list(dataset.batch(4096).as_numpy_iterator())
    texts = {
        key: np.concatenate([x[key] for x, _ in batches])
        for key in batches[0][0]
    }
    labels = np.concatenate([label for _, label in batches])
    if labels.dtype == object:
        labels = np.array([label.decode("utf-8") for label in labels], object)
    return LabelledTexts(texts, labels, texts.pop("id"))


def check_kinds(settings, train, held_out):
    """Checks that training and validation are of one kind.

    Args:
        settings: a `ClassifySettings`.
        train: a `LabelledTexts`.
        held_out: a `LabelledTexts`.

    Raises:
        ValueError: if not.
    """
    for what, of_train, of_held_out in (
        ("texts", sorted(train.texts), sorted(held_out.texts)),
        ("labels", train.labels.dtype.kind, held_out.labels.dtype.kind),
    ):
        if of_train != of_held_out:
            raise ValueError(
                f"`validation` must have {what} as `data` has. Received: "
                f"{of_held_out} in {settings.validation or settings.data}, "
                f"{of_train} in {settings.data}"
            )


def names_of(settings, train):
    """The class names, in the order of the model's outputs.

    Args:
        settings: a `ClassifySettings`.
        train: a `LabelledTexts`.

    Returns:
        A list of strings, or `None` for regression.
    """
    if train.labels.dtype.kind == "f":
        return None
    return label_names(settings.data)


def check_labels(train, held_out, names):
    """Checks that something can be learned and measured.

    Args:
        train: a `LabelledTexts`.
        held_out: a `LabelledTexts`.
        names: list of strings, or `None` for regression.

    Raises:
        ValueError: if there is no such thing.
    """
    for what, examples in (("data", train), ("validation", held_out)):
        if not examples.is_labelled():
            raise ValueError(
                f"`{what}` must have labels. Received: examples without one, "
                "as those that a benchmark keeps for its server; they go to "
                "`test`"
            )
    if len(set(train.labels.tolist())) < 2:
        raise ValueError(
            "`data` must have examples of at least two classes, or different "
            f"values: nothing can be learned from {len(train):,} examples that "
            f"all have the label {train.labels[0]!r}"
        )
    if names is not None:
        check_known(held_out, names, "validation")


def check_known(examples, names, what):
    """Checks that labels are among the classes of a model.

    Args:
        examples: a `LabelledTexts`.
        names: list of strings.
        what: string. What the examples are called in an error.

    Raises:
        ValueError: if not.
    """
    unknown = sorted(set(examples.labels.tolist()) - {*names, ""})
    if unknown:
        raise ValueError(
            f"`{what}` must have labels that the model knows: "
            f"{', '.join(names)}. Received: {', '.join(unknown[:5])}"
            f"{' and others' if len(unknown) > 5 else ''}"
        )


def metrics_of(source, names, first=None):
    """The metrics of a source, the one that tells the best weights first.

    Args:
        source: string.
        names: list of class names, or `None` for regression.
        first: string. What is to be the first one. Defaults to `None`: what
            the paper reports, accuracy, or Pearson's correlation.

    Returns:
        A tuple of strings.
    """
    glue = find_glue_task(source)
    if glue is not None:
        metrics = (glue.primary_metric, *glue.metrics)
    elif names is None:
        metrics = ("pearson", "spearman")
    else:
        metrics = ("accuracy", "macro_f1")
    if first is not None:
        metrics = (first, *metrics)
    return tuple(dict.fromkeys(metrics))


def weights_of(weights, train, names):
    """A weight for each class.

    Args:
        weights: `"balanced"`, for the inverse of the frequencies, or a dict
            from names to numbers; classes that it lacks weigh 1.
        train: a `LabelledTexts`.
        names: list of class names, or `None` for regression.

    Returns:
        A float32 array, in the order of the names.

    Raises:
        ValueError: if there are no classes, or not those.
    """
    if names is None:
        raise ValueError(
            "`class_weights` must be left out for regression, which has no "
            f"classes. Received: class_weights={weights}"
        )
    counts = np.bincount(train.targets(names), minlength=len(names))
    if weights == "balanced":
        # As scikit-learn has it: the mean weight of an example is 1.
        return (len(train) / (len(names) * np.maximum(counts, 1))).astype(
            "float32"
        )
    unknown = sorted(set(weights) - set(names))
    if unknown or min(weights.values(), default=1) < 0:
        raise ValueError(
            "`class_weights` must be weights, at least 0, of the classes "
            f"{', '.join(names)}. Received: class_weights={weights}"
        )
    return np.array([weights.get(name, 1.0) for name in names], "float32")


def rows_of(examples, preprocessor):
    """The examples as rows of integers.

    Args:
        examples: a `LabelledTexts`.
        preprocessor: a `UniLMv2TextClassifierPreprocessor`.

    Returns:
        A dict of int32 arrays of shape `(n, sequence_length)`.
    """
    parts = []
    for start in range(0, len(examples), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        texts = {key: column[part] for key, column in examples.texts.items()}
        parts.append(preprocessor(texts))
    return {
        key: np.concatenate([np.asarray(part[key]) for part in parts])
        for key in parts[0]
    }


def final_sources(settings):
    """What the best model predicts in the end.

    Args:
        settings: a `ClassifySettings`.

    Returns:
        A dict from sources to the names of files, and whether the predictions
        in them are names of classes.
    """
    sources = {}
    glue = find_glue_task(settings.data)
    if glue is not None and settings.validation is None:
        for split in glue.validation_splits[1:]:
            name = settings.data.split(":")[1]
            sources[f"tfds:{name}:{split}"] = f"{split}.tsv", True
    if settings.test is not None:
        sources[settings.test] = "test.tsv", True
        glue = find_glue_task(settings.test)
        split = settings.test.split(":")[-1]
        if glue is not None and split in glue.test_splits:
            place = glue.test_splits.index(split)
            file_name = glue.submission_files[place]
            sources[settings.test] = file_name, glue.submits_names
    return sources
