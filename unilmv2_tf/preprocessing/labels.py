"""Names of classes and their ids."""

from unilmv2_tf.preprocessing.libraries import tf

_SHOWN = 20


def check_label_names(label_names):
    """Checks the names of classes.

    Args:
        label_names: list of strings, in the order of their ids, or `None`.

    Returns:
        A tuple of strings, or `None`.

    Raises:
        ValueError: if they are not different strings, at least two.

    Example:

    >>> from unilmv2_tf.preprocessing.labels import check_label_names
    >>> check_label_names(["bad", "good"])
    ('bad', 'good')
    """
    if label_names is None:
        return None
    names = () if isinstance(label_names, str) else tuple(label_names)
    if (
        len(set(names)) < 2
        or len(set(names)) < len(names)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(
            "`label_names` must be at least two different strings, in the "
            f"order of their ids. Received: label_names={label_names}. For "
            "regression leave it out."
        )
    return names


def label_ids(labels, label_names):
    """Turns names of classes into ids, in a graph or eagerly.

    Args:
        labels: string tensor of any shape.
        label_names: tuple of strings, in the order of their ids.

    Returns:
        An int32 tensor of the same shape.

    Raises:
        ValueError: if a label is none of the names. Inside a graph
            `tf.errors.InvalidArgumentError` says the same.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing.labels import label_ids
    >>> label_ids(tf.constant(["good", "bad"]), ("bad", "good")).numpy()
    array([1, 0], dtype=int32)
    """
    # A lookup table would have a state, which graphs and exports must track.
    is_label = labels[..., tf.newaxis] == tf.constant(label_names)
    is_known = tf.reduce_any(is_label, axis=-1)
    # One label is a scalar, which has no mask.
    unknown = tf.reshape(labels, [-1])[~tf.reshape(is_known, [-1])]
    before = "`y` must hold names of classes. Received: y="
    shown = ", ".join(label_names[:_SHOWN])
    if len(label_names) > _SHOWN:
        shown += f", ... ({len(label_names)} in all)"
    after = f". The names are: {shown}."
    if tf.executing_eagerly():
        if len(unknown):
            label = unknown[0].numpy().decode(errors="replace")
            raise ValueError(before + label + after)
        return tf.argmax(is_label, axis=-1, output_type=tf.int32)
    first = tf.strings.reduce_join(unknown[:1])
    check = tf.debugging.Assert(
        tf.reduce_all(is_known), [tf.strings.join([before, first, after])]
    )
    with tf.control_dependencies([check]):
        return tf.argmax(is_label, axis=-1, output_type=tf.int32)
