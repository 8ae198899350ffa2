"""What is done in another way on TensorFlow, and imported only there."""

import tensorflow as tf


def write_in_place(x, places, new):
    """Writes rows of a matrix into the memory where it lies.

    Args:
        x: tensor of shape `(rows, width)`. It must not be used any more.
        places: int tensor of shape `(k,)`.
        new: tensor of shape `(k, width)`.

    Returns:
        The tensor with the rows written.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.models.tensorflow_backend import write_in_place
    >>> x = write_in_place(tf.zeros((2, 1)), [1], [[7.0]])
    >>> x.numpy().tolist()
    [[0.0], [7.0]]
    """
    return tf.raw_ops.InplaceUpdate(x=x, i=places, v=new)


class TracedOnce:
    """A `generate_step` in a graph that takes batches of every shape.

    Args:
        task: a `UniLMv2Seq2SeqLM`.

    Call arguments:
        inputs: see `UniLMv2Seq2SeqLM.generate_step`.
        stop_token_ids: tuple of ids, or `None`. Defaults to `None`.

    Returns:
        What `generate_step` returns.
    """

    def __init__(self, task):
        self.task = task
        self.functions = {}

    def __call__(self, inputs, stop_token_ids=None):
        inputs = {name: tf.convert_to_tensor(x) for name, x in inputs.items()}
        signature = {
            name: tf.TensorSpec(
                # How many steps there are at most is known before.
                (None, x.shape[1] if "decoder" in name else None),
                x.dtype,
            )
            for name, x in inputs.items()
        }
        key = (stop_token_ids, tuple(sorted(signature.items())))
        if key not in self.functions:

            def generate_step(inputs):
                return self.task.generate_step(inputs, stop_token_ids)

            # There is no Python in it that has to be converted.
            self.functions[key] = tf.function(
                generate_step, input_signature=[signature], autograph=False
            )
        return self.functions[key](inputs)
