"""Weights as a decoding loop wants them: made ready once, used many times."""

from keras import ops

from unilmv2_tf.layers import fusible_gelu


class DecodingWeights:
    """All products of a step of decoding.

    Args:
        task: a `UniLMv2Seq2SeqLM`.
        kernels: list of tensors in the place of those of `products`, or
            `None`. Kernels of three axes are blocks of columns, see
            `multiply`. Defaults to `None`.

    Example:

    >>> from unilmv2_tf import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.models.decoding_weights import DecodingWeights
    >>> weights = DecodingWeights(UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False, vocabulary_size=99)))
    >>> tuple(weights.vocabulary.kernel.shape)
    (128, 99)
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
        """The products that have a kernel of their own.

        Returns:
            A list of `JoinedDense` and `VocabularyProjection`. Quantized
            layers are not among them.
        """
        products = [p for layer in self.layers for p in layer.products()]
        products.append(self.vocabulary)
        return [product for product in products if product.kernel is not None]

    def expect_rows(self, num_rows):
        """Tells the layers how many rows their products will have.

        What depends on it alone is computed once a step, and not by each layer.

        Args:
            num_rows: int or scalar int tensor.
        """
        orders = {}
        for product in self.products()[:-1]:
            if len(product.kernel.shape) == 3:
                num_blocks = product.kernel.shape[0]
                if num_blocks not in orders:
                    orders[num_blocks] = _rows_first(num_blocks, num_rows)
                product.order = orders[num_blocks]


def _rows_first(num_blocks, num_rows):
    place = ops.arange(num_blocks * num_rows, dtype="int32")
    return place % num_blocks * num_rows + place // num_blocks


def multiply(x, kernel, bias, order=None):
    """A product of few rows with a matrix, and a bias.

    Args:
        x: tensor of shape `(..., input_dim)`.
        kernel: tensor of shape `(input_dim, output_dim)`, or, in blocks of
            columns, of shape `(blocks, input_dim, width)`. What its last block
            has beyond `output_dim` columns is left out.
        bias: tensor of shape `(output_dim,)`.
        order: int tensor of shape `(rows * blocks,)`. Where each row has its
            blocks, if they stand by block and then by row. Defaults to `None`:
            they are transposed, which takes longer than being picked.

    Returns:
        A tensor of shape `(..., output_dim)`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.models.decoding_weights import multiply
    >>> x = np.ones((1, 2))
    >>> kernel = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> blocks = np.array([kernel[:, :2], [[3.0, 0.0], [6.0, 0.0]]])
    >>> for form in (kernel, blocks):
    ...     print(np.array(multiply(x, form, np.zeros(3))).tolist())
    [[5.0, 7.0, 9.0]]
    [[5.0, 7.0, 9.0]]
    """
    if len(kernel.shape) == 2:
        return ops.matmul(x, kernel) + bias
    num_blocks, input_dim, width = kernel.shape
    output_dim = bias.shape[0]
    y = ops.matmul(ops.reshape(x, (1, -1, input_dim)), kernel)
    if order is None:
        y = ops.transpose(y, (1, 0, 2))
    else:
        y = ops.take(ops.reshape(y, (-1, width)), order, axis=0)
    y = ops.reshape(y, (*ops.shape(x)[:-1], num_blocks * width))
    if output_dim < num_blocks * width:
        y = y[..., :output_dim]
    return y + bias


class DecodingLayer:
    """The products of a `TransformerBlock`, for a handful of rows.

    Kernels are cast, low-rank updates added, and queries, keys and values
    joined, before the loop.

    Args:
        layer: a `TransformerBlock`.
    """

    def __init__(self, layer):
        self.layer = layer
        self.attention = layer.self_attention
        self.projections = JoinedDense(
            self.attention.query, self.attention.key, self.attention.value
        )
        self.attention_output = JoinedDense(self.attention.output_dense)
        self._intermediate_dense = JoinedDense(layer.intermediate_dense)
        self._output_dense = JoinedDense(layer.output_dense)

    def products(self):
        """Returns the four `JoinedDense` of the layer."""
        return [
            self.projections,
            self.attention_output,
            self._intermediate_dense,
            self._output_dense,
        ]

    def feed_forward(self, hidden_states, attention_output):
        """See `TransformerBlock.feed_forward`."""
        return self.layer.feed_forward(
            hidden_states,
            attention_output,
            gelu=fusible_gelu,
            intermediate_dense=self._intermediate_dense,
            output_dense=self._output_dense,
        )


class JoinedDense:
    """One or several `Dense` layers of the same input as one product.

    A step of decoding multiplies a handful of rows: what it costs is the
    number of products and the memory that is read. Casting and joining happen
    once, before the loop. Quantized layers are called one by one, as they are.

    Args:
        *layers: `keras.layers.Dense` layers without an activation.

    Call arguments:
        x: tensor of shape `(..., input_dim)`.

    Returns:
        The outputs of the layers, joined on the last axis.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from unilmv2_tf.models.decoding_weights import JoinedDense
    >>> layers = [keras.layers.Dense(2), keras.layers.Dense(3)]
    >>> x = np.ones((1, 4), "float32")
    >>> expected = np.concatenate([layer(x) for layer in layers], axis=-1)
    >>> bool(np.allclose(JoinedDense(*layers)(x), expected))
    True
    """

    def __init__(self, *layers):
        self.layers = layers
        self.kernel = self.order = None
        if any(layer.quantization_mode for layer in layers):
            return
        dtype = layers[0].compute_dtype
        # `kernel` has what a low-rank update adds.
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
    """A `LanguageModelHead` for few rows, its large table turned once.

    Args:
        head: a `LanguageModelHead`.

    Call arguments:
        hidden_states: tensor of shape `(samples, hidden_dim)`.

    Returns:
        Logits of shape `(samples, vocabulary_size)`.
    """

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
