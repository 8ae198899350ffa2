"""Runs a SavedModel as a server would, without the code that made it.

`export_check.py` runs this file by its path, in a process where this package,
Keras and KerasHub cannot be imported. It reads the arguments of `check` from
standard input and writes what that returns to standard output, both JSON.
"""

import collections
import json
import os
import sys
import time
import types

import numpy as np

LIVE_ANSWERS = os.path.join("assets.extra", "live_answers.npz")
_FORBIDDEN = ("unilmv2_tf", "keras", "keras_hub", "keras_nlp", "tf_keras")
_LEAST_CALLS, _MOST_CALLS = 3, 100


def check(folder, batch_sizes, seconds):
    """Runs every signature; returns what was found, a dict for JSON."""
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    operations, xla_marks = graph_operations(folder)
    from_text = [x for x in operations if op_def_registry.get(x) is None]
    if from_text:
        import tensorflow_text  # noqa: F401
    start = time.monotonic()
    model = tf.saved_model.load(folder)
    load_seconds = time.monotonic() - start
    live = load_answers(os.path.join(folder, LIVE_ANSWERS))
    found = {
        name: check_signature(
            model.signatures[name], **parts, batch_sizes=batch_sizes,
            seconds=seconds,
        )
        for name, parts in live.items()
    }  # fmt: skip
    return {
        "tensorflow": tf.__version__,
        "operations": operations,
        "from_tensorflow_text": from_text,
        "xla_marks": xla_marks,
        "load_seconds": load_seconds,
        "signatures": found,
    }


def check_signature(signature, inputs, outputs, notes, batch_sizes, seconds):
    """Compares a signature with the live model and measures its latency.

    `outputs` are those of the live model in a batch of the last size, empty if
    there is nothing to compare with. Each batch size is timed for `seconds`,
    `None` for not at all. Returns a dict for JSON.
    """
    labels = [label.decode() for label in notes["labels"]]
    num_rows = len(labels)
    failures, wrong, largest = [], set(), 0.0
    for size in batch_sizes:
        for start in range(0, num_rows, size):
            rows = np.arange(start, start + size) % num_rows
            try:
                actual = _call(signature, inputs, rows)
                expected = {name: x[rows] for name, x in outputs.items()}
                different, gap = differences(
                    actual if outputs else {},
                    expected,
                    notes["tolerance"],
                    # Rows of another width round differently, and beams of
                    # equal scores may change places.
                    ties_count=size == batch_sizes[-1],
                )
            except Exception as error:
                names = ", ".join(dict.fromkeys(labels[row] for row in rows))
                failures.append(f"fails with {_reason(error)!r} at {names}")
                continue
            wrong |= {int(rows[row]) for row in different}
            largest = max(largest, gap)
    # What fails already says nothing about padding or speed.
    milliseconds = {}
    if not failures:
        failures += _check_edges(signature, inputs, notes, bool(outputs))
        if seconds is not None:
            milliseconds = {
                str(size): _time(
                    signature,
                    inputs,
                    np.arange(size) % notes["num_plain"],
                    seconds,
                )
                for size in batch_sizes
            }
    if len(wrong) > notes["rows_that_may_differ"] * num_rows:
        failures.append(
            f"{len(wrong)} of {num_rows} inputs are answered differently: "
            + ", ".join(labels[row] for row in sorted(wrong))
        )
    return {
        "is_compared": bool(outputs),
        "num_inputs": num_rows,
        "num_different": len(wrong),
        "largest_difference": largest,
        "failures": failures,
        "milliseconds": milliseconds,
    }


def _call(signature, inputs, rows=slice(None)):
    import tensorflow as tf

    specs = signature.structured_input_signature[1]
    tensors = {
        name: tf.constant(
            values[rows].tolist(), specs[name].dtype, values[rows].shape
        )
        for name, values in inputs.items()
    }
    outputs = signature(**tensors)
    return {name: values.numpy() for name, values in outputs.items()}


def _check_edges(signature, inputs, notes, is_compared):
    """Runs no rows, and rows of integers that a server has padded."""
    try:
        if any(len(x) for x in _call(signature, inputs, []).values()):
            return ["has outputs for no rows"]
    except Exception as error:
        return [f"fails on no rows with {_reason(error)!r}"]
    masks = [values for name, values in inputs.items() if "mask" in name]
    if not masks or not is_compared:
        return []
    # A server repeats the first element of each tensor. Zeros make rows of the
    # same width, which round alike.
    used = (masks[0] > 0).sum(axis=1)
    rows = np.argsort(used, kind="stable")[:2]
    width = max(1, min(used[rows].max(), masks[0].shape[1] - 2))
    plain, padded = (
        {
            name: np.pad(
                x[rows, :width],
                [[0, 0], [0, 2]],
                constant_values=is_first * x[rows[0], 0],
            )
            for name, x in inputs.items()
        }
        for is_first in (0, 1)
    )
    try:
        expected, actual = _call(signature, plain), _call(signature, padded)
        if differences(actual, expected, notes["tolerance"])[0]:
            return ["answers rows differently that a server has padded"]
    except Exception as error:
        return [f"fails on padding with {_reason(error)!r}"]
    return []


def _time(signature, inputs, rows, seconds):
    taken, end = [], time.monotonic() + seconds
    while len(taken) < _LEAST_CALLS or (
        time.monotonic() < end and len(taken) < _MOST_CALLS
    ):
        start = time.perf_counter()
        _call(signature, inputs, rows)
        taken.append(1000 * (time.perf_counter() - start))
    p50, p95 = np.percentile(taken, [50, 95]).tolist()
    return {"p50": p50, "p95": p95, "calls": len(taken)}


def _reason(error):
    """The line of an error that says what is wrong, not where."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    where = ("Graph execution error", "Detected at", "<stack", " ", "(", "Node")
    reasons = [line for line in lines if not line.startswith(where)]
    return (reasons or lines or [type(error).__name__])[0]


def graph_operations(folder):
    """The operations of a SavedModel, and what in it asks for XLA."""
    from tensorflow.core.protobuf import saved_model_pb2

    with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    graph = saved.meta_graphs[0].graph_def
    functions = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node]
    names = []
    for function in graph.library.function:
        nodes += function.node_def
        names += function.attr
    for node in nodes:
        names += [*node.attr, node.op]
    operations = {node.op for node in nodes} - functions
    return sorted(operations), sorted({name for name in names if "Xla" in name})


def differences(actual, expected, tolerance=1e-5, ties_count=True):
    """Compares outputs: returns the rows that differ, and the largest gap.

    Rows are padded with 0 or `b""` to one width. Floats may differ by the
    tolerance, or by that share of them. Without `ties_count` integers and
    strings may differ where all floats agree.

    >>> differences(
    ...     {"x": np.array([[1, 2], [3, 0]])}, {"x": np.array([[1], [3]])})
    ({0}, 0.0)
    """
    if set(actual) != set(expected):
        raise ValueError(
            f"The outputs are {sorted(actual)}, expected were "
            f"{sorted(expected)}."
        )
    has_floats = any(x.dtype.kind == "f" for x in expected.values())
    rows, largest = set(), 0.0
    for name, other in expected.items():
        mine = actual[name]
        if mine.ndim != other.ndim or len(mine) != len(other):
            raise ValueError(
                f"The shape of `{name}` is {mine.shape}, expected was "
                f"{other.shape}."
            )
        is_float = mine.dtype.kind == "f"
        if has_floats and not is_float and not ties_count:
            continue
        shape = np.maximum(mine.shape, other.shape)
        blank = b"" if mine.dtype == object else 0
        mine, other = (
            np.pad(x, [(0, n) for n in shape - x.shape], constant_values=blank)
            for x in (mine, other)
        )
        is_wrong = mine != other
        if is_float:
            with np.errstate(invalid="ignore"):
                gap = np.abs(mine - other)
            is_wrong = ~(gap <= tolerance * np.maximum(1.0, np.abs(other)))
            largest = max(largest, float(np.max(gap, initial=0.0)))
        axes = tuple(range(1, is_wrong.ndim))
        rows |= set(np.flatnonzero(is_wrong.any(axis=axes)).tolist())
    return rows, largest


def save_answers(path, signatures):
    """Stores `inputs`, `outputs` and `notes` of signatures, dicts of arrays.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.npz")
    >>> save_answers(path, {"x": {"inputs": {"text": [b"a\\0", b"\\xff"]}}})
    >>> load_answers(path)["x"]["inputs"]
    {'text': array([b'a\\x00', b'\\xff'], dtype=object)}
    """
    import tensorflow as tf

    stored = {
        # NumPy's own strings lose NULs at their ends.
        f"{name}/{part}/{key}": tf.make_tensor_proto(x).SerializeToString()
        for name, parts in signatures.items()
        for part, tensors in parts.items()
        for key, x in tensors.items()
    }
    np.savez_compressed(
        path,
        **{key: np.frombuffer(data, "uint8") for key, data in stored.items()},
    )


def load_answers(path):
    """Reads what `save_answers` wrote; strings are object arrays of bytes."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    signatures = collections.defaultdict(
        lambda: {"inputs": {}, "outputs": {}, "notes": {}}
    )
    with np.load(path) as file:
        for stored in file.files:
            name, part, key = stored.split("/")
            proto = tensor_pb2.TensorProto.FromString(file[stored].tobytes())
            signatures[name][part][key] = tf.make_ndarray(proto)
    return signatures


def main():
    # Every import of this package and of Keras fails.
    sys.modules.update(dict.fromkeys(_FORBIDDEN))
    # TensorFlow Text is imported without its Keras layers.
    layers = "tensorflow_text.python.keras"
    sys.modules[layers] = types.ModuleType(layers)
    # Libraries may print: that must not end up in the answer.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(check(**json.load(sys.stdin)), output)
    output.close()


if __name__ == "__main__":
    main()
