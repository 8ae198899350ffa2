"""Position tables for longer and for shorter inputs."""

import keras
import numpy as np

from unilmv2_tf.models import UniLMv2Backbone

METHODS = ("cyclic", "interpolate")


def resize_positions(table, num_positions, method="cyclic"):
    """Enlarges or cuts a position table.

    Args:
        table: float array of shape `(positions, hidden)`.
        num_positions: int. The number of positions of the result. Fewer than
            there are: the first ones stay as they are.
        method: string. How positions are added: `"cyclic"` starts again with
            the first row after the last, as the authors do it, and leaves all
            rows there are as they are; `"interpolate"` stretches the table
            linearly, so that first and last row stay the same. Defaults to
            `"cyclic"`.

    Returns:
        An array of shape `(num_positions, hidden)` of the same dtype.

    Raises:
        ValueError: if `num_positions` is not positive, or there is no such
            method.

    Example:

    >>> table = np.array([[0.0], [1.0], [2.0]])
    >>> resize_positions(table, 5)[:, 0].tolist()
    [0.0, 1.0, 2.0, 0.0, 1.0]
    >>> resize_positions(table, 5, "interpolate")[:, 0].tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    >>> resize_positions(table, 2)[:, 0].tolist()
    [0.0, 1.0]

    Reference:
        s2s-ft, its reuse of position embeddings.
    """
    check_positions(num_positions, method)
    table = np.asarray(table)
    old = len(table)
    if num_positions <= old:
        return table[:num_positions]
    if method == "cyclic":
        return table[np.arange(num_positions) % old]
    places = np.linspace(0, old - 1, num_positions)
    below = np.minimum(places.astype("int64"), max(old - 2, 0))
    above = np.minimum(below + 1, old - 1)
    share = (places - below)[:, None]
    stretched = (1 - share) * table[below] + share * table[above]
    return stretched.astype(table.dtype)


def check_positions(num_positions, method):
    """Checks the arguments of `resize_positions`.

    Args:
        num_positions: int.
        method: string.

    Raises:
        ValueError: see `resize_positions`.
    """
    if not isinstance(num_positions, int) or num_positions < 1:
        raise ValueError(
            "The number of positions must be a positive integer. Received: "
            f"{num_positions!r}"
        )
    if method not in METHODS:
        raise ValueError(
            f"Positions are added by one of {', '.join(METHODS)}. Received: "
            f"{method!r}"
        )


def with_positions(model, num_positions, method="cyclic"):
    """Copies a model, with more or fewer positions.

    Args:
        model: a `UniLMv2Backbone` or a UniLMv2 task. It stays as it is.
        num_positions: int, see `resize_positions`.
        method: string, see `resize_positions`. Defaults to `"cyclic"`.

    Returns:
        A model of the same class, not compiled otherwise than by default.

    Raises:
        ValueError: see `resize_positions`.

    Example:

    >>> from unilmv2_tf import UniLMv2Backbone
    >>> tiny = UniLMv2Backbone.from_preset("unilmv2_tiny", load_weights=False)
    >>> with_positions(tiny, 600).max_sequence_length
    600
    """
    is_task = not isinstance(model, UniLMv2Backbone)
    old_backbone = model.backbone if is_task else model
    table = keras.ops.convert_to_numpy(
        old_backbone.embeddings.position_embedding.embeddings
    )
    table = resize_positions(table, num_positions, method)
    config = old_backbone.get_config()
    config["max_sequence_length"] = num_positions
    backbone = type(old_backbone).from_config(config)
    resized = backbone
    if is_task:
        config = {**model.get_config(), "backbone": backbone}
        config["preprocessor"] = model.preprocessor
        resized = type(model).from_config(config)
    new_table = backbone.embeddings.position_embedding.embeddings
    for old, new in zip(model.weights, resized.weights, strict=True):
        new.assign(table if new is new_table else old)
    return resized
