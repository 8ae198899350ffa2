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
