import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.preprocessing import pack_documents
from unilmv2_tf.preprocessing.packing import PackingStatistics

CLS, SEP = 2, 3
A, B, C, UNK = 5, 6, 7, 1
KEYS = ("token_ids", "segment_ids", "padding_mask", "num_documents")


def rows_of(texts, tokenizer, sequence_length, batch_size=512):
    documents = tf.data.Dataset.from_tensor_slices(
        {"text": tf.constant(texts, tf.string)}
    )
    return pack_documents(documents, tokenizer, sequence_length, batch_size)


def lists_of(rows):
    return [
        tuple(row[key].tolist() for key in KEYS)
        for row in rows.as_numpy_iterator()
    ]


def by_hand(documents, sequence_length):
    """The rows of lists of ids, one row after the other."""
    tokens = [
        (token, place == 0)
        for document in documents
        for place, token in enumerate(document)
    ]
    room = sequence_length - 3
    rows = []
    for begin in range(0, len(tokens), room):
        piece = tokens[begin : begin + room]
        starts = [i for i, (_, is_start) in enumerate(piece) if is_start]
        middle = (len(piece) + 1) // 2
        seams = [i for i in starts if i > 0] or [middle]
        seam = min(seams, key=lambda i: abs(i - middle))
        first = [token for token, _ in piece[:seam]]
        second = [token for token, _ in piece[seam:]]
        row = [CLS, *first, SEP]
        segments = [0] * len(row)
        if second:
            row += [*second, SEP]
            segments += [1] * (len(second) + 1)
        padding = [0] * (sequence_length - len(row))
        rows.append(
            (
                row + padding,
                segments + padding,
                [1] * len(row) + padding,
                len(starts),
            )
        )
    return rows


def test_the_worked_example(tokenizer):
    texts = ["a b c", "a a", "", "c"]
    assert lists_of(rows_of(texts, tokenizer, 7)) == [
        (
            [2, 5, 6, 7, 3, 5, 3],
            [0, 0, 0, 0, 0, 1, 1],
            [1, 1, 1, 1, 1, 1, 1],
            2,
        ),
        (
            [2, 5, 3, 7, 3, 0, 0],
            [0, 0, 0, 1, 1, 0, 0],
            [1, 1, 1, 1, 1, 0, 0],
            1,
        ),
    ]


def test_the_seam_nearest_to_the_middle(tokenizer):
    # Documents of 1, 4, 2 and 1 tokens meet at 1, 5 and 7 of 8; 5 is nearest.
    texts = ["a", "b b b b", "c c", "a"]
    ((row, segments, _, number),) = lists_of(rows_of(texts, tokenizer, 11))
    assert row == [CLS, A, B, B, B, B, SEP, C, C, A, SEP]
    assert segments == [0] * 7 + [1] * 4
    assert number == 4


def test_a_document_longer_than_a_row_is_halved(tokenizer):
    rows = lists_of(rows_of(["a a a b b b c c"], tokenizer, 8))
    assert [row for row, *_ in rows] == [
        [CLS, A, A, A, SEP, B, B, SEP],
        [CLS, B, C, SEP, C, SEP, 0, 0],
    ]
    assert [number for *_, number in rows] == [1, 0]


def test_one_token_is_one_segment(tokenizer):
    assert lists_of(rows_of(["", "a", " "], tokenizer, 5)) == [
        ([CLS, A, SEP, 0, 0], [0] * 5, [1, 1, 1, 0, 0], 1)
    ]


@settings(max_examples=5, deadline=None, derandomize=True)
@given(
    documents=st.lists(
        st.lists(st.integers(5, 30), max_size=9), min_size=1, max_size=20
    ),
    sequence_length=st.integers(5, 16),
    batch_size=st.sampled_from([1, 2, 7, 512]),
)
def test_nothing_is_dropped(documents, sequence_length, batch_size, tokenizer):
    letters = tokenizer.get_vocabulary()
    texts = [" ".join(letters[i] for i in ids) for ids in documents]
    rows = lists_of(rows_of(texts, tokenizer, sequence_length, batch_size))
    packed = [
        token
        for row, _, mask, _ in rows
        for token in row[: sum(mask)]
        if token not in (CLS, SEP)
    ]
    assert packed == list(itertools.chain(*documents))
    # Only the last row has padding, and segments are contiguous.
    assert all(sum(mask) == sequence_length for _, _, mask, _ in rows[:-1])
    assert all(
        segments[: sum(mask)] == sorted(segments[: sum(mask)])
        for _, segments, mask, _ in rows
    )
    assert rows == by_hand(documents, sequence_length)


def test_more_rows_than_one_batch_of_rows(tokenizer):
    generator = np.random.default_rng(3)
    documents = [
        generator.integers(5, 31, size).tolist()
        for size in generator.integers(0, 30, 300)
    ]
    letters = tokenizer.get_vocabulary()
    texts = [" ".join(letters[i] for i in ids) for ids in documents]
    rows = lists_of(rows_of(texts, tokenizer, 9, batch_size=32))
    assert len(rows) > 512
    assert rows == by_hand(documents, 9)


def test_rows_have_static_shapes(tokenizer):
    spec = rows_of(["a"], tokenizer, 8).element_spec
    assert spec["token_ids"] == tf.TensorSpec([8], tf.int32)
    assert spec["segment_ids"] == tf.TensorSpec([8], tf.int32)
    assert spec["padding_mask"] == tf.TensorSpec([8], tf.int32)


@pytest.mark.parametrize("texts", [["", "  ", "\n"], []])
def test_a_corpus_without_text_has_no_rows(texts, tokenizer):
    rows = rows_of(texts, tokenizer, 8)
    assert lists_of(rows) == []


def test_rows_too_short_for_two_segments(tokenizer):
    with pytest.raises(ValueError, match="sequence_length=4"):
        rows_of(["a"], tokenizer, 4)


def test_statistics(tokenizer):
    token_ids = np.array(
        [
            row
            for row, *_ in by_hand(
                [[A, B, UNK], [], [UNK, UNK], [C, C, C, C], [B]], 9
            )
        ]
    )
    statistics = PackingStatistics.of(token_ids, 4, tokenizer)
    assert statistics == PackingStatistics(
        documents=4,
        tokens=10,
        unknown_tokens=3,
        rows=2,
        # Ten tokens and six special ones in 18 places.
        padding_share=pytest.approx(2 / 18),
    )
    both = statistics + PackingStatistics.of(token_ids[:1], 2, tokenizer)
    assert (both.documents, both.rows) == (6, 3)
    assert both.padding_share == pytest.approx(2 / 27)
