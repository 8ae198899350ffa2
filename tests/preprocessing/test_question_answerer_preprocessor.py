import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.fit_datasets import window_batches

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the fox jump ##ed who ? . , cafe 東 f ##f ##i ss ##ss stra ##e a ##a"
TOKENIZER = UniLMv2Tokenizer([*SPECIAL, *WORDS.split()])
SIZES = {"sequence_length": 12, "doc_stride": 3, "max_question_length": 4}


def preprocessor_of(**options):
    return UniLMv2QuestionAnswererPreprocessor(
        TOKENIZER, **{**SIZES, **options}
    )


# One for all tests: what it compiles takes seconds.
PREPROCESSOR = preprocessor_of()


@functools.cache
def in_pipeline():
    """What it does within a pipeline."""
    text = tf.TensorSpec([None], tf.string)
    number = tf.TensorSpec([None], tf.int32)
    return tf.function(
        lambda x, y: PREPROCESSOR.windows(x, y),
        input_signature=[
            {"question": text, "context": text},
            {"answer_start": number, "answer_text": text},
        ],
    )


def windows_in_pipeline(x, y):
    tensors = ({k: tf.constant(v) for k, v in z.items()} for z in (x, y))
    return numpy_of(in_pipeline()(*tensors))


def numpy_of(tree):
    return tf.nest.map_structure(np.asarray, tree)


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


EXAMPLES = {
    "question": ["Who jumped?", "the fox the fox the fox", "", "Who?"],
    "context": [
        "The  fox jumped. Cafe\u0301, the fox the fox jumped, the \ufb03a.",
        "the fox",
        "東 fox\u00a0jumped " * 9,
        "",
    ],
}
ANSWERS = {
    "answer_text": ["fe\u0301, the", "fox", "", ""],
    "answer_start": [19, 4, -1, 0],
}


def perfect_logits(rows):
    """Logits of a model that knows the labels."""
    length = rows["token_ids"].shape[1]
    return {
        key: 10 * np.eye(length, dtype="float32")[np.asarray(rows[key])]
        for key in ("start", "end")
    }


def test_the_worked_example():
    vocabulary = [*SPECIAL, *(chr(97 + i) for i in range(26))]
    preprocessor = UniLMv2QuestionAnswererPreprocessor(
        UniLMv2Tokenizer(vocabulary),
        sequence_length=9,
        doc_stride=2,
        max_question_length=1,
    )
    text = " ".join(vocabulary[10:17])
    x, y = preprocessor(
        {"question": vocabulary[7], "context": text},
        {"answer_text": "j k", "answer_start": text.index("j")},
    )
    assert x["token_ids"].numpy().tolist() == [
        [2, 7, 3, 10, 11, 12, 13, 14, 3],
        [2, 7, 3, 12, 13, 14, 15, 16, 3],
    ]
    assert y["start"].numpy().tolist() == [0, 5]
    assert y["end"].numpy().tolist() == [0, 6]


CHARACTERS = st.one_of(
    st.sampled_from(list(WORDS) + ["the ", " fox", "jumped "]),
    st.sampled_from("\u0301\ufb03ß\u00a0\u3000\x00\u200dÉ東😀\ufe0f한\u1161"),
    st.characters(exclude_categories=["Cs"]),
)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    context=st.lists(CHARACTERS, min_size=1, max_size=40).map("".join),
    place=st.tuples(st.floats(0, 1), st.floats(0, 0.4)),
)
def test_an_answer_survives_windows_and_comes_back(context, place):
    start = min(int(place[0] * len(context)), len(context) - 1)
    end = min(start + 1 + int(place[1] * len(context)), len(context))
    x = {"question": ["who jumped?"], "context": [context]}
    y = {"answer_start": [start], "answer_text": [context[start:end]]}
    in_graph = windows_in_pipeline(x, y)
    try:
        rows = numpy_of(PREPROCESSOR.windows(x, y))
    except ValueError:
        # There is an answer with a token around every token.
        assert not np.array(TOKENIZER(context[start:end])).size
        assert len(in_graph["start"]) == 0
        return
    assert_equal(rows, in_graph)
    found = numpy_of(
        PREPROCESSOR.best_answers([context], rows, perfect_logits(rows))
    )
    answer, first, last = (found[key][0, 0] for key in ("text", "start", "end"))
    assert answer.decode() == context[first:last]
    tokens = zip(rows["token_starts"].flat, rows["token_ends"].flat)
    tokens = [token for token in tokens if token[0] >= 0]
    if not rows["start"].any():
        # It is longer than what overlapping windows are sure to hold.
        assert rows["passage_length"][0] > 6 and end - start > 3
        return
    assert found["score"][0, 0] == 20
    # The tokens at the edges are the first and the last that it touches.
    assert first == min(start_ for start_, end_ in tokens if end_ > start)
    assert last == max(end_ for start_, end_ in tokens if start_ < end)


def test_eager_and_pipelines_agree():
    expected = numpy_of(PREPROCESSOR.windows(EXAMPLES, ANSWERS))
    assert set(expected["example_index"]) == {0, 1, 2, 3}
    assert np.bincount(expected["example_index"])[3] == 1
    assert_equal(windows_in_pipeline(EXAMPLES, ANSWERS), expected)
    dataset = tf.data.Dataset.from_tensor_slices((EXAMPLES, ANSWERS))
    # One example after the other.
    single = list(dataset.map(PREPROCESSOR.windows).as_numpy_iterator())
    for i, rows in enumerate(single):
        x = {key: values[i] for key, values in EXAMPLES.items()}
        y = {key: values[i] for key, values in ANSWERS.items()}
        assert_equal(numpy_of(PREPROCESSOR.windows(x, y)), rows)
        assert not rows["example_index"].any()
    for key in set(expected) - {"example_index"}:
        together = np.concatenate([rows[key] for rows in single])
        np.testing.assert_array_equal(together, expected[key])
    x, y, weights = PREPROCESSOR(EXAMPLES, ANSWERS, [1.0, 2.0, 3.0, 4.0])
    assert x.keys() == {"token_ids", "segment_ids", "padding_mask"}
    np.testing.assert_array_equal(y["start"], expected["start"])
    np.testing.assert_array_equal(weights, expected["example_index"] + 1)


def test_answers_are_told_by_their_end_as_well():
    y = {
        "answer_start": ANSWERS["answer_start"][:3] + [-1],
        "answer_end": np.array([27, 7, -1, -1]),
    }
    assert_equal(
        numpy_of(PREPROCESSOR.windows(EXAMPLES, y)),
        numpy_of(PREPROCESSOR.windows(EXAMPLES, ANSWERS)),
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"answer_text": "fox", "answer_start": 3},
        {"answer_text": "fox", "answer_start": 99},
        {"answer_text": "  ", "answer_start": 3},
        {"answer_start": 4, "answer_end": 4},
        {"answer_start": 4, "answer_end": 99},
    ],
)
def test_answers_that_are_elsewhere(answer):
    x = {"question": ["who?", "who?"], "context": ["the  fox", "the  fox"]}
    fitting = {"answer_text": "fox", "answer_start": 5, "answer_end": 8}
    y = {key: [fitting[key], value] for key, value in answer.items()}
    start = answer["answer_start"]
    with pytest.raises(ValueError, match=rf"`y`.*context\[{start}:.*1 of 2"):
        PREPROCESSOR.windows(x, y)
    if "answer_text" in answer:
        rows = windows_in_pipeline(x, y)
        assert rows["example_index"].tolist() == [0]
        assert rows["start"].tolist() == [5]


@pytest.mark.slow
def test_a_context_of_50000_words():
    preprocessor = preprocessor_of(
        sequence_length=384, doc_stride=128, max_question_length=64
    )
    words = ["the fox jumped, 東"] * 10000 + ["cafe"] + ["the fox"] * 5000
    context = "  ".join(words)
    y = {"answer_text": "cafe", "answer_start": context.index("cafe")}
    x = {"question": "the fox " * 50, "context": context}
    rows = numpy_of(preprocessor.windows(x, y))
    # The question is cut off, each passage token is in a window.
    assert (rows["segment_ids"] == 0)[0, : 64 + 2].all()
    assert rows["segment_ids"][0, 64 + 2] == 1
    assert rows["passage_length"][0] == 10000 * 6 + 1 + 5000 * 2
    seen = np.unique(rows["token_starts"])
    assert len(seen) == rows["passage_length"][0] + 1
    assert (rows["start"] > 0).sum() in (2, 3)
    found = preprocessor.best_answers(context, rows, perfect_logits(rows))
    assert found["text"].numpy().tolist() == [[b"cafe"]]
    assert found["start"].numpy()[0, 0] == y["answer_start"]


def test_batches_of_windows():
    weights = [1.0, 2.0, 3.0, 4.0]
    expected = numpy_of(PREPROCESSOR(EXAMPLES, ANSWERS, weights))
    num_rows = len(expected[2])

    def all_of(dataset):
        batches = list(dataset.as_numpy_iterator())
        sizes = [len(weights) for _, _, weights in batches]
        assert sizes == [5] * (num_rows // 5) + [num_rows % 5]
        return tf.nest.map_structure(lambda *x: np.concatenate(x), *batches)

    in_memory = window_batches(PREPROCESSOR, EXAMPLES, ANSWERS, weights, 5)
    assert len(in_memory) == num_rows // 5 + 1
    dataset = tf.data.Dataset.from_tensor_slices((EXAMPLES, ANSWERS, weights))
    streamed = window_batches(PREPROCESSOR, dataset.batch(3), batch_size=5)
    for batches in (in_memory, streamed):
        for one, other in zip(
            tf.nest.flatten(all_of(batches)), tf.nest.flatten(expected)
        ):
            np.testing.assert_array_equal(one, other)

    def shuffled():
        batches = window_batches(
            PREPROCESSOR, EXAMPLES, ANSWERS, weights, 5, shuffle=True
        )
        return [all_of(batches)[0]["token_ids"].tolist() for _ in range(2)]

    first, second = shuffled()
    plain = expected[0]["token_ids"].tolist()
    assert first != second and first != plain
    assert sorted(first) == sorted(second) == sorted(plain)
    assert shuffled() == [first, second]
    assert window_batches(PREPROCESSOR, expected[0]) is None
    with pytest.raises(ValueError, match=r"same number.*\[4, 3\]"):
        window_batches(PREPROCESSOR, {**EXAMPLES, "context": ["a"] * 3})


def test_config_and_preset(tmp_path):
    config = keras.layers.serialize(PREPROCESSOR)
    assert SIZES.items() <= config["config"].items()
    UniLMv2Backbone(
        vocabulary_size=30,
        num_layers=1,
        num_heads=1,
        hidden_dim=2,
        intermediate_dim=2,
    ).save_to_preset(str(tmp_path))
    PREPROCESSOR.save_to_preset(str(tmp_path))
    again = UniLMv2QuestionAnswererPreprocessor.from_preset(str(tmp_path))
    assert again.get_config() == PREPROCESSOR.get_config()
    assert again.tokenizer.get_vocabulary() == TOKENIZER.get_vocabulary()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sequence_length": 7}, "at least 8.*sequence_length=7"),
        ({"doc_stride": 0}, "`doc_stride` must be at least 1.*=0"),
        ({"max_question_length": 0}, "`max_question_length`.*=0"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        preprocessor_of(**options)


def test_words_must_be_cut():
    with pytest.raises(ValueError, match="split=False"):
        UniLMv2Tokenizer(TOKENIZER.get_vocabulary(), split=False)
