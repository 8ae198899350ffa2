"""Whether two batches of outputs are the same.

This file is imported in processes without this package, too.
"""

import numpy as np


def differences(actual, expected, tolerance=1e-5):
    """Compares the outputs of a signature with those that are expected.

    Rows may be padded to different widths: what one has and the other has not
    must be blank, which is 0 or an empty string. Integers and strings must be
    equal; floats may differ by the tolerance, or by that share of them.

    Args:
        actual: dict of arrays with the batch on their first axis; strings as
            bytes.
        expected: dict of arrays.
        tolerance: float. Defaults to `1e-5`.

    Returns:
        A tuple of the set of rows that differ and the largest difference of a
        float, not counting shares.

    Raises:
        ValueError: if there are other outputs, or other numbers of rows.

    Example:

    >>> import numpy as np
    >>> differences(
    ...     {"x": np.array([[1, 2], [3, 0]])}, {"x": np.array([[1], [3]])})
    ({0}, 0.0)
    """
    if set(actual) != set(expected):
        raise ValueError(
            f"The outputs are {sorted(actual)}, expected were "
            f"{sorted(expected)}."
        )
    rows, largest = set(), 0.0
    for name in sorted(expected):
        mine, other = _same_shape(actual[name], expected[name])
        if mine.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                gap = np.abs(mine - other)
            is_wrong = ~(gap <= tolerance * np.maximum(1.0, np.abs(other)))
            if gap.size:
                largest = max(largest, float(np.max(gap)))
        else:
            is_wrong = mine != other
        axes = tuple(range(1, is_wrong.ndim))
        rows |= set(np.flatnonzero(is_wrong.any(axis=axes)).tolist())
    return rows, largest


def _same_shape(first, second):
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != second.ndim or len(first) != len(second):
        raise ValueError(
            f"The shape of an output is {first.shape}, expected was "
            f"{second.shape}."
        )
    shape = tuple(np.maximum(first.shape, second.shape))
    is_text = object in (first.dtype, second.dtype)
    blank = b"" if is_text else 0
    padded = []
    for values in (first, second):
        whole = np.full(shape, blank, object if is_text else values.dtype)
        whole[tuple(slice(size) for size in values.shape)] = values
        padded.append(whole)
    return padded
