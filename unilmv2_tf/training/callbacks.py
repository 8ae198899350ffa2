"""Keras callbacks of the user's, from Python or from YAML."""

import jsonargparse
import keras


def make_callbacks(callbacks):
    """Instantiates `{class_path, init_args}` entries; keeps instances.

    Example:

    >>> from unilmv2_tf.training.callbacks import make_callbacks
    >>> (callback,) = make_callbacks([{
    ...     "class_path": "keras.callbacks.EarlyStopping",
    ...     "init_args": {"monitor": "val_accuracy", "patience": 3}}])
    >>> callback.patience
    3
    """
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--callback", type=keras.callbacks.Callback)

    def instantiate(callback):
        if isinstance(callback, keras.callbacks.Callback):
            return callback
        try:
            config = parser.parse_object({"callback": callback})
        except jsonargparse.ArgumentError as error:
            raise ValueError(
                "`callbacks` must hold Keras callbacks: instances, or a "
                "`class_path` with `init_args` each. Received: "
                f"{callback}: {' '.join(str(error).split())}"
            ) from None
        return parser.instantiate_classes(config).callback

    return [instantiate(callback) for callback in callbacks or []]
