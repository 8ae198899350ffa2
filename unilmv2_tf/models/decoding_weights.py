"""Weights prepared once for decoding.

The time of a step is the number of products and the memory that is read, so
kernels are cast, low-rank updates added, and queries, keys and values joined.
"""

from keras import ops

_SQRT_ONE_HALF = 0.5**0.5


class DecodingWeights:
    """All matrix products of a decoding step.

    `kernels` replaces the kernels of `products()`; see `multiply` for tiles.
    """

    def __init__(self, task, kernels=None):
        self.layers = [
            DecodingLayer(layer) for layer in task.backbone.transformer_layers
        ]
        self.vocabulary = VocabularyProjection(task.language_model_head)
        if kernels is not None:
            for product, kernel in zip(self.products(), kernels, strict=True):
                product.kernel = kernel

    def products(self):
        """The products that have a kernel; quantized layers have none."""
        products = [p for layer in self.layers for p in layer.products]
        products.append(self.vocabulary)
        return [product for product in products if product.kernel is not None]

    def set_num_rows(self, num_rows):
        """Computes the orders of tiles once a step, not once a layer."""
        orders = {}
        for product in self.products()[:-1]:
            if len(product.kernel.shape) == 3:
                num_tiles = product.kernel.shape[0]
                if num_tiles not in orders:
                    index = ops.arange(num_tiles * num_rows, dtype="int32")
                    orders[num_tiles] = (
                        index % num_tiles * num_rows + index // num_tiles
                    )
                product.order = orders[num_tiles]


class DecodingLayer:
    """A `TransformerBlock` with its dense layers as `DenseProduct`."""

    def __init__(self, layer):
        self.layer = layer
        self.attention = layer.self_attention
        self.projections = DenseProduct(
            self.attention.query, self.attention.key, self.attention.value
        )
        self.attention_output = DenseProduct(self.attention.output_dense)
        self.intermediate = DenseProduct(layer.intermediate_dense)
        self.output = DenseProduct(layer.output_dense)
        self.products = [
            self.projections,
            self.attention_output,
            self.intermediate,
            self.output,
        ]

    def feed_forward(self, hidden_states, attention_output):
        x = self.layer.self_attention_layer_norm(
            hidden_states + attention_output
        )
        inner = fusible_gelu(self.intermediate(x), self.layer.approximate_gelu)
        return self.layer.output_layer_norm(x + self.output(inner))


class DenseProduct:
    """One or several `Dense` layers of the same input as one product."""

    def __init__(self, *layers):
        self.layers = layers
        self.kernel = self.order = None
        if any(layer.quantization_mode for layer in layers):
            return
        dtype = layers[0].compute_dtype
        # `kernel` includes a low-rank update.
        kernels = [ops.cast(layer.kernel, dtype) for layer in layers]
        biases = [ops.cast(layer.bias, dtype) for layer in layers]
        self.kernel, self.bias = kernels[0], biases[0]
        if len(layers) > 1:
            self.kernel = ops.concatenate(kernels, axis=1)
            self.bias = ops.concatenate(biases, axis=0)

    def __call__(self, x):
        if self.kernel is None:
            return ops.concatenate([layer(x) for layer in self.layers], axis=-1)
        return multiply(x, self.kernel, self.bias, self.order)


class VocabularyProjection:
    """A `LanguageModelHead` with its table transposed once."""

    def __init__(self, head):
        self.head = head
        self.kernel = None
        if head.token_embedding.quantization_mode:
            return
        embeddings = ops.cast(
            head.token_embedding.embeddings, head.compute_dtype
        )
        self.kernel = ops.transpose(embeddings)
        self.bias = ops.cast(head.output_bias, head.compute_dtype)

    def __call__(self, hidden_states):
        if self.kernel is None:
            return self.head(hidden_states)
        x = self.head.transform(hidden_states)
        return multiply(x, self.kernel, self.bias)


def multiply(x, kernel, bias, order=None):
    """`x @ kernel + bias`, where the kernel may be stored in tiles.

    A kernel of shape `(tiles, input_dim, width)` holds the columns of the
    matrix. `order` lists the position of each row's tiles in the product, which
    is ordered by tile: a gather is faster than a transposition.
    """
    if len(kernel.shape) == 2:
        return ops.matmul(x, kernel) + bias
    num_tiles, input_dim, width = kernel.shape
    output_dim = bias.shape[0]
    y = ops.matmul(ops.reshape(x, (1, -1, input_dim)), kernel)
    if order is None:
        y = ops.transpose(y, (1, 0, 2))
    else:
        y = ops.take(ops.reshape(y, (-1, width)), order, axis=0)
    y = ops.reshape(y, (*ops.shape(x)[:-1], num_tiles * width))
    if output_dim < num_tiles * width:
        y = y[..., :output_dim]
    return y + bias


def fusible_gelu(x, approximate=False):
    """The gelu in a form that TensorFlow fuses with the product before it.

    The exact gelu is written with `erf`. Keras uses `erfc`, in several passes
    over memory: about a tenth of the time of a beam search on a CPU.
    """
    if approximate:
        return ops.gelu(x, approximate=True)
    return x * (0.5 * (1.0 + ops.erf(x * _SQRT_ONE_HALF)))
