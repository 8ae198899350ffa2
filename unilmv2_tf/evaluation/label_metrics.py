"""Scores of predicted labels and values, by scikit-learn and SciPy."""

import numpy as np

from unilmv2_tf.optional_imports import optional_import


def score_labels(
    labels,
    predictions,
    metrics: list[str] | None = None,
    label_names: list[str] | None = None,
) -> dict[str, float]:
    """Scores predicted classes or values.

    Args:
        labels: list or array of strings, the true classes, or of floats, the
            true values.
        predictions: as many strings or floats.
        metrics: list of names. For classes `"accuracy"`, `"f1"` (of two, the
            second being the positive one), `"macro_f1"` and `"matthews"`; for
            values `"pearson"` and `"spearman"`; or the mean of two, such as
            `"pearson_spearman"` and `"accuracy_f1"`. Defaults to `None`:
            accuracy, macro F1 and Matthews correlation (and F1 of two
            classes), or both correlations and their mean.
        label_names: list of the classes, in order. Defaults to `None`, for
            values.

    Returns:
        A dict from metric to float. Correlations of constant labels or
        predictions are 0.

    Raises:
        ValueError: if a metric is unknown or of the other kind, a label is
            empty (not known) or not in `label_names`, or labels and
            predictions differ in number.
        ImportError: if the extra `metrics` is not installed.

    Examples:

    >>> from unilmv2_tf.evaluation import score_labels
    >>> score_labels(["a", "b"], ["a", "a"], ["accuracy"], ["a", "b"])
    {'accuracy': 0.5}
    >>> scores = score_labels([1.0, 2.0, 3.0], [2.0, 3.0, 5.0])
    >>> {name: round(score, 2) for name, score in scores.items()}
    {'pearson': 0.98, 'spearman': 1.0, 'pearson_spearman': 0.99}
    """
    if label_names is None:
        labels, predictions = _check_values(labels, predictions)
        known = _value_metrics()
        default = ["pearson", "spearman", "pearson_spearman"]
    else:
        labels, predictions = _check_classes(labels, predictions, label_names)
        known = _class_metrics(label_names)
        default = ["accuracy", "macro_f1", "matthews"]
        if len(label_names) == 2:
            default.append("f1")
    scores = {}
    for metric in default if metrics is None else metrics:
        parts = [known[part] for part in _parts(metric, known)]
        values = [part(labels, predictions) for part in parts]
        scores[metric] = float(np.mean(values))
    return scores


def confusion_matrix(labels, predictions, label_names: list[str]) -> np.ndarray:
    """Counts how often each class was predicted as each class.

    Args:
        labels: list or array of strings, the true classes.
        predictions: as many strings.
        label_names: list of the classes, in the order of rows and columns.

    Returns:
        An int array of shape `(classes, classes)`: rows are true classes,
        columns predicted ones.

    Raises:
        ValueError: see `score_labels`.

    Example:

    >>> from unilmv2_tf.evaluation import confusion_matrix
    >>> confusion_matrix(["a", "b", "b"], ["a", "a", "b"], ["a", "b"])
    array([[1, 0],
           [1, 1]])
    """
    labels, predictions = _check_classes(labels, predictions, label_names)
    sklearn = optional_import("sklearn.metrics", "metrics")
    return sklearn.confusion_matrix(
        labels, predictions, labels=list(label_names)
    )


def _class_metrics(label_names):
    sklearn = optional_import("sklearn.metrics", "metrics")

    def mean_f1(labels, predictions, names):
        return sklearn.f1_score(
            labels, predictions, labels=names, average="macro", zero_division=0
        )

    def f1(labels, predictions):
        if len(label_names) != 2:
            raise ValueError(
                "`f1` is a metric of two classes, the second being the "
                "positive one; use macro_f1 for more. Received: label_names="
                f"{list(label_names)}"
            )
        return mean_f1(labels, predictions, [label_names[1]])

    def macro_f1(labels, predictions):
        occurring = {*labels, *predictions}
        names = [name for name in label_names if name in occurring]
        return mean_f1(labels, predictions, names)

    def matthews(labels, predictions):
        # scikit-learn warns where there is one class only.
        if len({*labels, *predictions}) == 1:
            return 0.0
        return sklearn.matthews_corrcoef(labels, predictions)

    return {
        "accuracy": sklearn.accuracy_score,
        "f1": f1,
        "macro_f1": macro_f1,
        "matthews": matthews,
    }


def _value_metrics():
    stats = optional_import("scipy.stats", "metrics")

    def correlation(function):
        def correlate(labels, predictions):
            # SciPy does not define it for constants.
            if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
                return 0.0
            return function(labels, predictions).statistic

        return correlate

    return {
        "pearson": correlation(stats.pearsonr),
        "spearman": correlation(stats.spearmanr),
    }


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


def _check_classes(labels, predictions, label_names):
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
    labels, predictions = arrays
    if "" in labels:
        raise ValueError(
            "`labels` must be known. Received: '', which stands for a label "
            "that a benchmark does not publish"
        )
    unknown = {*labels, *predictions} - {*label_names}
    if unknown:
        raise ValueError(
            "`label_names` must hold all classes. Received: label_names="
            f"{list(label_names)}, without {sorted(unknown)[:5]}"
        )
    return labels, predictions


def _check_values(labels, predictions):
    labels, predictions = (
        np.asarray(values, "float64") for values in (labels, predictions)
    )
    _check_lengths(labels, predictions, least=2)
    for name, values in (("labels", labels), ("predictions", predictions)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"`{name}` must be finite numbers. Received: "
                f"{np.sum(~np.isfinite(values))} that are not"
            )
    return labels, predictions
