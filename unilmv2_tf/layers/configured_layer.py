import inspect

import keras


class ConfiguredLayer(keras.layers.Layer):
    """A layer that keeps the arguments of its constructor under their names."""

    def get_config(self):
        config = super().get_config()
        for name in inspect.signature(type(self)).parameters:
            if name != "kwargs":
                config[name] = keras.saving.serialize_keras_object(
                    getattr(self, name)
                )
        return config

    @classmethod
    def from_config(cls, config):
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value)
                for name, value in config.items()
            }
        )
