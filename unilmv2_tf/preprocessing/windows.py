"""Windows over passages for question answering: rows, labels, best answers."""

import numpy as np

from unilmv2_tf.preprocessing.packing import assemble_rows
from unilmv2_tf.preprocessing.tensorflow_graph import tf

# Minus infinity, in a form that a server can send.
NO_SCORE = -1e9


def sliding_windows(questions, passages, tokenizer, sequence_length, stride):
    """Makes rows `[CLS] question [SEP] window of the passage [SEP]`.

    `questions` are ragged ids; `passages` a tuple of ragged ids, first
    characters and ends of tokens. Windows skip no token.
    """
    question_lengths = tf.cast(questions.row_lengths(), tf.int32)
    passage_lengths = tf.cast(passages[0].row_lengths(), tf.int32)
    room = sequence_length - 3 - question_lengths
    stride = tf.minimum(stride, room)
    moves = tf.maximum(passage_lengths - room + stride - 1, 0) // stride
    example = tf.repeat(tf.range(tf.size(moves)), moves + 1)
    window = tf.ragged.range(moves + 1).flat_values

    start = window * tf.gather(stride, example)
    num_first = tf.gather(question_lengths, example)
    passage_length = tf.gather(passage_lengths, example)
    num_passage = tf.minimum(passage_length - start, tf.gather(room, example))
    # Positions in the row without its special tokens.
    position = tf.range(sequence_length - 3)[tf.newaxis]
    in_passage = position - num_first[:, tf.newaxis]
    is_passage = (in_passage >= 0) & (in_passage < num_passage[:, tf.newaxis])
    in_passage += start[:, tf.newaxis]
    passage_ids, token_starts, token_ends = (
        _gather_ragged(values, example, in_passage, is_passage)
        for values in passages
    )
    question_ids = _gather_ragged(
        questions, example, position, position < num_first[:, tf.newaxis]
    )
    rows = assemble_rows(
        tf.where(is_passage, passage_ids, question_ids),
        num_first + num_passage,
        num_first,
        tokenizer,
        sequence_length,
    )
    # Two special tokens precede the passage, one follows it.
    specials = [[0, 0], [2, 1]]
    return {
        **rows,
        "token_starts": tf.pad(token_starts, specials, constant_values=-1),
        "token_ends": tf.pad(token_ends, specials, constant_values=-1),
        "example_index": example,
        "window_start": start,
        "passage_length": passage_length,
    }


def _gather_ragged(ragged, example, position, is_wanted):
    # An extra value, because a gather from an empty tensor fails.
    values = tf.pad(tf.cast(ragged.flat_values, tf.int32), [[0, 1]])
    start = tf.cast(tf.gather(ragged.row_starts(), example), tf.int32)
    index = tf.where(is_wanted, start[:, tf.newaxis] + position, 0)
    return tf.where(is_wanted, tf.gather(values, index), -1)


def label_windows(rows, first_token, last_token):
    """Returns positions of answers, 0 where a window holds no whole answer."""
    is_passage = tf.cast(rows["token_starts"] >= 0, tf.int32)
    first_position = tf.argmax(is_passage, axis=1, output_type=tf.int32)
    first = tf.gather(first_token, rows["example_index"])
    last = tf.gather(last_token, rows["example_index"])
    window_start = rows["window_start"]
    window_end = window_start + tf.reduce_sum(is_passage, axis=1)
    is_held = (first >= window_start) & (last < window_end) & (first >= 0)
    return {
        name: tf.where(is_held, token - window_start + first_position, 0)
        for name, token in (("start", first), ("end", last))
    }


def answer_characters(context, y):
    """Returns the first character and the end of answers, and which misfit."""
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
    """Returns the first and the last token of answers, and which have none."""
    _, token_starts, token_ends = passages
    row = token_starts.value_rowids()

    def count(is_counted):
        return tf.math.unsorted_segment_sum(
            tf.cast(is_counted, tf.int32), row, tf.size(start)
        )

    first = count(token_ends.flat_values <= tf.gather(start, row))
    last = count(token_starts.flat_values < tf.gather(end, row)) - 1
    is_answer = start >= 0
    return (
        tf.where(is_answer, first, -1),
        tf.where(is_answer, last, -1),
        is_answer & (last < first),
    )


def check_answers(x, y, misfits):
    """Raises with the first answer that is not in its passage."""
    if not np.any(misfits):
        return
    index = int(np.argmax(misfits))
    context = _example(x["context"], index)
    answer = {key: _example(value, index) for key, value in y.items()}
    start = int(answer["answer_start"])
    if "answer_text" in answer:
        end = start + len(answer["answer_text"])
    else:
        end = int(answer["answer_end"])
    raise ValueError(
        "`y` must locate the answer in its context, in characters: "
        "`context[answer_start:answer_end]` is the answer, and holds a word. "
        f"Received: {answer}, where context[{start}:{end}] is "
        f"{context[start:end]!r}, and {int(np.sum(misfits))} of "
        f"{np.size(misfits)} such examples. Count code points of the text as "
        "it is passed in, not bytes; -1 means that there is no answer."
    )


def _example(values, index):
    value = np.reshape(np.asarray(values, dtype=object), [-1])[index]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else int(value)


def best_spans(
    rows,
    start_logits,
    end_logits,
    batch_size,
    stride,
    n_best=1,
    max_answer_length=30,
):
    """Finds the spans of each passage with the highest scores.

    The score of a span is the start logit of its first token plus the end logit
    of its last token. Windows overlap: a span is scored in the first window
    with the most context, the smaller of its left and right context (Devlin et
    al., 2019, section 4.2). Spans of the same characters count once. See
    `UniLMv2QuestionAnswererPreprocessor.best_answers` for the result.
    """
    start_logits = tf.cast(start_logits, tf.float32)
    end_logits = tf.cast(end_logits, tf.float32)
    last = _last_positions(rows, max_answer_length)
    scores = tf.where(
        _is_scored_here(rows, last, stride),
        start_logits[:, :, tf.newaxis] + tf.gather(end_logits, last, axis=1),
        NO_SCORE,
    )
    ends = tf.gather(rows["token_ends"], last, axis=1)
    starts = tf.broadcast_to(
        rows["token_starts"][:, :, tf.newaxis], tf.shape(ends)
    )
    # 1. The best of each window, 2. of each passage.
    best_of_windows = _distinct_best(
        *(_flat(values) for values in (scores, starts, ends)), n_best
    )
    best_scores, best_starts, best_ends = _distinct_best(
        *(
            _flat(_by_passage(rows, values, batch_size, default))
            for values, default in zip(best_of_windows, (NO_SCORE, -1, -1))
        ),
        n_best,
    )
    index = rows["example_index"]
    null_scores = tf.math.unsorted_segment_min(
        start_logits[:, 0] + end_logits[:, 0], index, batch_size
    )
    log_total = _log_sum_exp(_flat(scores), index, batch_size, null_scores)
    return {
        "score": best_scores,
        "start": best_starts,
        "end": best_ends,
        "probability": tf.exp(best_scores - log_total[:, tf.newaxis]),
        "null_score": null_scores,
        "null_probability": tf.exp(null_scores - log_total),
    }


def _last_positions(rows, max_answer_length):
    """The last position of the span with each first position and length."""
    length = rows["token_starts"].shape[1]
    lengths = tf.range(min(max_answer_length, length))
    # The last position of a row, where no passage reaches, stands for all
    # positions beyond.
    return tf.minimum(tf.range(length)[:, tf.newaxis] + lengths, length - 1)


def _is_scored_here(rows, last, stride):
    """Whether spans lie in the passage, with the most context in this window.

    With `left` tokens before a span and `right` after it, the previous window
    has `left + stride` and, if it reaches beyond the span, `right_before`; the
    next one has `left - stride` and more than `right`.
    """
    is_passage = rows["token_starts"] >= 0
    length = is_passage.shape[1]
    size = tf.math.count_nonzero(
        is_passage, axis=1, dtype=tf.int32, keepdims=True
    )
    first_position = tf.argmax(
        tf.cast(is_passage, tf.int32), axis=1, output_type=tf.int32
    )[:, tf.newaxis]
    room = length - 1 - first_position
    stride = tf.minimum(stride, room)
    start = rows["window_start"][:, tf.newaxis]
    is_last_window = start + size >= rows["passage_length"][:, tf.newaxis]

    left = tf.range(length) - first_position
    # The previous window is better unless `right_before < left`.
    lowest = tf.where(start > 0, room - stride - left, 0)
    # The next window is better unless `left - stride <= right`.
    excess = tf.where(is_last_window, 0, tf.maximum(left - stride, 0))
    highest = size - 1 - excess
    lowest, highest = (
        tf.where(is_passage, bound + first_position, none)[:, :, tf.newaxis]
        for bound, none in ((lowest, 0), (highest, -1))
    )
    return (lowest <= last) & (last <= highest)


def _flat(values):
    return tf.reshape(values, [-1, tf.reduce_prod(tf.shape(values)[1:])])


def _by_passage(rows, values, batch_size, default):
    """Puts the windows of each passage side by side."""
    return tf.RaggedTensor.from_value_rowids(
        values,
        tf.cast(rows["example_index"], tf.int64),
        tf.cast(batch_size, tf.int64),
        validate=False,
    ).to_tensor(default)


def _distinct_best(scores, starts, ends, n_best):
    """Removes the best span with its duplicates, `n_best` times."""
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
    """Over all spans of each passage and its null score."""
    of_windows = tf.reduce_logsumexp(scores, axis=1)
    highest = tf.maximum(
        tf.math.unsorted_segment_max(of_windows, index, batch_size), null_scores
    )
    total = tf.math.unsorted_segment_sum(
        tf.exp(of_windows - tf.gather(highest, index)), index, batch_size
    )
    return highest + tf.math.log(total + tf.exp(null_scores - highest))
