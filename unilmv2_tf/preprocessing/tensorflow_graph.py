"""Preprocessing as TensorFlow graph code, where TensorFlow is installed.

Under JAX and PyTorch, models import this room but need no TensorFlow: `tf` and
`tf_text` are then placeholders that raise when text is processed.
"""

import functools
import importlib

import keras
from keras import ops


class _MissingModule:
    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        # Debuggers and `inspect` probe modules for dunder attributes.
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise ImportError(
            f"Preprocessing text needs {self._name}, which is not installed. "
            "Install tensorflow and tensorflow-text, or preprocess where they "
            "are installed and give the model integers (preprocessor=None)."
        )


def _import_or_placeholder(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A missing dependency of an installed TensorFlow is another matter.
        if error.name != name:
            raise
        return _MissingModule(name)


tf = _import_or_placeholder("tensorflow")
tf_text = _import_or_placeholder("tensorflow_text")


class GraphPreprocessor:
    """The part of a preprocessing layer that needs no packers of KerasHub."""

    # Arguments of the constructor that the base class does not save.
    _config_names = ()

    def build(self, input_shape):
        self.built = True

    def get_config(self):
        config = super().get_config()
        for name in self._config_names:
            config[name] = getattr(self, name)
        return config


def graph_preprocessing(function):
    """Makes a layer's method run as TensorFlow graph code from everywhere.

    In a graph the method is traced as it is. Called eagerly, with strings,
    lists, arrays or tensors of any backend, it runs as a compiled function and
    returns tensors of the Keras backend.
    """

    @functools.wraps(function)
    def wrapper(self, inputs, **options):
        with tf.device("cpu"):
            if not tf.executing_eagerly():
                return function(self, inputs, **options)
            inputs = _to_tensorflow(inputs)
            compiled = self.__dict__.setdefault("_compiled_functions", {})
            key = (
                function.__name__,
                tuple(sorted(options.items())),
                _settings(self),
                _layout(inputs),
            )
            if key not in compiled:
                compiled[key] = tf.function(
                    functools.partial(function, self, **options),
                    autograph=False,
                    reduce_retracing=True,
                )
            outputs = compiled[key](inputs)
        return keras.tree.map_structure(to_backend, outputs)

    return wrapper


def _settings(layer):
    # Users of KerasHub assign `sequence_length` and the like after a call.
    return tuple(
        (name, value)
        for name, value in vars(layer).items()
        if isinstance(value, (bool, int, float, str))
        and name not in ("built", "_called")
    )


def _layout(inputs):
    # Batch sizes share a trace; ranks and row lengths have to stay static.
    return tuple(
        (x.shape.rank, None if x.dtype == tf.string else x.shape[-1:])
        for x in tf.nest.flatten(inputs)
        if x is not None
    )


def _to_tensorflow(inputs):
    # A dict or a tuple is structure, a list is one batch of values.
    if isinstance(inputs, dict):
        return {key: _to_tensorflow(value) for key, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(_to_tensorflow(value) for value in inputs)
    if inputs is None or isinstance(inputs, (tf.Tensor, tf.RaggedTensor)):
        return inputs
    if ops.is_tensor(inputs):
        inputs = ops.convert_to_numpy(inputs)
    return tf.convert_to_tensor(inputs)


def to_backend(x):
    """Converts a TensorFlow tensor to the Keras backend; strings stay."""
    is_tensorflow = keras.backend.backend() == "tensorflow"
    if x is None or x.dtype == tf.string or is_tensorflow:
        return x
    return ops.convert_to_tensor(x.numpy())


def batched(x):
    """Adds a batch axis to a single example; returns also whether it did."""
    if isinstance(x, dict):
        # `epoch` may be one number for a whole batch.
        name = next(key for key in x if key != "epoch")
        name = "token_ids" if "token_ids" in x else name
        is_single = x[name].shape.rank == int(name == "token_ids")
    else:
        is_single = x.shape.rank == 0
    if is_single:
        x = tf.nest.map_structure(lambda t: t[tf.newaxis], x)
    return x, is_single


def unbatched(outputs):
    """Removes the batch axis of a batch of one."""
    return tf.nest.map_structure(lambda t: t[0], outputs)
