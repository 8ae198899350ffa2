import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from unilmv2_tf.evaluation import exact_match
from unilmv2_tf.evaluation import rouge


def lcs(one, two):
    """Length of the longest common subsequence, by its definition."""
    if not one or not two:
        return 0
    if one[0] == two[0]:
        return 1 + lcs(one[1:], two[1:])
    return max(lcs(one[1:], two), lcs(one, two[1:]))


words = st.lists(st.sampled_from("abcd"), min_size=1, max_size=6)


@given(words, words)
def test_rouge_by_its_definition(one, two):
    scores = rouge([" ".join(one)], [" ".join(two)], ("rouge1", "rougeL"))
    common = sum(min(one.count(word), two.count(word)) for word in set(one))
    # F = 2 P R / (P + R) = 2 common / (length + length).
    total = len(one) + len(two)
    assert scores["rouge1"] == pytest.approx(2 * common / total)
    assert scores["rougeL"] == pytest.approx(2 * lcs(one, two) / total)


def test_rouge_is_the_mean_of_the_library():
    predictions = ["the cats sat", "a dog runs fast"]
    references = ["the cat was sitting", "dogs run fast"]
    for stemmed in (False, True):
        scorer = rouge_scorer.RougeScorer(["rouge2"], use_stemmer=stemmed)
        expected = [
            scorer.score(reference, prediction)["rouge2"].fmeasure
            for prediction, reference in zip(predictions, references)
        ]
        scores = rouge(predictions, references, ["rouge2"], stemmed)
        assert scores == {"rouge2": pytest.approx(sum(expected) / 2)}


def test_the_best_of_several_references_counts():
    assert rouge(["a b"], [["c d", "a b"]])["rougeL"] == 1
    assert exact_match(["a b"], [["c d", "a b"]]) == 1


def test_exact_match_options():
    predictions, references = (
        ["Num _ Units", " x ", "b"],
        ["num_units", "x", "a"],
    )
    assert exact_match(predictions, references) == pytest.approx(1 / 3)
    assert exact_match(
        predictions, references, ignore_case=True, ignore_spaces=True
    ) == pytest.approx(2 / 3)


@pytest.mark.parametrize("metric", [exact_match, rouge])
@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "at least 1"),
        (["a"], ["a", "b"], "1 predictions, 2 references"),
        ("a", "b", "not one string"),
        ([b"a"], ["a"], "decode bytes"),
        (["a"], [b"a"], "decode bytes"),
        (["a"], [[]], "position 0"),
    ],
)
def test_wrong_inputs(metric, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        metric(predictions, references)


@pytest.mark.parametrize("variants", [(), ("bleu",), "rouge1"])
def test_wrong_variants(variants):
    with pytest.raises(ValueError, match="`variants`"):
        rouge(["a"], ["a"], variants)
