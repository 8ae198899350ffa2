"""Names, numbers and labels of classes, checked before they are used."""

import keras
import numpy as np

from unilmv2_tf.preprocessing.text_classifier_preprocessor import (
    check_label_names,
)


def agreed_names(label_names, preprocessor):
    """The names of the classes of a task and its preprocessor.

    Args:
        label_names: list of strings, or `None`.
        preprocessor: a preprocessor, which may have `label_names`, or `None`.

    Returns:
        A tuple of strings, or `None` if neither has names.

    Raises:
        ValueError: if both have names, but not the same.

    Example:

    >>> from unilmv2_tf.models.class_labels import agreed_names
    >>> agreed_names(["no", "yes"], preprocessor=None)
    ('no', 'yes')
    """
    names = check_label_names(label_names)
    others = check_label_names(getattr(preprocessor, "label_names", None))
    if names and others and names != others:
        raise ValueError(
            "`label_names` must be those of the preprocessor. Received: "
            f"label_names={label_names}, preprocessor.label_names="
            f"{list(others)}. Give them to one of both."
        )
    return names or others


def checked_number(num_classes, label_names):
    """The number of classes of a task.

    Args:
        num_classes: int, 1 for regression, or `None`: as many as names.
        label_names: tuple of strings, or `None`.

    Returns:
        An int.

    Raises:
        ValueError: if it is unknown, or another number than that of names.

    Example:

    >>> from unilmv2_tf.models.class_labels import checked_number
    >>> checked_number(None, ("no", "yes"))
    2
    """
    if num_classes is None and label_names:
        return len(label_names)
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(
            "`num_classes` must be a positive integer, 1 for regression, "
            "unless there are `label_names`. Received: "
            f"num_classes={num_classes}"
        )
    if label_names and len(label_names) != num_classes:
        raise ValueError(
            "`num_classes` must be the number of `label_names`. Received: "
            f"num_classes={num_classes}, label_names={list(label_names)}. A "
            "preset with another number of classes is loaded with both "
            "`num_classes` and `label_names`; a regression has no names."
        )
    return num_classes


def check_labels(y, num_classes, preprocessor=None):
    """Checks labels that lie in memory.

    Args:
        y: array, list or tensor: names or ids of classes, values for
            regression, or probabilities of classes.
        num_classes: int, 1 for regression.
        preprocessor: what knows the names. Defaults to `None`.

    Raises:
        ValueError: if labels are NaN or infinite, or there are no such
            classes.

    Example:

    >>> from unilmv2_tf.models.class_labels import check_labels
    >>> check_labels([0.5, float("nan")], num_classes=1)
    Traceback (most recent call last):
    ValueError: `y` must not hold NaN or infinite labels. ... y[1]=nan, ...
    """
    is_tensor = keras.ops.is_tensor(y)
    labels = np.asarray(keras.ops.convert_to_numpy(y) if is_tensor else y)
    if labels.dtype.kind in "USO":
        if hasattr(preprocessor, "label_ids"):
            preprocessor.label_ids(y)
        return
    is_wrong = ~np.isfinite(labels)
    rule = "must not hold NaN or infinite labels"
    is_id = num_classes > 1 and (labels.ndim == 1 or labels.shape[-1] == 1)
    if is_id and not is_wrong.any():
        is_wrong = (labels < 0) | (labels >= num_classes)
        rule = f"must hold ids in [0, {num_classes})"
    if is_wrong.any():
        first = tuple(np.argwhere(is_wrong)[0])
        raise ValueError(
            f"`y` {rule}. Received: y[{first[0]}]={labels[first]}, "
            f"{is_wrong.sum()} such labels in all. Remove or mend these "
            "examples."
        )


def weights_by_id(class_weight, label_names):
    """Class weights as Keras takes them.

    Args:
        class_weight: dict from names or ids of classes to floats.
        label_names: list of strings, or `None`.

    Returns:
        A dict from ids to floats.

    Raises:
        ValueError: if there is no class of a name.

    Example:

    >>> from unilmv2_tf.models.class_labels import weights_by_id
    >>> weights_by_id({"no": 1.0, "yes": 3.0}, ["no", "yes"])
    {0: 1.0, 1: 3.0}
    """
    ids = {name: index for index, name in enumerate(label_names or ())}
    for key in class_weight:
        if isinstance(key, str) and key not in ids:
            raise ValueError(
                "`class_weight` must have ids or names of classes as keys. "
                f"Received: {key}. The names are: {', '.join(ids) or 'none'}."
            )
    return {ids.get(key, key): value for key, value in class_weight.items()}
