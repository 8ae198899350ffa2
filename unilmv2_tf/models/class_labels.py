"""The classes of a classifier and the labels of its examples, checked."""

import numpy as np
from keras import ops

from unilmv2_tf.preprocessing.text_classifier_preprocessor import (
    check_label_names,
)


def merge_names(label_names, preprocessor):
    """The names of the classes of a task and its preprocessor, as a tuple."""
    names = check_label_names(label_names)
    others = check_label_names(getattr(preprocessor, "label_names", None))
    if names and others and names != others:
        raise ValueError(
            "`label_names` must be those of the preprocessor. Received: "
            f"label_names={label_names}, preprocessor.label_names="
            f"{list(others)}. Pass them to one of both only."
        )
    return names or others


def check_num_classes(num_classes, label_names):
    """The number of classes, which is that of their names."""
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


def check_labels(y, num_classes, preprocessor):
    """Checks the names, ids or values of an array of labels."""
    labels = _as_array(y)
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
            f"{is_wrong.sum()} such labels in all. Remove or correct these "
            "examples."
        )


def multi_hot_labels(y, label_names, num_classes):
    """Lists of names as a float32 array of 0 and 1; such arrays are checked."""
    rows = [] if ops.is_tensor(y) else [np.ravel(row).tolist() for row in y]
    first = next((value for row in rows for value in row), "")
    if rows and isinstance(first, str):
        ids = {name: index for index, name in enumerate(label_names or ())}
        labels = np.zeros((len(rows), num_classes), "float32")
        for index, (given, row) in enumerate(zip(y, rows)):
            if isinstance(given, str) or not set(row) <= set(ids):
                raise ValueError(
                    "`y` must hold a list of names for each text with "
                    f"`multi_label`. Received: y[{index}]={given!r}. The "
                    f"names are: {', '.join(ids) or 'none'}."
                )
            labels[index, [ids[name] for name in row]] = 1
        return labels
    labels = _as_array(y)
    has_shape = labels.ndim == 2 and labels.shape[1] == num_classes
    if not has_shape or not ((labels >= 0) & (labels <= 1)).all():
        raise ValueError(
            "`y` must hold 0 and 1 for each text and class with `multi_label`, "
            f"shape (n, {num_classes}), or a list of names for each text. "
            f"Received: shape {labels.shape}"
            f"{', with values outside of [0, 1]' if has_shape else ''}"
        )
    return labels.astype("float32")


def weights_by_id(class_weight, label_names, multi_label):
    """Class weights with ids as keys, as Keras takes them."""
    if multi_label:
        # Keras would take the first largest entry for the class.
        raise ValueError(
            "`class_weight` must be left out with `multi_label`. Received: "
            f"class_weight={class_weight}. Pass `sample_weight`, or a weighted "
            "loss to `compile`."
        )
    ids = {name: index for index, name in enumerate(label_names or ())}
    for key in class_weight:
        if isinstance(key, str) and key not in ids:
            raise ValueError(
                "`class_weight` must have ids or names of classes as keys. "
                f"Received: {key}. The names are: {', '.join(ids) or 'none'}."
            )
    return {ids.get(key, key): value for key, value in class_weight.items()}


def _as_array(y):
    return np.asarray(ops.convert_to_numpy(y) if ops.is_tensor(y) else y)
