"""From logits of windows to the best spans of each passage."""

from unilmv2_tf.preprocessing.libraries import tf

# What stands for minus infinity; a server can send it.
NO_SCORE = -1e9


def best_spans(
    rows, start_logits, end_logits, batch_size, stride, n_best=1,
    max_answer_length=30,
):  # fmt: skip
    """Finds the spans of each passage with the highest scores.

    A span's score is the logit of its first token as a start plus that of its
    last token as an end. Windows overlap: a span is judged in the one that
    shows the most text around it, on its left or its right, where that is
    less; in the first one, if several are equal. Spans of the same characters
    count once.

    Args:
        rows: the dict that `sliding_windows` returns.
        start_logits: float tensor of shape `(rows, sequence_length)`.
        end_logits: float tensor of shape `(rows, sequence_length)`.
        batch_size: int. How many passages there are.
        stride: int. As given to `sliding_windows`.
        n_best: int. How many spans to return. Defaults to `1`.
        max_answer_length: int. The longest span in tokens. Defaults to `30`.

    Returns:
        A dict of tensors of shape `(batch, n_best)`, best first: `score`;
        `start` and `end`, int32 characters; `probability`, the share of
        `exp(score)` in the sum over all spans and the null score. Where there
        are fewer spans, `score` is -1e9 and `start` and `end` are -1. Of shape
        `(batch,)` there are `null_score`, the sum of the logits of `[CLS]` in
        the window where it is smallest, and `null_probability`.

    Example:

    >>> import tensorflow as tf
    >>> rows = {
    ...     "token_starts": tf.constant([[-1, -1, -1, 0, 4, -1]]),
    ...     "token_ends": tf.constant([[-1, -1, -1, 3, 7, -1]]),
    ...     "example_index": tf.constant([0]),
    ...     "window_start": tf.constant([0]),
    ...     "passage_length": tf.constant([2])}
    >>> spans = best_spans(
    ...     rows, tf.constant([[0., 9, 9, 1, 3, 9]]),
    ...     tf.constant([[1., 9, 9, 0, 2, 9]]), batch_size=1, stride=2,
    ...     n_best=2)
    >>> spans["start"].numpy().tolist(), spans["end"].numpy().tolist()
    ([[4, 0]], [[7, 7]])
    >>> spans["score"].numpy().tolist(), spans["null_score"].numpy().tolist()
    ([[5.0, 3.0]], [1.0])

    Reference:
        Devlin et al., 2019, sections 4.2 and 4.3; BERT's code for SQuAD (the
        choice of a token's window).
    """
    start_logits = tf.cast(start_logits, tf.float32)
    end_logits = tf.cast(end_logits, tf.float32)
    last = _last_places(rows, max_answer_length)
    scores = tf.where(
        _is_judged_here(rows, last, stride),
        start_logits[:, :, tf.newaxis] + tf.gather(end_logits, last, axis=1),
        NO_SCORE,
    )
    ends = tf.gather(rows["token_ends"], last, axis=1)
    starts = tf.broadcast_to(
        rows["token_starts"][:, :, tf.newaxis], tf.shape(ends)
    )
    # 1. The best of each window, 2. of each passage.
    of_rows = _distinct_best(
        *(_flat(values) for values in (scores, starts, ends)), n_best
    )
    scores_, starts_, ends_ = _distinct_best(
        *(
            _flat(_of_passages(rows, values, batch_size, default))
            for values, default in zip(of_rows, (NO_SCORE, -1, -1))
        ),
        n_best,
    )
    index = rows["example_index"]
    null_scores = tf.math.unsorted_segment_min(
        start_logits[:, 0] + end_logits[:, 0], index, batch_size
    )
    log_total = _log_sum_exp(_flat(scores), index, batch_size, null_scores)
    return {
        "score": scores_,
        "start": starts_,
        "end": ends_,
        "probability": tf.exp(scores_ - log_total[:, tf.newaxis]),
        "null_score": null_scores,
        "null_probability": tf.exp(null_scores - log_total),
    }


def _last_places(rows, max_answer_length):
    """The place of the last token, for each first place and length."""
    length = rows["token_starts"].shape[1]
    lengths = tf.range(min(max_answer_length, length))
    # Beyond the row there is its last place, which is not in the passage.
    return tf.minimum(tf.range(length)[:, tf.newaxis] + lengths, length - 1)


def _is_judged_here(rows, last, stride):
    """Which spans lie in the passage and have the most context in this window.

    With `left` tokens before a span and `right` after it, the window before
    shows `left + stride` and, where it reaches further than the span,
    `right_before`; the one after `left - stride` and more than `right`. The
    smaller numbers decide, which makes two bounds on the span's last place.

    Returns:
        A bool tensor of shape `(rows, sequence_length, lengths)`.
    """
    is_passage = rows["token_starts"] >= 0
    length = is_passage.shape[1]
    size = tf.math.count_nonzero(
        is_passage, axis=1, dtype=tf.int32, keepdims=True
    )
    first_place = tf.argmax(
        tf.cast(is_passage, tf.int32), axis=1, output_type=tf.int32
    )[:, tf.newaxis]
    room = length - 1 - first_place
    stride = tf.minimum(stride, room)
    start = rows["window_start"][:, tf.newaxis]
    is_last = start + size >= rows["passage_length"][:, tf.newaxis]

    left = tf.range(length) - first_place
    # The window before is better unless `right_before < left`.
    lowest = tf.where(start > 0, room - stride - left, 0)
    # The window after is better unless `left - stride <= right`.
    excess = tf.where(is_last, 0, tf.maximum(left - stride, 0))
    highest = size - 1 - excess
    lowest, highest = (
        tf.where(is_passage, bound + first_place, none)[:, :, tf.newaxis]
        for bound, none in ((lowest, 0), (highest, -1))
    )
    return (lowest <= last) & (last <= highest)


def _flat(values):
    size = tf.reduce_prod(tf.shape(values)[1:])
    return tf.reshape(values, [-1, size])


def _of_passages(rows, values, batch_size, default):
    """Puts the rows of each passage side by side."""
    index = tf.cast(rows["example_index"], tf.int64)
    return tf.RaggedTensor.from_value_rowids(
        values, index, tf.cast(batch_size, tf.int64), validate=False
    ).to_tensor(default)


def _distinct_best(scores, starts, ends, n_best):
    """Takes the best span away, together with its doubles, n times."""
    found = []
    for _ in range(n_best):
        best = tf.argmax(scores, axis=1)[:, tf.newaxis]
        score, start, end = (
            tf.gather(x, best, batch_dims=1) for x in (scores, starts, ends)
        )
        is_taken = (starts == start) & (ends == end)
        scores = tf.where(is_taken, NO_SCORE, scores)
        is_span = score > NO_SCORE / 2
        found.append(
            (
                tf.where(is_span, score, NO_SCORE),
                tf.where(is_span, start, -1),
                tf.where(is_span, end, -1),
            )
        )
    return tuple(tf.concat(parts, axis=1) for parts in zip(*found))


def _log_sum_exp(scores, index, batch_size, null_scores):
    """The logarithm of the sum over all spans and the null score."""
    of_rows = tf.reduce_logsumexp(scores, axis=1)
    highest = tf.maximum(
        tf.math.unsorted_segment_max(of_rows, index, batch_size), null_scores
    )
    total = tf.math.unsorted_segment_sum(
        tf.exp(of_rows - tf.gather(highest, index)), index, batch_size
    )
    return highest + tf.math.log(total + tf.exp(null_scores - highest))
