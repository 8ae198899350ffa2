import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.preprocessing.windows import label_windows
from unilmv2_tf.preprocessing.windows import sliding_windows


def ragged(rows):
    return tf.RaggedTensor.from_row_lengths(
        tf.constant([x for row in rows for x in row], tf.int32),
        [len(row) for row in rows],
    )


def windows(tokenizer, questions, passages, length, stride):
    """Windows of passages of which a token is its own first character."""
    starts = ragged([range(0, 2 * len(row), 2) for row in passages])
    rows = sliding_windows(
        ragged(questions),
        (ragged(passages), starts, starts + 1),
        tokenizer,
        length,
        stride,
    )
    return {key: values.numpy().tolist() for key, values in rows.items()}


def windows_by_hand(questions, passages, length, stride):
    """What BERT does, one window after the other."""
    rows = {
        key: []
        for key in (
            "token_ids segment_ids padding_mask token_starts token_ends "
            "example_index window_start passage_length"
        ).split()
    }
    for example, (question, passage) in enumerate(zip(questions, passages)):
        room = length - len(question) - 3
        start = 0
        while True:
            part = passage[start : start + room]
            tokens = [2, *question, 3, *part]
            # Nothing is a segment of its own.
            tokens += [3] * bool(part)
            padding = [0] * (length - len(tokens))
            before = [-1] * (len(question) + 2)
            after = [-1] * (length - len(before) - len(part))
            numbers = range(start, start + len(part))
            second = [1] * (len(tokens) - len(before))
            rows["token_ids"].append(tokens + padding)
            rows["segment_ids"].append([0] * len(before) + second + padding)
            rows["padding_mask"].append([1] * len(tokens) + padding)
            rows["token_starts"].append(
                before + [2 * number for number in numbers] + after
            )
            rows["token_ends"].append(
                before + [2 * number + 1 for number in numbers] + after
            )
            rows["example_index"].append(example)
            rows["window_start"].append(start)
            rows["passage_length"].append(len(passage))
            if start + len(part) >= len(passage):
                break
            start += min(len(part), stride)
    return rows


@pytest.mark.parametrize(
    "length, stride", [(12, 3), (12, 1), (12, 100), (9, 4), (16, 6)]
)
def test_windows_are_those_of_bert(tokenizer, length, stride):
    rng = np.random.default_rng(length)
    sizes = [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 14, 40, 0, 300]
    passages = [rng.integers(5, 30, size).tolist() for size in sizes]
    questions = [rng.integers(5, 30, n % 6).tolist() for n in range(len(sizes))]
    rows = windows(tokenizer, questions, passages, length, stride)
    assert rows == windows_by_hand(questions, passages, length, stride)


def test_labels_stand_where_the_whole_answer_is(tokenizer):
    passages = [list(range(10, 20)), [10, 11, 12], [10] * 9, []]
    rows = windows(tokenizer, [[7]] * 4, passages, 8, 1)
    tensors = {key: tf.constant(value) for key, value in rows.items()}
    first, last = [4, 0, -1, -1], [6, 2, -1, -1]
    labels = label_windows(tensors, tf.constant(first), tf.constant(last))
    start, end = (labels[key].numpy() for key in ("start", "end"))
    held = []
    for row, example in enumerate(rows["example_index"]):
        answer = passages[example][first[example] : last[example] + 1]
        found = rows["token_ids"][row][start[row] : end[row] + 1]
        if start[row]:
            assert found == answer
            held.append((example, rows["window_start"][row]))
        else:
            assert end[row] == 0
    assert held == [(0, 3), (0, 4), (1, 0)]
