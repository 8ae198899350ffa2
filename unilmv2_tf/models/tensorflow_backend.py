"""What is done in another way on TensorFlow, and imported only there."""

import concurrent.futures
import functools
import os

import numpy as np
import tensorflow as tf

from unilmv2_tf.models.decoding_weights import DecodingWeights

# Weights that caches hold are read fast as they are.
MIN_BYTES_TO_LAY_OUT = 2**25
_BLOCK_WIDTH = 64
# What TensorFlow asks of memory that it takes over.
_ALIGNMENT = 64


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
        kernels: see there. Defaults to `()`: those of the layers.

    Returns:
        What `generate_step` returns.
    """

    def __init__(self, task):
        self.task = task
        self.functions = {}
        self.blocks = self.blocks_signature = None

    def with_kernels_of_now(self):
        """The function with kernels that are laid out for a few rows.

        They are copies: whoever trains the task has to call this again. Their
        memory is kept for the next time, new one would cost more than copying.

        Returns:
            A function of the same arguments.
        """
        # Some other device has memory of its own.
        if len(tf.config.list_logical_devices()) > 1:
            return self
        kernels = [
            product.kernel for product in DecodingWeights(self.task).products()
        ]
        sizes = [
            kernel.dtype.size * np.prod(kernel.shape) for kernel in kernels
        ]
        if sum(sizes) < MIN_BYTES_TO_LAY_OUT:
            return self
        signature = [(kernel.shape, kernel.dtype) for kernel in kernels]
        if self.blocks is None or self.blocks_signature != signature:
            self.blocks = KernelBlocks(kernels)
            self.blocks_signature = signature
        else:
            self.blocks.write(kernels)
        return functools.partial(self, kernels=self.blocks.tensors)

    def __call__(self, inputs, stop_token_ids=None, kernels=()):
        inputs = {name: tf.convert_to_tensor(x) for name, x in inputs.items()}
        signature = {
            name: tf.TensorSpec(
                # How many steps there are at most is known before.
                (None, x.shape[1] if "decoder" in name else None),
                x.dtype,
            )
            for name, x in inputs.items()
        }
        key = (
            stop_token_ids,
            len(kernels),
            tuple(sorted(signature.items())),
        )
        if key not in self.functions:

            def generate_step(inputs, kernels):
                return self.task.generate_step(
                    inputs, stop_token_ids, kernels or None
                )

            specs = [tf.TensorSpec(k.shape, k.dtype) for k in kernels]
            # There is no Python in it that has to be converted.
            self.functions[key] = tf.function(
                generate_step,
                input_signature=[signature, specs],
                autograph=False,
            )
        return self.functions[key](inputs, list(kernels))


class KernelBlocks:
    """Copies of matrices in blocks of columns, in memory of large pages.

    A product with a handful of rows costs what reading the matrix costs.
    Reading goes on without a break in a block of columns, and large pages,
    which Linux gives to large arrays of NumPy, save it looking up addresses.

    Args:
        kernels: list of tensors of shape `(input_dim, output_dim)`.

    Attributes:
        tensors: list of tensors of shape `(blocks, input_dim, 64)`; columns
            that the last block has too many are 0.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.models.tensorflow_backend import KernelBlocks
    >>> blocks = KernelBlocks([tf.ones((8, 100)), tf.ones((8, 64))])
    >>> blocks.tensors[0].shape
    TensorShape([2, 8, 64])
    """

    def __init__(self, kernels):
        matrices = [_numbers(kernel) for kernel in kernels]
        shapes = [
            (-(-matrix.shape[1] // _BLOCK_WIDTH), len(matrix), _BLOCK_WIDTH)
            for matrix in matrices
        ]
        num_bytes = [
            int(np.prod(shape)) * matrix.itemsize
            for shape, matrix in zip(shapes, matrices)
        ]
        # One array: it is large enough where each of them is not.
        memory = np.empty(
            sum(-(-n // _ALIGNMENT) * _ALIGNMENT for n in num_bytes)
            + _ALIGNMENT,
            np.uint8,
        )
        start = -memory.ctypes.data % _ALIGNMENT
        self.arrays = []
        for shape, n, matrix in zip(shapes, num_bytes, matrices):
            part = memory[start : start + n].view(matrix.dtype)
            self.arrays.append(part.reshape(shape))
            start += -(-n // _ALIGNMENT) * _ALIGNMENT
        self.tensors = [
            _tensor(array, kernel.dtype)
            for array, kernel in zip(self.arrays, kernels)
        ]
        self.write(kernels)

    def write(self, kernels):
        """Copies matrices of the same shapes to where the others were.

        Args:
            kernels: list of tensors.
        """
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            matrices = [_numbers(kernel) for kernel in kernels]
            list(threads.map(_copy_into_blocks, self.arrays, matrices))


def _copy_into_blocks(blocks, matrix):
    num_whole, rest = divmod(matrix.shape[1], _BLOCK_WIDTH)
    whole = matrix[:, : num_whole * _BLOCK_WIDTH]
    whole = whole.reshape(len(matrix), num_whole, _BLOCK_WIDTH)
    blocks[:num_whole] = whole.transpose(1, 0, 2)
    if rest:
        blocks[num_whole, :, :rest] = matrix[:, -rest:]
        blocks[num_whole, :, rest:] = 0


def _numbers(tensor):
    """The memory of a tensor as an array, without a copy."""
    if tensor.dtype == tf.bfloat16:
        tensor = tf.bitcast(tensor, tf.uint16)
    return np.asarray(memoryview(tensor))


def _tensor(array, dtype):
    """The memory of an array as a tensor, without a copy."""
    tensor = tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.bitcast(tensor, dtype) if tensor.dtype != dtype else tensor
