import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets.packed.rows import rows_from_token_ids
from unilmv2_tf.datasets.packed.rows import token_dtype
from unilmv2_tf.preprocessing import pack_documents


@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    texts=st.lists(st.text("abc ", max_size=30), min_size=1, max_size=12),
    sequence_length=st.integers(5, 12),
)
def test_the_same_as_when_packed(texts, sequence_length, tokenizer):
    documents = tf.data.Dataset.from_tensor_slices({"text": texts})
    packed = pack_documents(documents, tokenizer, sequence_length)
    for row in packed:
        derived = rows_from_token_ids(
            tf.cast(row["token_ids"], tf.uint16), tokenizer
        )
        for key, value in derived.items():
            assert value.dtype == tf.int32
            np.testing.assert_array_equal(value, row[key], key)


def test_ids_take_two_bytes_if_they_fit():
    assert token_dtype(65536) == np.uint16
    assert token_dtype(65537) == np.int32
