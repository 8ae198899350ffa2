"""Tries a SavedModel, as a server would: without the code that made it.

`check_export` runs this file by its path, in a process of its own. It reads
`{"folder": ..., "batch_sizes": [...], "seconds": ...}` from standard input and
writes what it found to standard output, both JSON.
"""

import itertools
import os
import sys
import time

LIVE_ANSWERS = os.path.join("assets.extra", "live_answers.npz")
_LEAST_CALLS, _MOST_CALLS = 3, 100


def check(folder, batch_sizes, seconds):
    """Runs every signature.

    Args:
        folder: string. A SavedModel, with the live model's answers or without.
        batch_sizes: list of ints.
        seconds: number. How long each signature is timed at each batch size.

    Returns:
        A dict for JSON: `operations`, those that are `from_tensorflow_text`,
        `xla_marks`, and by the name of each signature what was found.
    """
    import arrays
    import isolation
    import tensorflow as tf

    operations, xla_marks = graph_operations(folder)
    foreign = unregistered(operations)
    if foreign:
        isolation.import_text_ops()
    start = time.monotonic()
    model = tf.saved_model.load(folder)
    load_seconds = time.monotonic() - start
    path = os.path.join(folder, LIVE_ANSWERS)
    live, notes = arrays.load(path) if os.path.exists(path) else ({}, {})
    found = {}
    for name, signature in sorted(model.signatures.items()):
        # It is another one under a second name: once is enough.
        is_alias = name == "serving_default" and "main" in notes
        prober = Prober(
            notes["main"] if is_alias else name, signature, live, notes
        )
        found[name] = prober.run(
            batch_sizes[-1:] if is_alias else batch_sizes, seconds, not is_alias
        )
    return {
        "tensorflow": tf.__version__,
        "operations": operations,
        "from_tensorflow_text": foreign,
        "xla_marks": xla_marks,
        "load_seconds": load_seconds,
        "signatures": found,
    }


def graph_operations(folder):
    """The operations of a SavedModel, and what in it asks for XLA.

    Args:
        folder: string. A SavedModel.

    Returns:
        A tuple of two sorted lists of names.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node]
    marks = set()
    for function in graph.library.function:
        nodes += function.node_def
        marks |= {name for name in function.attr if "Xla" in name}
    for node in nodes:
        marks |= {name for name in node.attr if "Xla" in name}
        if "Xla" in node.op:
            marks.add(node.op)
    functions = {f.signature.name for f in graph.library.function}
    return sorted({node.op for node in nodes} - functions), sorted(marks)


def unregistered(operations):
    """Those that TensorFlow itself does not have.

    Args:
        operations: list of strings.

    Returns:
        A list of strings.
    """
    from tensorflow.python.framework import op_def_registry

    return [name for name in operations if op_def_registry.get(name) is None]


class Prober:
    """Runs one signature.

    Args:
        name: string. Its name.
        signature: a function of a loaded SavedModel.
        live: dict of arrays, what the live model answered.
        notes: dict. By the name of a signature what is to be known of it.
    """

    def __init__(self, name, signature, live, notes):
        self.signature = signature
        self.inputs = sorted(signature.structured_input_signature[1])
        notes = notes.get(name, {})
        self.labels = notes.get("labels")
        self.num_plain = notes.get("num_plain")
        self.tolerance = notes.get("tolerance", 1e-5)
        self.allowed = notes.get("rows_that_may_differ", 0.0)
        self.is_deterministic = notes.get("is_deterministic", True)
        self.probes, self.expected = (
            {
                key.rpartition("/")[2]: values
                for key, values in live.items()
                if key.startswith(f"{name}/{part}/")
            }
            for part in ("in", "out")
        )
        self.is_compared = bool(self.expected) and self.is_deterministic
        if not self.probes:
            self._make_probes()

    def _make_probes(self):
        import numpy as np
        import probe_texts

        specs = self.signature.structured_input_signature[1].values()
        if all(spec.dtype.name == "string" for spec in specs):
            probes = probe_texts.probes(self.inputs)
            self.probes = {
                name: np.array(values, object)
                for name, values in probes.items()
            }
            self.num_plain = len(probe_texts.PLAIN)
        else:
            self.probes = {
                name: np.ones([8, 12], "int32") for name in self.inputs
            }

    def run(self, batch_sizes, seconds, is_timed=True):
        """Compares, tries an empty batch and takes the time.

        Args:
            batch_sizes: list of ints.
            seconds: number.
            is_timed: bool. Defaults to `True`.

        Returns:
            A dict for JSON.
        """
        failures, wrong, largest = [], set(), 0.0
        for batch_size in batch_sizes:
            for rows in self._batches(batch_size):
                problem, different, gap = self._try(rows)
                failures += problem
                wrong |= different
                largest = max(largest, gap)
        # What fails already tells nothing about padding, and has no time.
        is_called = not failures
        failures += self._try_no_rows()
        if is_called and not self._is_text:
            failures += self._try_server_padding()
        share = len(wrong) / self.num_rows
        if share > self.allowed:
            failures.append(
                f"{len(wrong)} of {self.num_rows} inputs are answered "
                f"differently: {', '.join(map(self._label, sorted(wrong)))}"
            )
        return {
            "is_compared": self.is_compared,
            "num_inputs": self.num_rows,
            "num_different": len(wrong),
            "largest_difference": largest,
            "failures": failures,
            "milliseconds": {
                str(size): self._time(size, seconds)
                for size in (batch_sizes if is_timed and is_called else ())
            },
        }

    @property
    def num_rows(self):
        """How many inputs there are."""
        return len(next(iter(self.probes.values())))

    @property
    def _is_text(self):
        return next(iter(self.probes.values())).dtype == object

    def _label(self, row):
        return self.labels[row] if self.labels else str(row)

    def _batches(self, batch_size):
        """Which rows go together: all, and in the last batch some again."""
        rows = list(range(self.num_rows))
        for start in range(0, len(rows), batch_size):
            cycle = itertools.cycle(rows)
            yield list(itertools.islice(cycle, start, start + batch_size))

    def _call(self, inputs):
        import tensorflow as tf

        outputs = self.signature(
            **{
                name: tf.constant(values.tolist() if values.dtype == object
                                  else values, self._dtype(name),
                                  shape=values.shape)
                for name, values in inputs.items()
            }
        )  # fmt: skip
        return {name: values.numpy() for name, values in outputs.items()}

    def _dtype(self, name):
        return self.signature.structured_input_signature[1][name].dtype

    def _try(self, rows):
        import comparison

        try:
            outputs = self._call({k: v[rows] for k, v in self.probes.items()})
        except Exception as error:
            text = _reason(error)
            names = ", ".join(dict.fromkeys(map(self._label, rows)))
            return [f"fails with {text!r} at {names}"], set(), 0.0
        if not self.is_compared:
            return [], set(), 0.0
        different, gap = comparison.differences(
            outputs,
            {name: values[rows] for name, values in self.expected.items()},
            self.tolerance,
        )
        return [], {rows[row] for row in different}, gap

    def _try_no_rows(self):
        try:
            outputs = self._call({k: v[:0] for k, v in self.probes.items()})
        except Exception as error:
            return [f"fails on no rows with {_reason(error)!r}"]
        if any(len(values) for values in outputs.values()):
            return ["has outputs for no rows"]
        return []

    def _try_server_padding(self):
        """Rows that a server has padded have the answers that they had.

        It repeats the first element of each tensor.
        """
        import comparison
        import numpy as np

        mask = next(v for k, v in self.probes.items() if "mask" in k)
        used = (mask > 0).sum(axis=1)
        rows = np.argsort(used, kind="stable")[:2]
        width = max(1, min(used[rows].max(), mask.shape[1] - 2))
        plain = {name: v[rows, :width] for name, v in self.probes.items()}
        expected = self._call(plain)
        padded = {
            name: np.pad(values, [[0, 0], [0, 2]],
                         constant_values=values[0, 0])
            for name, values in plain.items()
        }  # fmt: skip
        try:
            actual = self._call(padded)
        except Exception as error:
            return [f"fails on padding with {_reason(error)!r}"]
        try:
            different, _ = comparison.differences(
                {k: v[:, : expected[k].shape[1]] if v.ndim > 1 else v
                 for k, v in actual.items()},
                expected,
                max(self.tolerance, 1e-4),
            )  # fmt: skip
        except ValueError as error:
            return [str(error)]
        if different and self.is_deterministic:
            return ["answers rows differently that a server has padded"]
        return []

    def _time(self, batch_size, seconds):
        import numpy as np

        rows = list(
            itertools.islice(
                itertools.cycle(range(self.num_plain or self.num_rows)),
                batch_size,
            )
        )
        inputs = {name: values[rows] for name, values in self.probes.items()}
        taken, end = [], time.monotonic() + seconds
        while len(taken) < _LEAST_CALLS or (
            time.monotonic() < end and len(taken) < _MOST_CALLS
        ):
            start = time.perf_counter()
            self._call(inputs)
            taken.append(1000 * (time.perf_counter() - start))
        return {
            "p50": float(np.percentile(taken, 50)),
            "p95": float(np.percentile(taken, 95)),
            "calls": len(taken),
        }


def _reason(error):
    """The line of an error that says what is wrong, not where."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    where = ("Graph execution error", "Detected at", "<stack", " ", "(", "Node")
    reasons = [line for line in lines if not line.startswith(where)]
    return (reasons or lines or [type(error).__name__])[0]


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import isolation

    isolation.run(check)
