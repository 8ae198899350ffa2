import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.packing import assemble_rows
from unilmv2_tf.preprocessing.tensorflow_graph import batched
from unilmv2_tf.preprocessing.tensorflow_graph import unbatched

PAD, CLS, SEP = 0, 2, 3


def assembled(texts, num_first, tokenizer, sequence_length):
    rows = assemble_rows(
        tf.ragged.constant(texts, dtype=tf.int32).to_tensor(),
        tf.constant([len(text) for text in texts]),
        tf.constant(num_first),
        tokenizer,
        sequence_length,
    )
    return {key: value.numpy().tolist() for key, value in rows.items()}


def by_hand(text, num_first, sequence_length):
    first, second = text[:num_first], text[num_first:]
    row = [CLS, *first, SEP]
    segments = [0] * len(row)
    if second:
        row += [*second, SEP]
        segments += [1] * (len(second) + 1)
    padding = [0] * (sequence_length - len(row))
    return row + padding, segments + padding, [1] * len(row) + padding


def test_the_worked_example(tokenizer):
    rows = assembled([[7, 8, 9, 5, 6]], [3], tokenizer, 10)
    assert rows == {
        "token_ids": [[2, 7, 8, 9, 3, 5, 6, 3, 0, 0]],
        "segment_ids": [[0, 0, 0, 0, 0, 1, 1, 1, 0, 0]],
        "padding_mask": [[1, 1, 1, 1, 1, 1, 1, 1, 0, 0]],
    }


def test_short_texts(tokenizer):
    rows = assembled([[7, 8], [9], []], [1, 1, 0], tokenizer, 5)
    assert rows["token_ids"] == [
        [2, 7, 3, 8, 3],
        [2, 9, 3, 0, 0],
        [2, 3, 0, 0, 0],
    ]
    assert rows["segment_ids"] == [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert rows["padding_mask"] == [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 0, 0],
    ]


def test_no_text_at_all(tokenizer):
    rows = assembled([[]], [0], tokenizer, 4)
    assert rows["token_ids"] == [[2, 3, 0, 0]]


def test_ids_are_those_of_the_tokenizer():
    tokenizer = UniLMv2Tokenizer(
        ["a", "[SEP]", "[MASK]", "[CLS]", "[UNK]", "[PAD]"]
    )
    rows = assembled([[0, 0]], [1], tokenizer, 7)
    assert rows["token_ids"] == [[3, 0, 1, 0, 1, 5, 5]]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    texts=st.lists(
        st.lists(st.integers(5, 30), max_size=12), min_size=1, max_size=5
    ),
    data=st.data(),
)
def test_equals_lists_put_together(texts, data, tokenizer):
    num_first = [
        data.draw(st.integers(min(len(text), 1), len(text))) for text in texts
    ]
    sequence_length = data.draw(st.integers(max(map(len, texts)) + 3, 20))
    rows = assembled(texts, num_first, tokenizer, sequence_length)
    for i, (text, number) in enumerate(zip(texts, num_first)):
        expected = by_hand(text, number, sequence_length)
        assert tuple(column[i] for column in rows.values()) == expected


@pytest.mark.parametrize(
    "x, is_single",
    [
        ("a", True),
        (["a"], False),
        ({"text": "a"}, True),
        ({"text": ["a"], "epoch": 3}, False),
        ({"epoch": 3, "text": ["a"]}, False),
        ({"epoch": 3, "text": "a"}, True),
        ({"segment_ids": [0], "token_ids": [7], "padding_mask": [1]}, True),
        ({"segment_ids": [[0]], "token_ids": [[7]]}, False),
    ],
)
def test_batches_and_single_examples(x, is_single):
    if isinstance(x, dict):
        x = {key: tf.convert_to_tensor(value) for key, value in x.items()}
    else:
        x = tf.convert_to_tensor(x)
    batch, found = batched(x)
    assert found == is_single
    if not is_single:
        assert batch is x
        return
    tf.nest.map_structure(
        lambda one, many: np.testing.assert_array_equal([one], many), x, batch
    )
    tf.nest.map_structure(np.testing.assert_array_equal, unbatched(batch), x)
