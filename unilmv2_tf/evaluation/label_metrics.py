"""Scores of predicted labels and values, by scikit-learn and SciPy."""

import itertools

import numpy as np

from unilmv2_tf.optional_imports import optional_import


def score_labels(
    labels,
    predictions,
    metrics: list[str] | None = None,
    label_names: list[str] | None = None,
) -> dict[str, float]:
    """Scores predicted classes, sets of classes or values.

    Args:
        labels: list or array of strings, the true classes; of lists of
            strings, the true classes of a text that may have any number; or of
            floats, the true values.
        predictions: as many strings, lists or floats.
        metrics: list of names. For classes `"accuracy"`, `"f1"` (of two, the
            second being the positive one), `"macro_f1"` and `"matthews"`; for
            lists of classes `"micro_f1"`, `"macro_f1"` and `"exact_match"`
            (the share of texts with all classes right); for values
            `"pearson"` and `"spearman"`; or the mean of two, such as
            `"pearson_spearman"` and `"accuracy_f1"`. Defaults to `None`: all
            of the kind, F1 of two classes only; for values both correlations
            and their mean.
        label_names: list of the classes, in order. Defaults to `None`, for
            values.

    Returns:
        A dict from metric to float. Correlations of constant labels or
        predictions are 0. Classes that do not occur do not count in the macro
        F1.

    Raises:
        ValueError: if a metric is unknown or of another kind, a label is
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
    >>> score_labels(
    ...     [["a", "b"], []], [["a"], []], ["exact_match"], ["a", "b"])
    {'exact_match': 0.5}
    """
    if label_names is None:
        labels, predictions = _check_values(labels, predictions)
        known = _value_metrics()
        default = ["pearson", "spearman", "pearson_spearman"]
    else:
        labels, predictions = _check_classes(labels, predictions, label_names)
        if isinstance(labels[0], list):
            known = default = _multi_label_metrics(label_names)
        else:
            known = _class_metrics(label_names)
            default = [x for x in known if x != "f1" or len(label_names) == 2]
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
        "macro_f1": macro_f1,
        "matthews": matthews,
        "f1": f1,
    }


def _multi_label_metrics(label_names):
    sklearn = optional_import("sklearn.metrics", "metrics")

    def indicators(rows):
        return np.array([[name in x for name in label_names] for x in rows])

    def f1(average):
        def score(labels, predictions):
            labels, predictions = indicators(labels), indicators(predictions)
            occurring = (labels | predictions).any(axis=0)
            # Without any class all texts are right.
            return not occurring.any() or sklearn.f1_score(
                labels[:, occurring], predictions[:, occurring], average=average
            )

        return score

    def exact_match(labels, predictions):
        return np.mean([set(x) == set(y) for x, y in zip(labels, predictions)])

    return {
        "micro_f1": f1("micro"),
        "macro_f1": f1("macro"),
        "exact_match": exact_match,
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
    kind = "lists of classes" if "micro_f1" in known else kind
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
    """Classes as an array of strings, or as lists of them."""
    checked = []
    for name, values in (("labels", labels), ("predictions", predictions)):
        values = [
            list(x) if isinstance(x, (tuple, np.ndarray)) else x for x in values
        ]
        is_multi = bool(values) and isinstance(values[0], list)
        for value in itertools.chain(*values) if is_multi else values:
            if not isinstance(value, str):
                raise ValueError(
                    f"`{name}` must hold strings, the names of classes (decode "
                    f"bytes first). Received: {value!r}"
                )
            if not value:
                raise ValueError(
                    f"`{name}` must be known. Received: '', which stands for "
                    "a label that a benchmark does not publish"
                )
            if value not in label_names:
                raise ValueError(
                    "`label_names` must hold all classes. Received: "
                    f"label_names={list(label_names)}, without {value!r}"
                )
        checked.append(values if is_multi else np.array(values, object))
    _check_lengths(*checked, least=1)
    return checked


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
