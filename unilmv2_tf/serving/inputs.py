"""What every signature does with its inputs before a model sees them."""

import tensorflow as tf


def traced_once(function, num_inputs):
    """Makes a function of rows that several signatures can share.

    Its graph is traced once and stored once, which halves the time of an
    export, the graph and the time that a server takes to load it.

    Args:
        function: takes int32 tensors of shape `(batch, n)`.
        num_inputs: int. How many.

    Returns:
        A `tf.function`.

    Example:

    >>> import tensorflow as tf
    >>> double = traced_once(lambda ids: 2 * ids, 1)
    >>> double(tf.constant([[1, 2]])).numpy().tolist()
    [[2, 4]]
    """
    spec = tf.TensorSpec([None, None], tf.int32)
    return tf.function(
        function, input_signature=[spec] * num_inputs, autograph=False
    )


def readable(texts):
    """Makes valid UTF-8 of whatever bytes a request brings.

    Args:
        texts: string tensor of any shape.

    Returns:
        A string tensor of the same shape. What is no UTF-8 became U+FFFD, as
        Python's `errors="replace"` has it; the tokenizer drops it.

    Example:

    >>> import tensorflow as tf
    >>> readable(tf.constant([b"a\\xffb"])).numpy()[0].decode()
    'a\ufffdb'
    """
    return tf.strings.unicode_transcode(
        texts, "UTF-8", "UTF-8", errors="replace"
    )


def with_a_row(function, **inputs):
    """Calls a function that needs at least one row, for any number of rows.

    An empty batch gets a row for the time of the call: servers and clients
    send such batches, and a reshape to `-1` has no answer to them.

    Args:
        function: takes the inputs by name, returns a dict of tensors with the
            batch on their first axis.
        **inputs: tensors with the batch on their first axis: strings, or
            integers of shape `(batch, n)`, which get a column of zeros more,
            since `n` may be 0 as well.

    Returns:
        What the function returns, with the rows that were given.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if the inputs have
            different numbers of rows.

    Example:

    >>> import tensorflow as tf
    >>> twice = lambda x: {"twice": tf.strings.join([x, x])}
    >>> with_a_row(twice, x=tf.constant([], tf.string))["twice"].shape.as_list()
    [0]
    """
    sizes = {name: tf.shape(tensor)[0] for name, tensor in inputs.items()}
    names = list(sizes)
    size = sizes[names[0]]
    checks = [
        tf.debugging.assert_equal(
            size, sizes[name], f"`{names[0]}` and `{name}` must be as many"
        )
        for name in names[1:]
    ]
    missing = tf.cast(size == 0, tf.int32)
    with tf.control_dependencies([check for check in checks if check]):
        inputs = {
            name: (
                tf.concat([tensor, tf.fill([missing], "")], axis=0)
                if tensor.dtype == tf.string
                else tf.pad(tensor, [[0, missing], [0, 1]])
            )
            for name, tensor in inputs.items()
        }
    outputs = function(**inputs)
    return {name: tensor[:size] for name, tensor in outputs.items()}


def without_server_padding(token_ids, padding_mask, cls_token_id):
    """Takes back what a server added to make rows equally long.

    TensorFlow Serving batches requests of different lengths, if it is told to
    pad them, by repeating the first element of each tensor: `[CLS]` among the
    ids, and 1 in the mask, which would make text of it. No text ends in
    `[CLS]`, so such an end is none.

        token_ids     2 7 8 3 2 2      2 is [CLS], 3 [SEP]
        padding_mask  1 1 1 1 1 1
        returned      1 1 1 1 0 0

    Args:
        token_ids: int tensor of shape `(batch, n)`.
        padding_mask: int tensor of shape `(batch, n)`.
        cls_token_id: int.

    Returns:
        An int32 tensor of shape `(batch, n)`: the mask without that end.

    Example:

    >>> import tensorflow as tf
    >>> ids = tf.constant([[2, 7, 3, 2, 2], [2, 7, 8, 9, 3]])
    >>> without_server_padding(ids, tf.ones_like(ids), 2).numpy().tolist()
    [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    """
    is_other = (token_ids != cls_token_id) & (padding_mask > 0)
    is_other = tf.cast(is_other, tf.int32)
    # Up to the last token that is no `[CLS]`.
    before_end = tf.cumsum(is_other, axis=1, reverse=True) > 0
    is_first = tf.range(tf.shape(token_ids)[1]) == 0
    is_text = (padding_mask > 0) & (before_end | is_first)
    return tf.cast(is_text, tf.int32)


def default_buckets(length):
    """The widths that rows are computed at: 16, 32, 64, ... and the longest.

    Args:
        length: int. The longest row.

    Returns:
        A tuple of ints, rising.

    Example:

    >>> default_buckets(100)
    (16, 32, 64, 100)
    """
    widths = []
    width = 16
    while width < length:
        widths.append(width)
        width *= 2
    return (*widths, length)


def used_widths(mask):
    """How far the text of each row reaches; a client's mask may have gaps.

    Args:
        mask: int tensor of shape `(batch, n)`.

    Returns:
        An int32 tensor of shape `(batch,)`.

    Example:

    >>> import tensorflow as tf
    >>> used_widths(tf.constant([[1, 0, 1, 0], [0, 0, 0, 0]])).numpy().tolist()
    [3, 0]
    """
    places = tf.range(1, tf.shape(mask)[1] + 1)
    return tf.reduce_max(tf.where(mask > 0, places, 0), axis=1)


def shortened(rows, mask_name, buckets):
    """Cuts rows to the narrowest bucket that holds the text of all of them.

    Args:
        rows: dict of tensors of shape `(batch, n)`.
        mask_name: string. The key of the padding mask.
        buckets: tuple of ints, rising, or `None`, which leaves them.

    Returns:
        A dict of tensors of shape `(batch, width)`.

    Example:

    >>> import tensorflow as tf
    >>> mask = tf.constant([[1, 1, 1, 0, 0, 0, 0, 0]])
    >>> shortened({"mask": mask}, "mask", (2, 4, 8))["mask"].shape.as_list()
    [1, 4]
    """
    if not buckets:
        return rows
    used = tf.reduce_max(used_widths(rows[mask_name]))
    widths = tf.constant(buckets, tf.int32)
    index = tf.reduce_sum(tf.cast(widths < used, tf.int32))
    width = tf.gather(widths, tf.minimum(index, len(buckets) - 1))
    width = tf.maximum(width, used)
    return {name: tensor[:, :width] for name, tensor in rows.items()}
