import functools

import keras
from keras import ops

from unilmv2_tf.preprocessing.libraries import tf


def graph_preprocessing(function):
    """Makes a layer's method run as TensorFlow graph code from everywhere.

    Inside a `tf.data` pipeline or a `tf.function` the method is traced as it
    is. Called eagerly, on strings, lists, arrays or tensors of any backend, it
    runs as a compiled function and gives tensors of the Keras backend. Unlike
    op by op in Python, both give the same ids from the same code.

    Args:
        function: a method that takes one nested structure of tensors.

    Returns:
        The method, wrapped.
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
                    reduce_retracing=True,
                )
            outputs = compiled[key](inputs)
        return keras.tree.map_structure(_to_backend, outputs)

    return wrapper


def _settings(layer):
    # Lengths may be set anew, as KerasHub's users do.
    return tuple(
        (name, value)
        for name, value in vars(layer).items()
        if isinstance(value, (bool, int, float))
        and name not in ("built", "_called")
    )


def _layout(inputs):
    # TensorFlow would forget ranks and lengths of rows where they differ, just
    # batch sizes may.
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


def _to_backend(x):
    if (
        x is None
        or x.dtype == tf.string
        or keras.backend.backend() == ("tensorflow")
    ):
        return x
    return ops.convert_to_tensor(x.numpy())
