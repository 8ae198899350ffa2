import numpy as np
import pytest
import tensorflow as tf
from sklearn.feature_extraction.text import TfidfVectorizer

from unilmv2_tf.evaluation import LeadBaseline
from unilmv2_tf.evaluation import LinearBaseline
from unilmv2_tf.evaluation import LookupBaseline
from unilmv2_tf.evaluation import MajorityBaseline
from unilmv2_tf.evaluation import NearestNeighborBaseline

PAIRS = [
    ("the axis to sum over", "axis"),
    ("the axis along which", "axis"),
    ("a seed of random numbers", "seed"),
    ("naïve size of the kernel", "size"),
]


def test_datasets_and_lists_are_the_same():
    dataset = tf.data.Dataset.from_tensor_slices(
        {
            "encoder_text": [source for source, _ in PAIRS],
            "decoder_text": [target for _, target in PAIRS],
        }
    )
    sources = ["naïve kernel", "random", "which axis"]
    for kind in (MajorityBaseline, NearestNeighborBaseline, LeadBaseline):
        assert kind().fit(dataset).predict(sources) == (
            kind().fit(PAIRS).predict(sources)
        )


def test_the_majority_is_the_first_of_equals():
    pairs = [("a", "x"), ("b", "y"), ("c", "y"), ("d", "x")]
    assert MajorityBaseline().fit(pairs).predict(["q"] * 3) == ["x"] * 3


def test_every_source_is_its_own_neighbor():
    baseline = NearestNeighborBaseline().fit(PAIRS)
    assert baseline.predict([source for source, _ in PAIRS]) == [
        target for _, target in PAIRS
    ]
    assert baseline.predict([]) == []


def test_the_neighbor_is_the_largest_cosine():
    generator = np.random.default_rng(0)
    texts = [
        " ".join(generator.choice(list("abcdefgh"), size=6)) for _ in range(60)
    ]
    known, asked = texts[:50], texts[50:]
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"
    )
    rows = vectorizer.fit_transform(known).toarray()
    similarity = vectorizer.transform(asked).toarray() @ rows.T
    baseline = NearestNeighborBaseline().fit(
        [(text, str(position)) for position, text in enumerate(known)]
    )
    found = [int(position) for position in baseline.predict(asked)]
    best = similarity[np.arange(len(asked)), found]
    np.testing.assert_allclose(best, similarity.max(axis=1))


def test_the_lead_has_the_mean_length_of_targets():
    pairs = [("a", "one two"), ("b", "one two three four")]
    assert LeadBaseline().fit(pairs).predict(["p q r s t"]) == ["p q r"]


@pytest.mark.parametrize(
    "kind", [MajorityBaseline, NearestNeighborBaseline, LeadBaseline]
)
def test_no_pairs(kind):
    with pytest.raises(ValueError, match="at least one pair"):
        kind().fit([])


def test_leads_of_no_length():
    with pytest.raises(ValueError, match="num_words=0"):
        LeadBaseline(num_words=0)
    with pytest.raises(ValueError, match="Call `fit`"):
        LeadBaseline().predict(["a"])


def test_the_majority_of_labels():
    dataset = tf.data.Dataset.from_tensor_slices(
        (
            {"text_a": ["a", "b", "c"], "text_b": ["x", "y", "z"]},
            ["n", "m", "m"],
        )
    )
    assert MajorityBaseline().fit(dataset).predict([("a", "x")]) == ["m"]


def texts_of(seed, count):
    """Random words: one kind determines the class, the other is noise."""
    generator = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        label = str(generator.choice(["plant", "animal"]))
        telling = {"plant": "fir oak ivy", "animal": "fox hen cat"}[label]
        words = generator.choice(list("abcdefgh"), 6).tolist()
        words.insert(3, str(generator.choice(telling.split())))
        examples.append((" ".join(words), label))
    return examples


def test_words_that_tell_the_class_are_found():
    train, held = texts_of(0, 200), texts_of(1, 100)
    baseline = LinearBaseline().fit(train)
    found = baseline.predict([text for text, _ in held])
    assert np.mean([a == b for a, (_, b) in zip(found, held)]) > 0.97
    dataset = tf.data.Dataset.from_tensor_slices(
        ({"text": [text for text, _ in train]}, [label for _, label in train])
    )
    again = LinearBaseline().fit(dataset)
    assert again.predict([text for text, _ in held]) == found


def test_pairs_are_compared():
    generator = np.random.default_rng(0)

    def pairs(count):
        for _ in range(count):
            one, two = generator.choice(["fox", "hen", "cat"], 2).tolist()
            yield ((one, two), "same" if one == two else "different")

    train, held = list(pairs(300)), list(pairs(50))
    baseline = LinearBaseline().fit(train)
    assert baseline.predict([pair for pair, _ in held]) == [
        label for _, label in held
    ]


def test_values_are_predicted_as_numbers():
    train = [(f"word{n % 4} filler", float(n % 4)) for n in range(80)]
    found = LinearBaseline().fit(train).predict([text for text, _ in train[:4]])
    assert all(isinstance(value, float) for value in found)
    assert found == sorted(found) and found[3] - found[0] > 2


def test_one_class_and_nothing():
    baseline = LinearBaseline().fit([("a fox", "x"), ("a hen", "x")])
    assert baseline.predict(["anything", ""]) == ["x", "x"]
    assert baseline.predict([]) == []
    with pytest.raises(ValueError, match="at least one pair"):
        LinearBaseline().fit([])


QUESTION = "What is the argument axis of sum?"


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("x: Other.\naxis: int. Where to sum.\ny: More.", "int. Where to sum."),
        ("axis : int, default=None Where to sum.", "Where to sum."),
        ("*axis (int): Where to sum.", "Where to sum."),
        ("axis_name: Not this.\naxis: That.", "That."),
        ("Sums over axis: all.", ""),
        ("axis: " + "word " * 40 + "end. The " + "rest " * 20, None),
    ],
)
def test_the_line_of_the_name_is_found(context, answer):
    expected = "word " * 40 + "end." if answer is None else answer
    assert LookupBaseline().predict([QUESTION], [context]) == [expected]


def test_other_questions_and_other_lengths():
    assert LookupBaseline().predict(["Who ran?"], ["axis: A."]) == [""]
    with pytest.raises(ValueError, match="1 questions, 2 contexts"):
        LookupBaseline().predict([QUESTION], ["a", "b"])
