import numpy as np
import pytest
import tensorflow as tf
from sklearn.feature_extraction.text import TfidfVectorizer

from unilmv2_tf.evaluation import LeadBaseline
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
    for kind in (NearestNeighborBaseline, LeadBaseline):
        assert kind().fit(dataset).predict(sources) == (
            kind().fit(PAIRS).predict(sources)
        )


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


@pytest.mark.parametrize("kind", [NearestNeighborBaseline, LeadBaseline])
def test_no_pairs(kind):
    with pytest.raises(ValueError, match="at least one pair"):
        kind().fit([])


def test_leads_of_no_length():
    with pytest.raises(ValueError, match="num_words=0"):
        LeadBaseline(num_words=0)
    with pytest.raises(ValueError, match="Call `fit`"):
        LeadBaseline().predict(["a"])
