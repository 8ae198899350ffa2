"""Floating-point operations of pre-training, and a device's peak."""

import time

from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots


def training_flops(backbone, num_slots, objectives):
    """The floating-point operations of training on one row.

    Those of the matrix products that the model needs, each multiplication and
    each addition counted, and the backward pass as two forward passes;
    recomputed or masked products are not counted. `num_slots` are the length
    of the row and the number of masked slots.
    """
    n, m = num_slots
    has_par = "par" in objectives
    dim, inner = backbone.hidden_dim, backbone.intermediate_dim
    num_tokens = n + 2 * m if has_par else n
    # Pairs of query and key: the context with itself, the revealed tokens with
    # both, the pseudo masks with all.
    num_pairs = n * n
    if has_par:
        num_pairs += m * (n + m) + m * (n + 2 * m)
    key_value, others = 2 * dim * dim, 2 * dim * dim + 2 * dim * inner
    layer = num_tokens * (key_value + others) + num_pairs * 2 * dim
    # The last layer has keys and values of all tokens, and queries of the
    # predicted ones only.
    num_pairs = m * n if "ae" in objectives else 0
    if has_par:
        num_pairs += m * (n + 2 * m)
    last = num_tokens * key_value + len(objectives) * m * others
    last += num_pairs * 2 * dim
    head = len(objectives) * m * (dim * dim + dim * backbone.vocabulary_size)
    return 3 * 2 * ((backbone.num_layers - 1) * layer + last + head)


def row_sizes(preprocessor):
    """The length of a preprocessor's rows and their number of mask slots."""
    return preprocessor.sequence_length, num_mask_slots(
        preprocessor.sequence_length,
        preprocessor.mask_selection_rate,
        preprocessor.max_block,
        preprocessor.whole_words,
    )


def matmul_peak(dtype="float32", size=2048, repeats=5):
    """Measures matrix products: floating-point operations a second."""
    # Counting needs no TensorFlow.
    import tensorflow as tf

    x = tf.cast(tf.random.stateless_normal([size, size], [0, 1]), dtype)
    multiply = tf.function(lambda x: tf.reduce_sum(tf.matmul(x, x)[0]))
    multiply(x).numpy()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        # Reading a number waits for the device.
        multiply(x).numpy()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)
