import pytest

from unilmv2_tf.evaluation import TEXT_METRICS
from unilmv2_tf.evaluation import bleu
from unilmv2_tf.evaluation import describe_metrics
from unilmv2_tf.evaluation import meteor_exact_stem
from unilmv2_tf.evaluation import rouge
from unilmv2_tf.evaluation import score_texts

PREDICTIONS = ["the cats sat on a mat .", "num _ units"]
REFERENCES = [["A dog.", "The cat sat on the mat."], "num_units"]


def test_each_score_is_that_of_its_function(monkeypatch, tmp_path):
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    expected = {
        **rouge(PREDICTIONS, REFERENCES, use_stemmer=True),
        "bleu4": bleu(PREDICTIONS, REFERENCES),
        "meteor_exact_stem": meteor_exact_stem(PREDICTIONS, REFERENCES),
        "exact_match": 0.5,
    }
    scores = score_texts(PREDICTIONS, REFERENCES)
    assert scores == pytest.approx(expected)
    assert list(scores) == list(expected)
    assert list(score_texts(["a"], ["a"], ["exact_match", "rouge2"])) == [
        "exact_match",
        "rouge2",
    ]


def test_sentences_are_compared_one_by_one():
    prediction, reference = "b c d . a b .", "A b.\nB c d."
    scores = score_texts([prediction], [reference], ["rougeL", "rougeLsum"])
    # As a whole, only one sentence can be in order: 3 of 5 words.
    assert scores["rougeL"] == pytest.approx(3 / 5)
    assert scores["rougeLsum"] == pytest.approx(1)


def test_all_metrics_are_described():
    notes = describe_metrics(TEXT_METRICS)
    assert list(notes) == list(TEXT_METRICS)
    assert "sacrebleu" in notes["bleu4"] and "tok:none" in notes["bleu4"]
    assert "not METEOR" in notes["meteor_exact_stem"]


@pytest.mark.parametrize("metrics", [["rougeX"], ["bleu4", "bleu"], []])
def test_unknown_metrics(metrics):
    with pytest.raises(ValueError, match="`metrics` must be some of rouge1"):
        score_texts(["a"], ["a"], metrics)
