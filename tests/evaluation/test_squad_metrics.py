import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets.squad_files import questions_dataset
from unilmv2_tf.evaluation import score_squad


def test_hand_made_answers_of_version_1():
    references = {
        "exact": ["the red fox", "a hen"],
        "case, articles and marks": ["Red Fox"],
        "half": ["red fox"],
        "wrong": ["hen"],
        "best of two": ["blue", "the big blue sky"],
    }
    predictions = {
        "exact": "the red fox",
        "case, articles and marks": "the RED-fox!".replace("-", " "),
        "half": "fox jumps",
        "wrong": "fox",
        "best of two": "big sky",
    }
    scores = score_squad(predictions, references)
    assert scores == {
        "exact_match": pytest.approx(40),
        # precision and recall: 1/2, 1/2; 1, 2/3.
        "f1": pytest.approx(100 * (1 + 1 + 0.5 + 0 + 0.8) / 5),
        "total": 5,
    }


def test_hand_made_answers_of_version_2():
    references = {"a": ["red fox"], "b": ["hen"], "c": [], "d": [], "e": []}
    predictions = {"a": "fox", "b": "", "c": "", "d": "fox", "e": ""}
    scores = score_squad(predictions, references)
    assert scores == {
        "exact_match": pytest.approx(40),
        "f1": pytest.approx(100 * (2 / 3 + 2) / 5),
        "total": 5,
        "has_answer_exact_match": 0,
        "has_answer_f1": pytest.approx(100 * (2 / 3) / 2),
        "has_answer_total": 2,
        "no_answer_exact_match": pytest.approx(200 / 3),
        "no_answer_f1": pytest.approx(200 / 3),
        "no_answer_total": 3,
    }


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_model_garden(seed):
    tools = pytest.importorskip("official.nlp.tools.squad_evaluate_v2_0")
    rng = np.random.default_rng(seed)
    pieces = ["the", "Fox", "fox,", "a", "red", "hen", "!", ""]

    def text():
        return " ".join(rng.choice(pieces, rng.integers(0, 5)))

    keys = [str(number) for number in range(200)]
    references = {
        key: ["red " + text() for _ in range(rng.integers(0, 3))]
        for key in keys
    }
    predictions = {key: text() for key in keys}
    expected = tools.evaluate(
        [
            {
                "paragraphs": [
                    {
                        "qas": [
                            {"id": key, "answers": [{"text": x} for x in texts]}
                            for key, texts in references.items()
                        ]
                    }
                ]
            }
        ],
        predictions,
    )
    scores = score_squad(predictions, references)
    for prefix, theirs in (
        ("", ""),
        ("has_answer_", "HasAns_"),
        ("no_answer_", "NoAns_"),
    ):
        for metric, name in (("exact_match", "exact"), ("f1", "f1")):
            assert scores[prefix + metric] == pytest.approx(
                expected[theirs + name]
            )


questions = st.lists(
    st.tuples(
        st.sampled_from([[], ["fox"], ["red fox"]]),
        st.sampled_from(["fox", "red fox", "hen"]),
        st.floats(-20, 20),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[2],
)


@settings(max_examples=80, deadline=None)
@given(questions)
def test_the_best_threshold_is_the_best_of_all(rows):
    references = {str(i): row[0] for i, row in enumerate(rows)}
    predictions = {str(i): row[1] for i, row in enumerate(rows)}
    odds = {str(i): row[2] for i, row in enumerate(rows)}
    scores = score_squad(predictions, references, odds)
    by_threshold = {
        threshold: _score(predictions, references, odds, threshold)
        for threshold in [-21.0, *odds.values()]
    }
    for place, metric in enumerate(("exact_match", "f1")):
        best = max(found[place] for found in by_threshold.values())
        assert scores[f"best_{metric}"] == pytest.approx(best)
        threshold = scores[f"best_{metric}_threshold"]
        reached = _score(predictions, references, odds, threshold)[place]
        assert reached == pytest.approx(best)
        assert scores[metric] <= best + 1e-9


def _score(predictions, references, odds, threshold):
    """Exact match and F1 of one-word and two-word answers, by hand."""
    exact, f1 = [], []
    for key, texts in references.items():
        text = "" if odds[key] > threshold else predictions[key]
        gold = texts[0] if texts else ""
        exact.append(text == gold)
        common = len({*text.split()} & {*gold.split()})
        length = len(text.split()) + len(gold.split())
        f1.append(2 * common / length if length else 1.0)
    return 100 * np.mean(exact), 100 * np.mean(f1)


def test_datasets_and_dictionaries_are_the_same():
    dataset = questions_dataset(
        [
            ("a", "Who?", "A red f\u00f6x.", ["f\u00f6x"], [6]),
            ("b", "Who?", "A red f\u00f6x.", [], []),
        ]
    )
    assert isinstance(dataset, tf.data.Dataset)
    predictions = {"a": "f\u00f6x", "b": "hen", "of another set": "x"}
    odds = {"a": np.float32(-1), "b": np.float32(2)}
    scores = score_squad(predictions, dataset, odds)
    assert scores == score_squad(
        predictions, {"a": ["f\u00f6x"], "b": []}, odds
    )
    assert (scores["exact_match"], scores["best_exact_match"]) == (50, 100)


@pytest.mark.parametrize(
    ("predictions", "references", "odds", "message"),
    [
        ({}, {}, None, "at least one question"),
        ({"a": "x"}, {"a": ["x"], "b": []}, None, "none for 1 of 2, 'b'"),
        ({"a": None}, {"a": ["x"]}, None, "`predictions`.*None"),
        ({"a": "x"}, {"a": ["x"]}, {}, "`null_odds` must have a value for"),
        ({"a": "x"}, {"a": ["x"]}, {"a": np.nan}, r"null_odds\['a'\]=nan"),
    ],
)
def test_errors(predictions, references, odds, message):
    with pytest.raises(ValueError, match=message):
        score_squad(predictions, references, odds)
