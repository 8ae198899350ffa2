"""Scores of texts against their definitions and the libraries."""

import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.util import LazyCorpusLoader
from rouge_score import rouge_scorer

from unilmv2_tf.evaluation import TEXT_METRICS
from unilmv2_tf.evaluation import describe_metrics
from unilmv2_tf.evaluation import score_texts


def score(predictions, references, metric):
    return score_texts(predictions, references, [metric])[metric]


# === ROUGE ===


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
    scores = score_texts([" ".join(one)], [" ".join(two)], ["rouge1", "rougeL"])
    common = sum(min(one.count(word), two.count(word)) for word in set(one))
    # F = 2 P R / (P + R) = 2 common / (length + length).
    total = len(one) + len(two)
    assert scores["rouge1"] == pytest.approx(2 * common / total)
    assert scores["rougeL"] == pytest.approx(2 * lcs(one, two) / total)


def test_rouge_is_the_mean_of_the_library():
    predictions = ["the cats sat", "a dog runs. It ran fast"]
    references = ["the cat was sitting", "dogs run. It ran"]
    scorer = rouge_scorer.RougeScorer(["rouge2"], use_stemmer=True)
    expected = [
        scorer.score(reference, prediction)["rouge2"].fmeasure
        for prediction, reference in zip(predictions, references)
    ]
    found = score(predictions, references, "rouge2")
    assert found == pytest.approx(sum(expected) / 2)


def test_sentences_are_compared_one_by_one():
    prediction, reference = "b c d . a b .", "A b.\nB c d."
    scores = score_texts([prediction], [reference], ["rougeL", "rougeLsum"])
    # As a whole, only one sentence can be in order: 3 of 5 words.
    assert scores["rougeL"] == pytest.approx(3 / 5)
    assert scores["rougeLsum"] == pytest.approx(1)


# === BLEU ===


def test_bleu_worked_by_hand():
    # The comma is a word, so the reference has 9; the prediction has 7.
    found = score(
        ["the cat sat on the red mat"],
        ["The cat sat on a mat, the cat"],
        "bleu4",
    )
    matches = [(6, 7), (3, 6), (2, 5), (1, 4)]
    shortness = math.exp(1 - 9 / 7)
    mean = math.prod(hit / of for hit, of in matches) ** 0.25
    assert found == pytest.approx(mean * shortness)


def test_bleu_counts_texts_together():
    one = ["a b c d e", "f g h i j k"]
    other = ["a b c d x", "f g h i j y"]
    expected = sacrebleu.corpus_bleu(one, [other], tokenize="none").score
    assert score(one, other, "bleu4") == pytest.approx(expected / 100)


def test_bleu_of_several_references():
    texts = ["v w x y z", "f g h i j"]
    references = [["a b c d e", "v w x y z"], ["f g h i j"]]
    assert score(texts, references, "bleu4") == pytest.approx(1)
    assert score(texts, ["a b c d e", "f g h i j"], "bleu4") < 0.8


# === METEOR ===

# One set of synonyms, in the format of WordNet's files.
DATA = "00000000 06 n 02 car 0 auto 0 000 | a vehicle  \n"
INDEX = "{} n 1 0 1 0 00000000  \n"


def formula(matches, hypothesis, reference, chunks):
    """METEOR as NLTK and Banerjee and Lavie have it."""
    precision, recall = matches / hypothesis, matches / reference
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    return mean * (1 - 0.5 * (chunks / matches) ** 3)


def test_meteor(tmp_path, monkeypatch):
    folder = tmp_path / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for kind in ("noun", "verb", "adj", "adv"):
        is_noun = kind == "noun"
        index = INDEX.format("auto") + INDEX.format("car")
        (folder / f"index.{kind}").write_text(index if is_noun else "")
        (folder / f"data.{kind}").write_text(DATA if is_noun else "")
        (folder / f"{kind}.exc").write_text("")
    (folder / "index.sense").write_text("")
    names = [f"{number:02d}\tname{number}\t1" for number in range(45)]
    (folder / "lexnames").write_text("\n".join(names) + "\n")
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    # NLTK looks for WordNet once in a process.
    wordnet = LazyCorpusLoader("wordnet", WordNetCorpusReader, None)
    monkeypatch.setattr("nltk.corpus.wordnet", wordnet)
    for predictions, references, expected in (
        # A synonym, a stem, two chunks, the mean of the best references.
        (["the auto stood"], ["the car stood"], formula(3, 3, 3, 1)),
        (["the cats sat"], ["The cat sat down."], formula(3, 3, 5, 1)),
        (["b c a"], ["a b c"], formula(3, 3, 3, 2)),
        (["x"], ["y"], 0),
        (["a b", "x"], [["c d", "a b"], "y"], formula(2, 2, 2, 1) / 2),
    ):
        found = score(predictions, references, "meteor")
        assert found == pytest.approx(expected)
    assert "meteor" in score_texts(["a"], ["a"])


def test_without_wordnet_there_is_no_meteor(monkeypatch, tmp_path):
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    with pytest.raises(ValueError, match=r"nltk\.downloader wordnet"):
        score(["a"], ["a"], "meteor")
    assert list(score_texts(["a"], ["a"])) == [
        "rouge1", "rouge2", "rougeL", "bleu4", "exact_match"
    ]  # fmt: skip


# === All ===


@pytest.mark.parametrize("metric", ["rougeL", "bleu4", "exact_match"])
def test_word_pieces_and_plain_text_are_alike(metric):
    pieces, plain = ["don ' t use num _ units ."], ["Don't use num_units."]
    assert score(pieces, plain, metric) == pytest.approx(1)
    assert score(pieces, [["other", *plain]], metric) == pytest.approx(1)
    assert score(pieces, ["other"], metric) < 0.1


def test_scores_come_in_the_order_of_their_names():
    metrics = ["exact_match", "rouge2", "exact_match"]
    assert list(score_texts(["a"], ["a"], metrics)) == metrics[:2]


def test_all_metrics_are_described():
    notes = describe_metrics(TEXT_METRICS)
    assert list(notes) == list(TEXT_METRICS)
    assert (
        f"tok:none|smooth:exp|version:{sacrebleu.__version__}"
        in (notes["bleu4"])
    )


@pytest.mark.parametrize("metrics", [["rougeX"], ["bleu4", "bleu"], []])
def test_unknown_metrics(metrics):
    with pytest.raises(ValueError, match="`metrics` must be some of rouge1"):
        score_texts(["a"], ["a"], metrics)


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
def test_wrong_inputs(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        score_texts(predictions, references, ["exact_match"])
