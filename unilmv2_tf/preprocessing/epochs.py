from unilmv2_tf.preprocessing.libraries import tf


def shuffle_each_epoch(inputs, batch_size):
    """Makes a dataset of arrays that is shuffled anew in each pass.

    The orders follow from `keras.utils.set_random_seed`.

    Args:
        inputs: array or list, or a tuple or dict of them.
        batch_size: int.

    Returns:
        A batched `tf.data.Dataset`.

    Raises:
        ValueError: if there is no example.

    Example:

    >>> from unilmv2_tf.preprocessing.epochs import shuffle_each_epoch
    >>> dataset = shuffle_each_epoch((["a", "b", "c"], [0, 1, 2]), 2)
    >>> sorted(label for _, y in dataset for label in y.numpy().tolist())
    [0, 1, 2]
    """
    if not isinstance(inputs, (dict, tuple)):
        inputs = tf.convert_to_tensor(inputs)
    dataset = tf.data.Dataset.from_tensor_slices(inputs)
    if len(dataset) == 0:
        raise ValueError(
            "`x` must hold at least one example. Received an empty `x`."
        )
    return dataset.shuffle(len(dataset), seed=0).batch(batch_size)


def renew_each_epoch(inputs, batch_size, text_key=None):
    """Makes a dataset of which each pass carries another epoch number.

    Masks are functions of a seed, a row's content and an epoch number. `fit`
    tells preprocessing nothing about epochs; this dataset does: its first
    element is a number that is drawn again, reproducibly, whenever the
    dataset is iterated.

    A dataset that has an `epoch` already is left as it is.

    Args:
        inputs: a batched `tf.data.Dataset`, or arrays or lists, which are
            shuffled in each pass and batched.
        batch_size: int. For inputs that are not a dataset.
        text_key: string. The key for inputs that are bare strings. Defaults to
            `None`.

    Returns:
        A `tf.data.Dataset` of dicts with an `epoch` entry, of shape
        `(batch,)`.

    Raises:
        ValueError: if the inputs hold no example, or other things than such
            dicts or strings.

    Example:

    >>> from unilmv2_tf.preprocessing.epochs import renew_each_epoch
    >>> dataset = renew_each_epoch(["a", "b"], batch_size=2, text_key="text")
    >>> first, second = [
    ...     [batch["epoch"].numpy().tolist() for batch in dataset]
    ...     for _ in range(2)]
    >>> first == second
    False
    """
    dataset = inputs
    if not isinstance(inputs, tf.data.Dataset):
        dataset = shuffle_each_epoch(inputs, batch_size)

    if isinstance(dataset.element_spec, dict) and (
        "epoch" in dataset.element_spec
    ):
        return dataset

    def add_epoch(epoch):
        def add(*elements):
            x = elements[0]
            is_text = text_key is not None and isinstance(x, tf.Tensor)
            if len(elements) > 1 or not (is_text or isinstance(x, dict)):
                raise ValueError(
                    "`x` must hold dicts of strings"
                    f"{' or strings' if text_key else ''}, without labels or "
                    f"weights. Received: elements {elements}"
                )
            if is_text:
                x = {text_key: x}
            leaf = next(iter(x.values()))
            return {**x, "epoch": tf.fill(tf.shape(leaf)[:1], epoch)}

        return dataset.map(add, num_parallel_calls=tf.data.AUTOTUNE)

    epochs = tf.data.Dataset.random(
        seed=0, rerandomize_each_iteration=True
    ).take(1)
    renewed = epochs.flat_map(add_epoch)
    cardinality = dataset.cardinality()
    if cardinality == tf.data.UNKNOWN_CARDINALITY:
        return renewed
    # Progress bars want to know it.
    return renewed.apply(tf.data.experimental.assert_cardinality(cardinality))
