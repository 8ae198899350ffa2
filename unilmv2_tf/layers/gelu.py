from keras import ops

_SQRT_ONE_HALF = 0.5**0.5


def gelu(x, approximate=False):
    """The Gaussian error linear unit.

    The exact one is written with `erf`: TensorFlow then computes it together
    with the product before it, in inference on a CPU. Keras writes it with
    `erfc`, as one more pass over memory for each operation.

    Args:
        x: float tensor.
        approximate: bool. Whether to take the tanh approximation. Defaults to
            `False`.

    Returns:
        A tensor of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.layers import gelu
    >>> np.array(gelu(np.array([-1.0, 0.0, 1.0]))).round(3).tolist()
    [-0.159, 0.0, 0.841]

    Reference:
        Hendrycks and Gimpel, 2016.
    """
    if approximate:
        return ops.gelu(x, approximate=True)
    return x * (0.5 * (1.0 + ops.erf(x * _SQRT_ONE_HALF)))
