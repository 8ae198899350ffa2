"""Scores of predicted labels and values, by scikit-learn and SciPy."""

import numpy as np


def accuracy(labels, predictions):
    """The share of predictions that are right.

    Args:
        labels: strings, the true classes.
        predictions: as many strings.

    Returns:
        A float between 0 and 1.

    Raises:
        ValueError: if there are no labels, one is empty (not known), or there
            are not as many predictions.

    Example:

    >>> accuracy(["cat", "dog"], ["cat", "cat"])
    0.5
    """
    labels, predictions = _check_classes(labels, predictions)
    return float(np.mean(labels == predictions))


def f1(labels, predictions, label_names):
    """F1 of the second of two classes, as GLUE has it for paraphrases.

    Args:
        labels: strings, the true classes.
        predictions: as many strings.
        label_names: two strings; the second class is the positive one.

    Returns:
        A float between 0 and 1; 0 if the class is never predicted rightly.

    Raises:
        ValueError: if there are not two classes, or labels and predictions do
            not fit together.

    Example:

    >>> f1(["yes", "yes", "no"], ["yes", "no", "no"], ["no", "yes"])
    0.6666666666666666
    """
    from sklearn.metrics import f1_score

    if len(label_names) != 2:
        raise ValueError(
            "`label_names` must be two classes, of which F1 is that of the "
            "second; for more there is macro_f1. Received: label_names="
            f"{list(label_names)}"
        )
    labels, predictions = _check_classes(labels, predictions)
    # As true or false: scikit-learn wants to see the class in the labels.
    positive = label_names[1]
    return float(
        f1_score(labels == positive, predictions == positive, zero_division=0.0)
    )


def macro_f1(labels, predictions, label_names=None):
    """The mean of the classes' F1.

    Args:
        labels: strings, the true classes.
        predictions: as many strings.
        label_names: strings. The classes. Defaults to `None`: those that occur
            in labels or predictions, which `label_names` are cut to in any
            case.

    Returns:
        A float between 0 and 1.

    Raises:
        ValueError: if labels and predictions do not fit together.

    Example:

    >>> macro_f1(["a", "a", "b", "c"], ["a", "b", "b", "b"])
    0.38888888888888884
    """
    from sklearn.metrics import f1_score

    labels, predictions = _check_classes(labels, predictions)
    occurring = np.unique(np.concatenate([labels, predictions]))
    if label_names is not None:
        occurring = [name for name in label_names if name in occurring]
    return float(
        f1_score(
            labels,
            predictions,
            labels=occurring,
            average="macro",
            zero_division=0.0,
        )
    )


def matthews(labels, predictions):
    """Matthews' correlation of classes.

    Args:
        labels: strings, the true classes.
        predictions: as many strings.

    Returns:
        A float between -1 and 1; 0 where it is not defined, because all
        labels or all predictions are the same.

    Raises:
        ValueError: if labels and predictions do not fit together.

    Example:

    >>> matthews(["a", "a", "b", "b"], ["a", "b", "b", "b"])
    0.5773502691896258
    """
    from sklearn.metrics import matthews_corrcoef

    labels, predictions = _check_classes(labels, predictions)
    if len(set(labels)) == 1 or len(set(predictions)) == 1:
        return 0.0
    return float(matthews_corrcoef(labels, predictions))


def pearson(labels, predictions):
    """Pearson's correlation of values.

    Args:
        labels: floats, the true values.
        predictions: as many floats.

    Returns:
        A float between -1 and 1; 0 where it is not defined, because all
        labels or all predictions are the same.

    Raises:
        ValueError: if there are less than two labels, not as many predictions,
            or they are not finite.

    Example:

    >>> round(pearson([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]), 3)
    0.5
    """
    from scipy.stats import pearsonr

    return _correlation(pearsonr, labels, predictions)


def spearman(labels, predictions):
    """Spearman's correlation of the ranks of values.

    Args:
        labels: floats, the true values.
        predictions: as many floats.

    Returns:
        A float between -1 and 1; 0 where it is not defined, because all
        labels or all predictions are the same.

    Raises:
        ValueError: if there are less than two labels, not as many predictions,
            or they are not finite.

    Example:

    >>> round(spearman([1.0, 2.0, 30.0], [1.0, 2.0, 3.0]), 3)
    1.0
    """
    from scipy.stats import spearmanr

    return _correlation(spearmanr, labels, predictions)


def confusion_matrix(labels, predictions, label_names):
    """How often which class was taken for which.

    Args:
        labels: strings, the true classes.
        predictions: as many strings.
        label_names: strings. All classes, in the order of rows and columns.

    Returns:
        An int array of shape `(classes, classes)`: rows are true classes,
        columns predicted ones.

    Raises:
        ValueError: if labels and predictions do not fit together, or a class
            is not among `label_names`.

    Example:

    >>> confusion_matrix(["a", "b", "b"], ["a", "a", "b"], ["a", "b"])
    array([[1, 0],
           [1, 1]])
    """
    from sklearn.metrics import confusion_matrix as count

    labels, predictions = _check_classes(labels, predictions)
    _check_known(labels, predictions, label_names)
    return count(labels, predictions, labels=list(label_names))


_CLASS_METRICS = {
    "accuracy": lambda labels, predictions, _: accuracy(labels, predictions),
    "f1": f1,
    "macro_f1": macro_f1,
    "matthews": lambda labels, predictions, _: matthews(labels, predictions),
}
_VALUE_METRICS = {"pearson": pearson, "spearman": spearman}


def score_labels(labels, predictions, metrics=None, label_names=None):
    """Several scores at once, by name.

    Args:
        labels: strings, the true classes, or floats, the true values.
        predictions: as many strings or floats.
        metrics: strings. Of classes `accuracy`, `f1` (of two, the second being
            the positive one), `macro_f1` and `matthews`; of values `pearson`
            and `spearman`; or the mean of two, as in `pearson_spearman` and
            `accuracy_f1`. Defaults to `None`: accuracy, macro F1 and
            Matthews' correlation (F1 too of two classes), or both
            correlations and their mean.
        label_names: strings. The classes, in order. Defaults to `None` for
            values.

    Returns:
        A dictionary from metric to float.

    Raises:
        ValueError: if a metric is unknown or of another kind of label, or
            labels and predictions do not fit together.

    Examples:

    >>> score_labels(["a", "b"], ["a", "a"], ["accuracy"], ["a", "b"])
    {'accuracy': 0.5}
    >>> scores = score_labels([1.0, 2.0, 3.0], [2.0, 3.0, 5.0])
    >>> {name: round(score, 2) for name, score in scores.items()}
    {'pearson': 0.98, 'spearman': 1.0, 'pearson_spearman': 0.99}
    """
    if label_names is None:
        known = _VALUE_METRICS
        default = ("pearson", "spearman", "pearson_spearman")
    else:
        labels, predictions = _check_classes(labels, predictions)
        _check_known(labels, predictions, label_names)
        known = {
            name: _with_names(metric, label_names)
            for name, metric in _CLASS_METRICS.items()
        }
        default = ("accuracy", "macro_f1", "matthews")
        if len(label_names) == 2:
            default += ("f1",)
    scores = {}
    for metric in default if metrics is None else metrics:
        parts = _parts(metric, known)
        scores[metric] = float(
            np.mean([known[part](labels, predictions) for part in parts])
        )
    return scores


def _with_names(metric, label_names):
    return lambda labels, predictions: metric(labels, predictions, label_names)


def _parts(metric, known):
    """The metric itself, or the two that it is the mean of."""
    if metric in known:
        return (metric,)
    for first in known:
        second = metric.removeprefix(f"{first}_")
        if second != metric and second in known:
            return first, second
    kind = "values" if "pearson" in known else "classes"
    raise ValueError(
        f"`metrics` must be metrics of {kind}: {', '.join(known)}, or two of "
        f"them joined by '_', for their mean. Received: {metric!r}"
    )


def _check_lengths(labels, predictions, least):
    if len(labels) != len(predictions) or len(labels) < least:
        raise ValueError(
            "`labels` and `predictions` must have the same length, at least "
            f"{least}. Received: {len(labels)} labels, {len(predictions)} "
            "predictions"
        )


def _check_classes(labels, predictions):
    arrays = []
    for name, values in (("labels", labels), ("predictions", predictions)):
        if isinstance(values, np.ndarray):
            values = values.tolist()
        for value in values:
            if not isinstance(value, str):
                raise ValueError(
                    f"`{name}` must hold strings, the names of classes (decode "
                    f"bytes first). Received: {value!r}"
                )
        arrays.append(np.array(values, object))
    _check_lengths(*arrays, least=1)
    if "" in arrays[0]:
        raise ValueError(
            "`labels` must be known. Received: '', which stands for a label "
            "that a benchmark keeps from us"
        )
    return arrays


def _check_known(labels, predictions, label_names):
    unknown = {*labels, *predictions} - {*label_names}
    if unknown:
        raise ValueError(
            "`label_names` must hold all classes. Received: label_names="
            f"{list(label_names)}, without {sorted(unknown)[:5]}"
        )


def _correlation(correlate, labels, predictions):
    labels, predictions = (
        np.asarray(values, "float64") for values in (labels, predictions)
    )
    _check_lengths(labels, predictions, least=2)
    if not (np.isfinite(labels).all() and np.isfinite(predictions).all()):
        raise ValueError(
            "`labels` and `predictions` must be finite numbers. Received: "
            f"{np.sum(~np.isfinite(labels))} labels and "
            f"{np.sum(~np.isfinite(predictions))} predictions that are not"
        )
    if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(correlate(labels, predictions).statistic)
