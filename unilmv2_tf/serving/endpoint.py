"""The base class of what an exported model can do."""

import importlib
import inspect
import os
import pkgutil

import numpy as np
import tensorflow as tf

from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.preprocessing.text_cleaning import PIECE_MARK

_EXAMPLE = ("cls", "mask", "sep")
FOX = "The quick brown fox jumps over the lazy dog."


class Endpoint:
    """A signature of an exported model that takes strings, and its ids twin.

        NAME      text          (batch,)    string   -> what `as_text` returns
        NAME_ids  `id_inputs`   (batch, n)  int32    -> what `compute` returns

    A new signature is one file `unilmv2_tf/serving/NAME_endpoint.py` with a
    subclass, or a subclass in your own code that you pass to `export_model`. It
    sets the class attributes below and overrides `compute`, and other methods
    where the defaults do not fit. The base class handles invalid UTF-8, empty
    batches, rows that a server has padded, and short rows, which are computed
    at their width.

    Class attributes:
        name: string. The name of the signature.
        tasks: tuple of the task classes that can have it; empty for all.
        default_for: task class that is exported with this endpoint if none is
            named, or `None`.
        text_signatures: dict from the names of the signatures that take strings
            to the names of their inputs, the main one first.
        id_inputs: names of the integer inputs: token ids first, mask last.
        per_token_outputs: outputs of `compute` that have a column per token.
        is_deterministic: bool. Whether equal texts get equal answers.
        runs_on_litert: bool. Whether LiteRT has all operations of `compute`.
        examples: dict from input names to strings, for the README.

    Args:
        task: a task with a preprocessor. It is not changed.
        sequence_length: int. The longest row in tokens. Defaults to `None`,
            that of the preprocessor.
        buckets: tuple of increasing ints, the widths that rows are computed
            at, or `None` to pad every row to the full length. Defaults to
            `"auto"`: 16, 32, 64, ... and the full length.

    Raises:
        ValueError: if the task has no preprocessor, or cannot have this
            endpoint.

    Example:

    >>> import tensorflow as tf
    >>> class CountTokens(Endpoint):
    ...     name = "count"
    ...     text_signatures = {"count": ("text",)}
    ...
    ...     def compute(self, rows):
    ...         return {"tokens": tf.reduce_sum(rows["padding_mask"], axis=1)}
    """

    name = None
    tasks = ()
    default_for = None
    text_signatures = {}
    id_inputs = ("token_ids", "segment_ids", "padding_mask")
    per_token_outputs = ()
    is_deterministic = True
    runs_on_litert = False
    examples = {"text": FOX}

    def __init__(self, task, sequence_length=None, buckets="auto"):
        if self.tasks and not isinstance(task, self.tasks):
            raise ValueError(
                f"`task` of `{type(self).__name__}` must be a "
                f"{' or '.join(cls.__name__ for cls in self.tasks)}. Received: "
                f"{type(task).__name__}"
            )
        if task.preprocessor is None:
            raise ValueError(
                "The task must have a preprocessor, since the SavedModel takes "
                "and returns strings. Received: preprocessor=None. Build the "
                f"task with `{type(task).__name__}(backbone, preprocessor="
                f"{type(task).preprocessor_cls.__name__}(tokenizer, ...))`."
            )
        self.task = task
        self.preprocessor = task.preprocessor
        self.tokenizer = task.preprocessor.tokenizer
        self.sequence_length = (
            sequence_length or task.preprocessor.sequence_length
        )
        if buckets == "auto":
            buckets = [16]
            while buckets[-1] < self.sequence_length:
                buckets.append(2 * buckets[-1])
            buckets = (*buckets[:-1], self.sequence_length)
        self.buckets = buckets
        # All signatures share this graph, which halves the time of an export,
        # the size of the graph and the time that a server takes to load it.
        spec = tf.TensorSpec([None, None], tf.int32)
        self.traced_compute = tf.function(
            self.compute,
            input_signature=[dict.fromkeys(self.id_inputs, spec)],
            autograph=False,
        )

    # === For a subclass to override ===

    def rows(self, **texts):
        """Turns texts into a dict of `id_inputs`, as graph code or eagerly."""
        rows = self.preprocessor(texts)
        return {name: rows[name] for name in self.id_inputs}

    def compute(self, rows):
        """Returns a dict of tensors for a dict of `id_inputs`."""
        raise NotImplementedError

    def as_text(self, outputs):
        """Turns the outputs of `compute` into those of `text_signatures`."""
        return outputs

    def probes(self, inputs, plain, hostile):
        """Lists of bytes to check a signature with, by the name of an input."""
        texts = plain + hostile
        # A pair holds two different texts.
        return {
            name: texts[index:] + texts[:index]
            for index, name in enumerate(inputs)
        }

    def describe(self):
        """What a client may want to know, for `signature.json`."""
        names = {"sequence_length", *inspect.signature(type(self)).parameters}
        return {name: getattr(self, name) for name in sorted(names - {"task"})}

    # === The signatures ===

    def from_text(self, **texts):
        """Computes the signatures that take strings."""
        # As Python's `errors="replace"`; the tokenizer drops U+FFFD. Lists of
        # WordPieces are not for clients.
        texts = {
            name: tf.strings.regex_replace(
                tf.strings.unicode_transcode(
                    text, "UTF-8", "UTF-8", errors="replace"
                ),
                PIECE_MARK,
                "",
            )
            for name, text in texts.items()
        }
        return _with_a_row(self.outputs_of_texts, texts)

    def from_ids(self, **rows):
        """Computes the signature that takes integers."""
        num_columns = tf.shape(rows[self.id_inputs[0]])[1]
        outputs = _with_a_row(self._from_padded_ids, rows)
        return {
            name: x[:, :num_columns] if name in self.per_token_outputs else x
            for name, x in outputs.items()
        }

    def outputs_of_texts(self, **texts):
        """Computes at least one row of valid UTF-8."""
        return self.as_text(self.traced_compute(self.rows(**texts)))

    def _from_padded_ids(self, **rows):
        mask = self.id_inputs[-1]
        rows[mask] = without_server_padding(
            rows[self.id_inputs[0]], rows[mask], self.tokenizer.cls_token_id
        )
        return self.traced_compute(rows)

    def live_text(self, **texts):
        """Runs the live model on bytes, decoded as Python decodes them."""
        texts = {
            name: [text.decode(errors="replace") for text in values]
            for name, values in texts.items()
        }
        return _in_graph(self.outputs_of_texts, texts)

    def live_ids(self, **rows):
        """Runs the live model on rows."""
        return _in_graph(lambda **rows: self.traced_compute(rows), rows)

    def live_rows(self, **texts):
        """The arrays that the signature of integers is given for texts."""
        return _in_graph(self.rows, texts)

    def shorten(self, rows):
        """Cuts rows to the narrowest bucket that holds all of their tokens."""
        if not self.buckets:
            return rows
        used = tf.reduce_max(used_widths(rows[self.id_inputs[-1]]))
        widths = tf.constant(self.buckets, tf.int32)
        index = tf.reduce_sum(tf.cast(widths < used, tf.int32))
        width = tf.gather(widths, tf.minimum(index, len(self.buckets) - 1))
        width = tf.maximum(width, used)
        return {name: row[:, :width] for name, row in rows.items()}

    def example(self, inputs):
        """One row of a request for a signature with these inputs."""
        tokens = [getattr(self.tokenizer, f"{x}_token_id") for x in _EXAMPLE]
        ids = {name: [0, 0, 0] for name in self.id_inputs}
        ids[self.id_inputs[0]] = tokens
        ids[self.id_inputs[-1]] = [1, 1, 1]
        return {
            name: ids[name] if name in ids else self.examples.get(name, FOX)
            for name in inputs
        }

    @property
    def precision(self):
        """The name of the backbone's dtype policy, or int8 if quantized."""
        backbone = self.task.backbone
        if any(weight.dtype == "int8" for weight in backbone.weights):
            return "int8"
        return backbone.dtype_policy.name


def endpoints_of(task):
    """The endpoint classes that a task can have, by name, default first."""
    if not isinstance(getattr(task, "backbone", None), UniLMv2Backbone):
        raise ValueError(
            "`tasks` must be UniLMv2 tasks or endpoints of them. Received: "
            f"{type(task).__name__}"
        )
    found = {}
    for module in pkgutil.iter_modules([os.path.dirname(__file__)]):
        if module.name.endswith("_endpoint"):
            file = importlib.import_module(f"unilmv2_tf.serving.{module.name}")
            for cls in vars(file).values():
                if (
                    inspect.isclass(cls)
                    and issubclass(cls, Endpoint)
                    and cls.name is not None
                    and (not cls.tasks or isinstance(task, cls.tasks))
                ):
                    found[cls.name] = cls
    return dict(
        sorted(found.items(), key=lambda x: x[1].default_for is not type(task))
    )


def check_range(name, value, least, most=None):
    """Raises a ValueError where an argument is out of range."""
    if value < least or (most is not None and value > most):
        limits = f"in [{least}, {most}]" if most else f"at least {least}"
        raise ValueError(f"`{name}` must be {limits}. Received: {name}={value}")


def without_server_padding(token_ids, padding_mask, cls_token_id):
    """Returns the mask without what a server added to make rows equally long.

    >>> import tensorflow as tf
    >>> ids = tf.constant([[2, 7, 3, 2, 2], [2, 7, 8, 9, 3]])
    >>> without_server_padding(ids, tf.ones_like(ids), 2).numpy().tolist()
    [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    """
    # TensorFlow Serving repeats the first element of each tensor: `[CLS]` among
    # the ids, and 1 in the mask. No text ends in `[CLS]`.
    is_other = (token_ids != cls_token_id) & (padding_mask > 0)
    is_first = tf.range(tf.shape(token_ids)[1]) == 0
    before_end = tf.cumsum(tf.cast(is_other, tf.int32), axis=1, reverse=True)
    is_token = (before_end > 0) | is_first
    return tf.cast((padding_mask > 0) & is_token, tf.int32)


def used_widths(mask):
    """The width of each row up to its last token; a mask may have holes."""
    columns = tf.range(1, tf.shape(mask)[1] + 1)
    return tf.reduce_max(tf.where(tf.greater(mask, 0), columns, 0), axis=1)


def _in_graph(function, inputs):
    # Eagerly, KerasHub would tokenize a megabyte in Python.
    inputs = {name: tf.constant(x) for name, x in inputs.items()}
    outputs = tf.function(function, autograph=False)(**inputs)
    return {name: np.asarray(tensor) for name, tensor in outputs.items()}


def _with_a_row(function, inputs):
    """Calls a function that needs at least one row and one column."""
    # Servers and clients send empty batches, in which a reshape to -1 fails.
    first, *others = inputs
    size = tf.shape(inputs[first])[0]
    checks = [
        tf.debugging.assert_equal(
            size,
            tf.shape(inputs[name])[0],
            f"`{first}` and `{name}` must be as many",
        )
        for name in others
    ]
    missing = tf.cast(size == 0, tf.int32)
    # Called eagerly, the assertions return `None`.
    with tf.control_dependencies([check for check in checks if check]):
        inputs = {
            name: (
                tf.concat([tensor, tf.fill([missing], "")], axis=0)
                if tensor.dtype == tf.string
                else tf.pad(tensor, [[0, missing], [0, 1]])
            )
            for name, tensor in inputs.items()
        }
    return {name: x[:size] for name, x in function(**inputs).items()}
