import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from sklearn.feature_extraction.text import TfidfVectorizer

from unilmv2_tf.evaluation import LeadBaseline
from unilmv2_tf.evaluation import MajorityBaseline
from unilmv2_tf.evaluation import NearestNeighbourBaseline

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
    for kind in (MajorityBaseline, NearestNeighbourBaseline, LeadBaseline):
        assert kind().fit(dataset).predict(sources) == (
            kind().fit(PAIRS).predict(sources)
        )


def test_the_majority_is_the_first_of_equals():
    pairs = [("a", "x"), ("b", "y"), ("c", "y"), ("d", "x")]
    assert MajorityBaseline().fit(pairs).predict(["q"] * 3) == ["x"] * 3


def test_every_source_is_its_own_neighbour():
    baseline = NearestNeighbourBaseline().fit(PAIRS)
    assert baseline.predict([source for source, _ in PAIRS]) == [
        target for _, target in PAIRS
    ]
    assert baseline.predict([]) == []


def test_the_neighbour_is_the_largest_cosine():
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
    baseline = NearestNeighbourBaseline().fit(
        [(text, str(position)) for position, text in enumerate(known)]
    )
    found = [int(position) for position in baseline.predict(asked)]
    best = similarity[np.arange(len(asked)), found]
    np.testing.assert_allclose(best, similarity.max(axis=1))


def test_the_lead_has_the_mean_length_of_targets():
    pairs = [("a", "one two"), ("b", "one two three four")]
    assert LeadBaseline().fit(pairs).predict(["p q r s t"]) == ["p q r"]


@pytest.mark.parametrize(
    "kind", [MajorityBaseline, NearestNeighbourBaseline, LeadBaseline]
)
def test_no_pairs(kind):
    with pytest.raises(ValueError, match="at least one pair"):
        kind().fit([])


def test_leads_of_no_length():
    with pytest.raises(ValueError, match="num_words=0"):
        LeadBaseline(num_words=0)
    with pytest.raises(ValueError, match="Call `fit`"):
        LeadBaseline().predict(["a"])


def test_importing_the_room_loads_no_heavy_library():
    program = (
        "import sys, unilmv2_tf; before = set(sys.modules); "
        "import unilmv2_tf.evaluation; "
        "print([n for n in ('sklearn', 'scipy', 'official', 'rouge_score') "
        "if n in set(sys.modules) - before])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert output.stdout.strip().endswith("[]"), output.stderr


def test_the_majority_of_labels():
    dataset = tf.data.Dataset.from_tensor_slices(
        (
            {"text_a": ["a", "b", "c"], "text_b": ["x", "y", "z"]},
            ["n", "m", "m"],
        )
    )
    assert MajorityBaseline().fit(dataset).predict([("a", "x")]) == ["m"]
