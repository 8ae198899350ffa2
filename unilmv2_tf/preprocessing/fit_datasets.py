"""Datasets for `fit`: shuffled, masked anew, or cut into windows."""

import keras
import numpy as np

from unilmv2_tf.preprocessing.tensorflow_graph import tf

_EXAMPLES_AT_ONCE = 256
# Windows of a streamed dataset that are shuffled together.
_SHUFFLE_BUFFER = 4096


def check_texts(x, name="x"):
    """Names the first None or NaN, which stand for missing texts.

    >>> check_texts(["a text", None])
    Traceback (most recent call last):
    ValueError: `x` must hold texts. Received: x[1]=None, 1 such row of 2. ...
    """
    if isinstance(x, dict):
        for key, column in x.items():
            check_texts(column, f"{name}[{key!r}]")
    elif isinstance(x, tuple):
        for index, column in enumerate(x):
            check_texts(column, f"{name}[{index}]")
    elif isinstance(x, list) or str(getattr(x, "dtype", "")) == "object":
        # NaN is the only value that differs from itself.
        missing = [
            row
            for row, text in enumerate(x)
            if text is None or (isinstance(text, float) and text != text)
        ]
        if missing:
            rows = "row" if len(missing) == 1 else "rows"
            raise ValueError(
                f"`{name}` must hold texts. Received: {name}[{missing[0]}]="
                f"{list(x)[missing[0]]}, {len(missing)} such {rows} of "
                f"{len(x)}. Remove them, or put a text there (with pandas: "
                "dropna or fillna)"
            )


def shuffle_each_epoch(inputs, batch_size):
    """Makes a batched dataset of arrays, shuffled anew in each pass."""
    check_texts(inputs[0] if isinstance(inputs, tuple) else inputs)
    if not isinstance(inputs, (dict, tuple)):
        inputs = tf.convert_to_tensor(inputs)
    dataset = tf.data.Dataset.from_tensor_slices(inputs)
    if len(dataset) == 0:
        raise ValueError(
            "`x` must hold at least one example. Received an empty `x`."
        )
    return dataset.shuffle(len(dataset), seed=0).batch(batch_size)


def renew_each_epoch(inputs, batch_size, text_key=None):
    """Makes a dataset whose elements carry an `epoch`, another in each pass.

    Masks are functions of a seed, the row and an epoch number, which `fit` does
    not pass to preprocessing. `inputs` is a batched dataset, or arrays; bare
    strings become dicts with the key `text_key`.
    """
    check_texts(inputs)
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

    epochs = tf.data.Dataset.random(seed=0, rerandomize_each_iteration=True)
    renewed = epochs.take(1).flat_map(add_epoch)
    cardinality = dataset.cardinality()
    if cardinality == tf.data.UNKNOWN_CARDINALITY:
        return renewed
    # Progress bars show it.
    return renewed.apply(tf.data.experimental.assert_cardinality(cardinality))


def window_batches(
    preprocessor, x, y=None, sample_weight=None, batch_size=32, shuffle=False
):
    """Makes batches of windows from examples; `None` if `x` holds integers."""
    if _holds_rows(x):
        return None
    if isinstance(x, tf.data.Dataset):
        dataset = x.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
        dataset, buffer_size = dataset.unbatch(), _SHUFFLE_BUFFER
    else:
        rows = _rows_in_memory(preprocessor, x, y, sample_weight)
        dataset = tf.data.Dataset.from_tensor_slices(rows)
        buffer_size = len(dataset)
    if shuffle:
        dataset = dataset.shuffle(buffer_size, seed=0)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _holds_rows(x):
    if isinstance(x, tf.data.Dataset):
        x = x.element_spec
        x = x[0] if isinstance(x, tuple) else x
    return "question" not in x


def _rows_in_memory(preprocessor, x, y, sample_weight):
    columns = [*x.values(), *(y or {}).values()]
    if sample_weight is not None:
        columns.append(sample_weight)
    lengths = [len(column) for column in columns]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(
            "`x`, `y` and `sample_weight` must hold the same number of "
            f"examples, at least one. Received: {lengths}"
        )

    def part_of(values, part):
        if isinstance(values, dict):
            return {key: value[part] for key, value in values.items()}
        return None if values is None else values[part]

    rows = []
    for start in range(0, lengths[0], _EXAMPLES_AT_ONCE):
        part = slice(start, start + _EXAMPLES_AT_ONCE)
        outputs = preprocessor(
            *(part_of(values, part) for values in (x, y, sample_weight))
        )
        rows.append(keras.tree.map_structure(np.asarray, outputs))
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *rows)
