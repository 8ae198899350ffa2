"""Labels of extractive question answering: where the answer stands."""

import numpy as np

from unilmv2_tf.preprocessing.libraries import tf


def answer_characters(context, y):
    """Reads the two ways to name an answer.

    Args:
        context: string tensor of shape `(batch,)`.
        y: a dict of tensors of shape `(batch,)`: `answer_text` and
            `answer_start`, or `answer_start` and `answer_end`.

    Returns:
        A tuple of int32 tensors and a bool tensor of shape `(batch,)`: the
        first character of the answer, -1 if there is none; the one after its
        last; and whether it is not in the passage.

    Example:

    >>> import tensorflow as tf
    >>> first, end, is_misfit = answer_characters(
    ...     tf.constant(["the fox", "the fox", "the fox"]),
    ...     {"answer_text": tf.constant(["fox", "", "fox"]),
    ...      "answer_start": tf.constant([4, 0, 3])})
    >>> first.numpy().tolist(), end.numpy().tolist()
    ([4, -1, 3], [7, -1, 6])
    >>> is_misfit.numpy().tolist()
    [False, False, True]
    """
    start = tf.cast(y["answer_start"], tf.int32)
    length = tf.strings.length(context, "UTF8_CHAR")
    if "answer_text" in y:
        text = y["answer_text"]
        size = tf.strings.length(text, "UTF8_CHAR")
        end = start + size
        is_answer = (start >= 0) & (size > 0)
        found = tf.strings.substr(
            context, tf.clip_by_value(start, 0, length), size, "UTF8_CHAR"
        )
        is_misfit = found != text
    else:
        end = tf.cast(y["answer_end"], tf.int32)
        is_answer = start >= 0
        is_misfit = (end <= start) | (end > length)
    return (
        tf.where(is_answer, start, -1),
        tf.where(is_answer, end, -1),
        is_answer & is_misfit,
    )


def answer_tokens(passages, start, end):
    """Widens answers to whole tokens.

    Args:
        passages: ids, first characters and ends of tokens, ragged tensors of
            shape `(batch, tokens)`.
        start: int32 tensor of shape `(batch,)`, the first character of the
            answer, -1 if there is none.
        end: int32 tensor of shape `(batch,)`.

    Returns:
        A tuple of tensors of shape `(batch,)`: the numbers of the first and
        the last token, -1 if there is no answer, and whether there is an
        answer without a token.

    Example:

    >>> import tensorflow as tf
    >>> starts = tf.ragged.constant([[0, 4]])
    >>> first, last, has_no_token = answer_tokens(
    ...     (None, starts, starts + 3), tf.constant([5]), tf.constant([6]))
    >>> first.numpy().tolist(), last.numpy().tolist()
    ([1], [1])
    """
    _, token_starts, token_ends = passages
    row = token_starts.value_rowids()

    def count(is_counted):
        return tf.math.unsorted_segment_sum(
            tf.cast(is_counted, tf.int32), row, tf.size(start)
        )

    first = count(token_ends.flat_values <= tf.gather(start, row))
    last = count(token_starts.flat_values < tf.gather(end, row)) - 1
    has_no_token = (start >= 0) & (last < first)
    return (
        tf.where(start >= 0, first, -1),
        tf.where(start >= 0, last, -1),
        has_no_token,
    )


def check_answers(x, y, misfits):
    """Says which answer is not in its passage.

    Args:
        x: a dict with `context`, of one example or a batch.
        y: the answers, of the same.
        misfits: bool array of shape `(batch,)`.

    Raises:
        ValueError: if there is a misfit.

    Example:

    >>> check_answers({"context": "the fox"},
    ...               {"answer_start": 5, "answer_end": 9}, [True])
    Traceback (most recent call last):
    ...
    ValueError: `y` must say where the answer stands in its context...
    """
    if not np.any(misfits):
        return
    index = int(np.argmax(misfits))
    context = _one(x["context"], index)
    answer = {key: _one(value, index) for key, value in y.items()}
    start = int(answer["answer_start"])
    if "answer_text" in answer:
        end = start + len(answer["answer_text"])
    else:
        end = int(answer["answer_end"])
    raise ValueError(
        "`y` must say where the answer stands in its context, in characters: "
        "`context[answer_start:answer_end]` is the answer, and holds a word. "
        f"Received: {answer}, where context[{start}:{end}] is "
        f"{context[start:end]!r}. Count code points "
        "of the text as it is passed in, not bytes; -1 says that there is no "
        f"answer. {int(np.sum(misfits))} of {np.size(misfits)} examples "
        "don't fit."
    )


def _one(values, index):
    value = np.reshape(np.asarray(values, dtype=object), [-1])[index]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else int(value)
