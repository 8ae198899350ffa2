"""Runs a SavedModel as a server would, without the code that made it.

`export_check.py` runs this file by its path, in a process where this package,
Keras and KerasHub cannot be imported. It reads `{"function": "check" or "ask",
...}` from standard input and writes what the function returns to standard
output, both JSON. The package imports the functions that both sides need.
"""

import itertools
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
        import_text_ops()
    start = time.monotonic()
    model = tf.saved_model.load(folder)
    load_seconds = time.monotonic() - start
    live = load_answers(os.path.join(folder, LIVE_ANSWERS))
    found = {
        name: check_signature(
            model.signatures[name], *parts, batch_sizes, seconds
        )
        for name, parts in live.items()
    }
    # The first signature under a second name: one batch size is enough.
    default = model.signatures.get("serving_default")
    if default is not None:
        first = next(iter(live.values()))
        found["serving_default"] = check_signature(
            default, *first, batch_sizes[-1:], None
        )
    return {
        "tensorflow": tf.__version__,
        "operations": operations,
        "from_tensorflow_text": from_text,
        "xla_marks": xla_marks,
        "load_seconds": load_seconds,
        "signatures": found,
    }


def ask(folder, texts, batch_size):
    """Generates from texts; returns pairs of a text and its score."""
    import tensorflow as tf

    import_text_ops()
    generate = tf.saved_model.load(folder).signatures["serving_default"]
    inputs = sorted(generate.structured_input_signature[1])
    outputs = sorted(generate.structured_outputs)
    if inputs != ["text"] or outputs != ["generated_text", "score"]:
        raise ValueError(
            "The SavedModel must generate text from `text`. Its "
            f"serving_default takes {inputs} and returns {outputs}. Export a "
            "UniLMv2Seq2SeqLM with `text_signatures=True`."
        )
    answers = []
    for start in range(0, len(texts), batch_size):
        outputs = generate(text=tf.constant(texts[start : start + batch_size]))
        answers += zip(
            [text.decode() for text in outputs["generated_text"].numpy()],
            outputs["score"].numpy().tolist(),
        )
    return answers


def check_signature(signature, inputs, expected, notes, batch_sizes, seconds):
    """Compares a signature with the live model and takes the time.

    `expected` is empty if there is nothing to compare with; `seconds` is how
    long each batch size is timed, `None` for not. Returns a dict for JSON.
    """
    num_rows = len(next(iter(inputs.values())))
    labels = notes.get("labels") or list(map(str, range(num_rows)))
    failures, wrong, largest = [], set(), 0.0
    for size in batch_sizes:
        for start in range(0, num_rows, size):
            rows = [row % num_rows for row in range(start, start + size)]
            try:
                outputs = _call(signature, inputs, rows)
                different, gap = differences(
                    outputs if expected else {},
                    {name: values[rows] for name, values in expected.items()},
                    notes["tolerance"],
                )
            except Exception as error:
                names = ", ".join(dict.fromkeys(labels[row] for row in rows))
                failures.append(f"fails with {_reason(error)!r} at {names}")
                continue
            wrong |= {rows[row] for row in different}
            largest = max(largest, gap)
    # What fails already tells nothing about padding, and has no time.
    milliseconds = {}
    if not failures:
        is_text = next(iter(inputs.values())).dtype == object
        failures += _check_no_rows(signature, inputs)
        if not is_text and expected:
            failures += _check_server_padding(signature, inputs, notes)
        if seconds is not None:
            plain = range(notes.get("num_plain", num_rows))
            milliseconds = {
                str(size): _time(signature, inputs, plain, size, seconds)
                for size in batch_sizes
            }
    if len(wrong) > notes["rows_that_may_differ"] * num_rows:
        failures.append(
            f"{len(wrong)} of {num_rows} inputs are answered differently: "
            + ", ".join(labels[row] for row in sorted(wrong))
        )
    return {
        "is_compared": bool(expected),
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


def _check_no_rows(signature, inputs):
    try:
        outputs = _call(signature, inputs, [])
    except Exception as error:
        return [f"fails on no rows with {_reason(error)!r}"]
    if any(len(values) for values in outputs.values()):
        return ["has outputs for no rows"]
    return []


def _check_server_padding(signature, inputs, notes):
    """Compares rows with the same rows padded by a server.

    It repeats the first element of each tensor.
    """
    mask = next(values for name, values in inputs.items() if "mask" in name)
    used = (mask > 0).sum(axis=1)
    rows = np.argsort(used, kind="stable")[:2]
    width = max(1, min(used[rows].max(), mask.shape[1] - 2))
    plain = {name: values[rows, :width] for name, values in inputs.items()}
    padded = {
        name: np.pad(x, [[0, 0], [0, 2]], constant_values=x[0, 0])
        for name, x in plain.items()
    }
    try:
        expected = _call(signature, plain)
        actual = {
            name: x[:, : expected[name].shape[1]] if x.ndim > 1 else x
            for name, x in _call(signature, padded).items()
        }
        tolerance = max(notes["tolerance"], 1e-4)
        if differences(actual, expected, tolerance)[0]:
            return ["answers rows differently that a server has padded"]
    except Exception as error:
        return [f"fails on padding with {_reason(error)!r}"]
    return []


def _time(signature, inputs, plain, batch_size, seconds):
    rows = list(itertools.islice(itertools.cycle(plain), batch_size))
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


def differences(actual, expected, tolerance=1e-5):
    """Compares two dicts of outputs, strings as bytes.

    Rows may be padded to different widths with 0 or empty strings. Integers and
    strings must be equal; floats may differ by the tolerance, or by that share
    of them. Returns the rows that differ and the largest difference of a float.

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
    for name in expected:
        mine, other = _same_shape(actual[name], expected[name])
        if mine.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                gap = np.abs(mine - other)
            is_wrong = ~(gap <= tolerance * np.maximum(1.0, np.abs(other)))
            largest = max(largest, float(np.max(gap, initial=0.0)))
        else:
            is_wrong = mine != other
        axes = tuple(range(1, is_wrong.ndim))
        rows |= set(np.flatnonzero(is_wrong.any(axis=axes)).tolist())
    return rows, largest


def _same_shape(first, second):
    if first.ndim != second.ndim or len(first) != len(second):
        raise ValueError(
            f"The shape of an output is {first.shape}, expected was "
            f"{second.shape}."
        )
    shape = np.maximum(first.shape, second.shape)
    for values in (first, second):
        blank = b"" if values.dtype == object else 0
        missing = [(0, size) for size in shape - values.shape]
        yield np.pad(values, missing, constant_values=blank)


def save_answers(path, signatures):
    """Stores inputs, expected outputs and notes by the name of a signature.

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.npz")
    >>> save_answers(path, {"x": ({"text": [b"a\\0", b"\\xff"]}, {}, {"n": 1})})
    >>> load_answers(path)
    {'x': ({'text': array([b'a\\x00', b'\\xff'], dtype=object)}, {}, {'n': 1})}
    """
    import tensorflow as tf

    stored = {}
    for name, (inputs, outputs, notes) in signatures.items():
        stored[f"{name}/notes"] = json.dumps(notes).encode()
        for part, tensors in (("inputs", inputs), ("outputs", outputs)):
            for key, values in tensors.items():
                # NumPy's own strings lose NULs at their ends.
                proto = tf.make_tensor_proto(values).SerializeToString()
                stored[f"{name}/{part}/{key}"] = proto
    np.savez_compressed(
        path,
        **{key: np.frombuffer(data, "uint8") for key, data in stored.items()},
    )


def load_answers(path):
    """Reads what `save_answers` wrote; strings are object arrays of bytes."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    signatures = {}
    with np.load(path) as file:
        for path in file.files:
            name, part, *key = path.split("/")
            data = file[path].tobytes()
            if part == "notes":
                signatures[name] = ({}, {}, json.loads(data))
                continue
            proto = tensor_pb2.TensorProto.FromString(data)
            tensors = signatures[name][part == "outputs"]
            tensors[key[0]] = tf.make_ndarray(proto)
    return signatures


def forbid_packages():
    """Lets every import of this package and of Keras fail."""
    sys.modules.update(dict.fromkeys(_FORBIDDEN))


def import_text_ops():
    """Imports TensorFlow Text without its Keras layers."""
    layers = "tensorflow_text.python.keras"
    sys.modules[layers] = types.ModuleType(layers)
    import tensorflow_text  # noqa: F401


def main():
    forbid_packages()
    # Libraries may print: that must not end up in the answer.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    question = json.load(sys.stdin)
    function = {"check": check, "ask": ask}[question.pop("function")]
    json.dump(function(**question), output)
    output.close()


if __name__ == "__main__":
    main()
