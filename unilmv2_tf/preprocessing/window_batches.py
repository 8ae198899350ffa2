import keras
import numpy as np

from unilmv2_tf.preprocessing.libraries import tf

# Examples that become windows at once, and windows of a dataset that are
# shuffled together.
_EXAMPLES_AT_ONCE = 256
_SHUFFLED_WINDOWS = 4096


def window_batches(
    preprocessor, x, y=None, sample_weight=None, batch_size=32, shuffle=False
):
    """Makes batches of windows from examples.

    An example has one window or many; the batches that a model trains on are
    all of one size but the last. Windows of examples that are in memory are
    made once and kept there, those of a dataset are made in each pass.

    Args:
        preprocessor: a `UniLMv2QuestionAnswererPreprocessor`.
        x: what it takes; or a dataset of batches of that, alone or in a tuple
            with `y` and weights.
        y: optional answers, as it takes them.
        sample_weight: optional floats, one for each example.
        batch_size: int. How many windows there are in a batch. Defaults to
            `32`.
        shuffle: bool. Whether to shuffle windows, in each pass anew and
            reproducibly; those of a dataset within a few thousands. Defaults
            to `False`.

    Returns:
        A `tf.data.Dataset` of what the preprocessor returns; `None` if `x`
        holds integers already.

    Raises:
        ValueError: if there is no example, or an answer is not where `y` says
            it is. In a dataset such examples are left out.

    Example:

    >>> from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    >>> preprocessor = UniLMv2QuestionAnswererPreprocessor(
    ...     tokenizer, sequence_length=6, doc_stride=1, max_question_length=1)
    >>> x = {"question": ["A", "B"], "context": ["a b a b", "b"]}
    >>> for rows in window_batches(preprocessor, x, batch_size=3):
    ...     print(rows["token_ids"].numpy().tolist())
    [[2, 5, 3, 5, 6, 3], [2, 5, 3, 6, 5, 3], [2, 5, 3, 5, 6, 3]]
    [[2, 6, 3, 6, 3, 0]]
    """
    if _holds_rows(x):
        return None
    if isinstance(x, tf.data.Dataset):
        dataset = x.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE)
        dataset, num_shuffled = dataset.unbatch(), _SHUFFLED_WINDOWS
    else:
        rows = _rows_in_memory(preprocessor, (x, y, sample_weight))
        dataset = tf.data.Dataset.from_tensor_slices(rows)
        num_shuffled = len(dataset)
    if shuffle:
        dataset = dataset.shuffle(num_shuffled, seed=0)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _holds_rows(x):
    if isinstance(x, tf.data.Dataset):
        x = x.element_spec
        x = x[0] if isinstance(x, tuple) else x
    return "question" not in x


def _rows_in_memory(preprocessor, examples):
    # A dict or a tuple is structure, a list is one column.
    columns = [tuple(part.values()) for part in examples[:2] if part]
    columns = [len(column) for part in columns for column in part]
    if examples[2] is not None:
        columns.append(len(examples[2]))
    if len(set(columns)) != 1 or not columns[0]:
        raise ValueError(
            "`x`, `y` and `sample_weight` must hold as many examples, and at "
            f"least one. Received: {columns}"
        )

    def part_of(values, part):
        if isinstance(values, dict):
            return {key: value[part] for key, value in values.items()}
        return None if values is None else values[part]

    rows = []
    for start in range(0, columns[0], _EXAMPLES_AT_ONCE):
        part = slice(start, start + _EXAMPLES_AT_ONCE)
        outputs = preprocessor(*(part_of(values, part) for values in examples))
        rows.append(keras.tree.map_structure(np.asarray, outputs))
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *rows)
