import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2TextClassifierPreprocessor

PAD, CLS, SEP = 0, 2, 3
NAMES = ["bad", "fair", "good"]


def make(tokenizer, sequence_length=8, label_names=NAMES):
    return UniLMv2TextClassifierPreprocessor(
        tokenizer, sequence_length=sequence_length, label_names=label_names
    )


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    return make(tokenizer)


def lists(outputs):
    return {key: np.asarray(value).tolist() for key, value in outputs.items()}


def mapped(preprocessor, elements, batch_size=None):
    """The first element of a dataset that the preprocessor was mapped to."""
    dataset = tf.data.Dataset.from_tensor_slices(elements)
    if batch_size:
        dataset = dataset.batch(batch_size)
    return next(iter(dataset.map(preprocessor)))


def by_hand(first, second, sequence_length):
    """The authors' rule, a token at a time."""
    first, second = list(first), list(second)
    while len(first) + len(second) > sequence_length - 2 - bool(second):
        longer = first if len(first) > len(second) else second
        longer.pop()
    row = [CLS, *first, SEP]
    segments = [0] * len(row)
    if second:
        row += [*second, SEP]
        segments += [1] * (len(second) + 1)
    padding = [0] * (sequence_length - len(row))
    return {
        "token_ids": row + padding,
        "segment_ids": segments + padding,
        "padding_mask": [1] * len(row) + padding,
    }


def test_the_worked_example(preprocessor):
    # The letters c to f, and a and b.
    x = preprocessor((["c d e f"], ["a b"]))
    assert lists(x) == {
        "token_ids": [[2, 7, 8, 9, 3, 5, 6, 3]],
        "segment_ids": [[0, 0, 0, 0, 0, 1, 1, 1]],
        "padding_mask": [[1, 1, 1, 1, 1, 1, 1, 1]],
    }


@pytest.mark.parametrize("sequence_length", [5, 12])
def test_pairs_are_cut_as_token_by_token(tokenizer, sequence_length):
    letters = tokenizer.get_vocabulary()[5:31]
    pairs = [
        (letters[:num_first], letters[12 : 12 + num_second])
        for num_first in range(14)
        for num_second in range(14)
    ]
    ids = [[map(tokenizer.token_to_id, text) for text in p] for p in pairs]
    rows = [by_hand(*pair, sequence_length) for pair in ids]
    expected = {key: [row[key] for row in rows] for key in rows[0]}
    first, second = ([" ".join(text) for text in side] for side in zip(*pairs))
    preprocessor = make(tokenizer, sequence_length)
    assert lists(preprocessor((first, second))) == expected
    inside, _ = mapped(preprocessor, ((first, second), [0] * 196), 196)
    assert lists(inside) == expected
    # A text alone is a pair without a second text.
    alone = [row for row, pair in zip(rows, pairs) if not pair[1]]
    assert lists(preprocessor(first[::14]))["token_ids"] == [
        row["token_ids"] for row in alone
    ]


def test_truncate_as_kerashub(tokenizer):
    letters = tokenizer.get_vocabulary()[5:31]
    lengths = [(a, b) for a in range(1, 9) for b in range(1, 9)]
    pairs = [(letters[:a], letters[12 : 12 + b]) for a, b in lengths]
    sides = tuple([" ".join(text) for text in side] for side in zip(*pairs))
    for truncate in ("round_robin", "waterfall"):
        theirs = keras_hub.layers.MultiSegmentPacker(
            12, CLS, SEP, pad_value=PAD, truncate=truncate
        )
        expected, _ = theirs(tuple(map(tokenizer, sides)))
        ours = UniLMv2TextClassifierPreprocessor(tokenizer, 12, truncate)
        # An empty second text has a [SEP] of its own in theirs.
        rows = [row for row, pair in zip(expected, lengths) if all(pair)]
        assert lists(ours(sides))["token_ids"] == np.array(rows).tolist()


def test_the_same_in_every_form(preprocessor):
    texts, others = ["a b c", "d"], ["e", "f g h i j"]
    for plain, forms in (
        (texts, [(texts,), {"text": texts}, np.array(texts)]),
        (
            (texts, others),
            [
                {"text_b": others, "text_a": texts},
                {"text_a": texts, "text_b": others, "index": [0, 1]},
                (tf.constant(texts), tf.constant(others)),
            ],
        ),
    ):
        expected = lists(preprocessor(plain))
        for form in forms:
            assert lists(preprocessor(form)) == expected
    single = lists(preprocessor(("d", "f g h i j")))
    assert single == {key: rows[1] for key, rows in expected.items()}
    elements = ({"text_a": texts, "text_b": others}, ["good", "bad"])
    x, y = mapped(preprocessor, elements)
    assert lists(x) == {key: rows[0] for key, rows in expected.items()}
    assert y == 2


def test_empty_texts(tokenizer):
    preprocessor = make(tokenizer, 6)
    assert (
        lists(preprocessor(["", " "]))["token_ids"] == [[2, 3, 0, 0, 0, 0]] * 2
    )
    assert lists(preprocessor((["", "a", ""], ["", "", "a"]))) == {
        "token_ids": [
            [2, 3, 0, 0, 0, 0],
            [2, 5, 3, 0, 0, 0],
            [2, 3, 5, 3, 0, 0],
        ],
        "segment_ids": [[0] * 6, [0] * 6, [0, 0, 1, 1, 0, 0]],
        "padding_mask": [
            [1, 1, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 1, 0, 0],
        ],
    }


@pytest.mark.parametrize(
    "labels, expected, dtype",
    [
        (["good", "bad"], [2, 0], "int32"),
        (np.array(["fair", "fair"]), [1, 1], "int32"),
        ([1, 2], [1, 2], "int32"),
        (np.array([1, 2], "int64"), [1, 2], "int64"),
        ([0.1, 1e7 + 1], [0.1, 1e7 + 1], "float32"),
    ],
)
def test_labels(preprocessor, labels, expected, dtype):
    weights = [0.5, 2.0]
    for x, y, sample_weight in (
        preprocessor(["a", "b"], labels, weights),
        mapped(preprocessor, (["a", "b"], labels, weights), 2),
    ):
        assert x["token_ids"].shape == (2, 8)
        assert keras.backend.standardize_dtype(y.dtype) == dtype
        np.testing.assert_array_equal(y, np.array(expected, dtype))
        np.testing.assert_array_equal(sample_weight, weights)
    assert preprocessor("a", labels[1])[1] == np.array(expected, dtype)[1]


def test_an_unknown_name_is_named(tokenizer, preprocessor):
    message = (
        r"`y` must hold names of classes. Received: y=ugly é. The names are: "
        r"bad, fair, good."
    )
    with pytest.raises(ValueError, match=message):
        preprocessor(["a", "b"], ["bad", "ugly é"])
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        mapped(preprocessor, (["a", "b"], ["bad", "ugly é"]), 2)
    # TensorFlow shows other than ASCII characters as escapes.
    assert "Received: y=ugly " in str(error.value)
    assert "The names are: bad, fair, good." in str(error.value)
    with pytest.raises(ValueError, match="`label_names`"):
        make(tokenizer, label_names=None)("a", "bad")


def test_names_can_be_set_anew(tokenizer):
    preprocessor = make(tokenizer)
    assert preprocessor("a", "bad")[1] == 0
    preprocessor.label_names = ["good", "bad"]
    assert preprocessor("a", "bad")[1] == 1
    assert preprocessor.label_names == ["good", "bad"]


def test_config(tokenizer):
    preprocessor = make(tokenizer, 11)
    copy = keras.layers.deserialize(keras.layers.serialize(preprocessor))
    assert copy.get_config() == preprocessor.get_config()
    assert (copy.sequence_length, copy.label_names) == (11, NAMES)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"sequence_length": 4}, ValueError, "sequence_length=4"),
        ({"truncate": "left"}, ValueError, "truncate='left'"),
        ({"label_names": ["a"]}, ValueError, r"label_names=\['a'\]"),
        ({"label_names": ["a", "a"]}, ValueError, "different"),
        ({"label_names": "abc"}, ValueError, "label_names=abc"),
        ({"label_names": [0, 1]}, ValueError, "different strings"),
    ],
)
def test_wrong_arguments(tokenizer, arguments, error, message):
    with pytest.raises(error, match=message):
        UniLMv2TextClassifierPreprocessor(tokenizer, **arguments)


@pytest.mark.parametrize(
    "x, message",
    [
        ({"texts": ["a"]}, "keys texts"),
        ({"text_a": ["a"]}, "`text_b`"),
        ((["a"], ["b"], ["c"]), "tuple of 3"),
    ],
)
def test_wrong_inputs(preprocessor, x, message):
    with pytest.raises(ValueError, match=message):
        preprocessor(x)
