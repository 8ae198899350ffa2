import keras


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class Dropout(keras.layers.Dropout):
    """A `keras.layers.Dropout` that draws 16-bit numbers on TensorFlow."""

    def call(self, inputs, training=False):
        if (
            not training
            or self.noise_shape is not None
            or not 0 < self.rate <= 1 - 2**-16
            or keras.backend.backend() != "tensorflow"
        ):
            return super().call(inputs, training=training)
        from unilmv2_tf.layers.tensorflow_fast_paths import drop

        return drop(inputs, self.rate, self.seed_generator.next())
