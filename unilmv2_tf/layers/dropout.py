import keras


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class Dropout(keras.layers.Dropout):
    """Keras's dropout, with less work for the random numbers.

    On TensorFlow two numbers of 16 bits are drawn at a time, so that the rate
    is rounded to a multiple of 2**-16. Elsewhere it is Keras's layer as it is,
    and so it is with a `noise_shape`.

    Args:
        rate: float. The share of the inputs that is set to zero in training.
        **kwargs: see `keras.layers.Dropout`.

    Call arguments:
        inputs: float tensor of any shape.
        training: bool. Whether to set anything to zero. Defaults to `False`.

    Returns:
        A tensor of the same shape.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import Dropout
    >>> x = Dropout(0.5, seed=1)(np.ones((10, 10), "float32"), training=True)
    >>> set(np.unique(x).tolist()) == {0.0, 2.0}
    True

    Reference:
        Srivastava et al., 2014.
    """

    def call(self, inputs, training=False):
        if (
            not training
            or self.noise_shape is not None
            or not 0 < self.rate <= 1 - 2**-16
            or keras.backend.backend() != "tensorflow"
        ):
            return super().call(inputs, training=training)
        from unilmv2_tf.layers.tensorflow_backend import drop

        return drop(inputs, self.rate, self.seed_generator.next())
