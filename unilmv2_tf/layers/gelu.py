import keras
from keras import ops

_SQRT_ONE_HALF = 0.5**0.5


def fusible_gelu(x, approximate=False):
    """The Gaussian error linear unit, as TensorFlow recognises it.

    The exact one is written with `erf`: in inference on a CPU, TensorFlow then
    computes it together with a product of matrices before it. Keras writes it
    with `erfc`, a pass over memory for each operation; but that is what LiteRT
    can convert.

    Args:
        x: float tensor.
        approximate: bool. Whether to take the tanh approximation. Defaults to
            `False`.

    Returns:
        A tensor of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import fusible_gelu
    >>> np.array(fusible_gelu(np.array([-1.0, 0.0, 1.0]))).round(3).tolist()
    [-0.159, 0.0, 0.841]

    Reference:
        Hendrycks and Gimpel, 2016.
    """
    if approximate:
        return ops.gelu(x, approximate=True)
    return x * (0.5 * (1.0 + ops.erf(x * _SQRT_ONE_HALF)))


def training_gelu(x, approximate=False):
    """The Gaussian error linear unit with the cheaper derivative.

    The exact one is written with `erf`, and computed in at least float32: of
    narrower numbers TensorFlow takes `erfc` one by one, and `1 + erf(x)` would
    lose what it is to the left of 0.

    Args:
        x: float tensor.
        approximate: bool. Whether to take the tanh approximation. Defaults to
            `False`.

    Returns:
        A tensor of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import training_gelu
    >>> np.array(training_gelu(np.array([-1.0, 0.0, 1.0]))).round(3).tolist()
    [-0.159, 0.0, 0.841]

    Reference:
        Hendrycks and Gimpel, 2016.
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    if approximate or dtype not in ("bfloat16", "float16"):
        return fusible_gelu(x, approximate)
    return ops.cast(fusible_gelu(ops.cast(x, "float32")), dtype)
