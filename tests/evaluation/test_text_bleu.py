import math

import pytest
import sacrebleu

from unilmv2_tf.evaluation import bleu
from unilmv2_tf.evaluation.text_bleu import bleu_signature


def test_worked_by_hand():
    # The comma is a word, so the reference has 9; the prediction has 7.
    score = bleu(
        ["the cat sat on the red mat"], ["The cat sat on a mat, the cat"]
    )
    matches = [(6, 7), (3, 6), (2, 5), (1, 4)]
    shortness = math.exp(1 - 9 / 7)
    mean = math.prod(hit / of for hit, of in matches) ** 0.25
    assert score == pytest.approx(mean * shortness)


def test_texts_are_counted_together():
    one = ["a b c d e", "f g h i j k"]
    other = ["a b c d x", "f g h i j y"]
    expected = sacrebleu.corpus_bleu(one, [other], tokenize="none").score
    assert bleu(one, other) == pytest.approx(expected / 100)
    assert bleu(one, other, "13a") == pytest.approx(expected / 100)


def test_word_pieces_and_plain_text_are_alike():
    texts = ["don ' t use num _ units ."], ["Don't use num_units."]
    assert bleu(*texts) == pytest.approx(1)
    assert bleu(*texts, tokenize="13a") < 0.6


def test_several_references():
    references = [["a b c d e", "v w x y z"], ["f g h i j"]]
    assert bleu(["v w x y z", "f g h i j"], references) == pytest.approx(1)
    assert bleu(["v w x y z", "f g h i j"], ["a b c d e", "f g h i j"]) < 0.8


def test_the_signature_names_what_was_done():
    assert "nrefs:2" in bleu_signature(num_references=2)
    assert "tok:13a" in bleu_signature("13a")
    assert f"version:{sacrebleu.__version__}" in bleu_signature()


def test_unknown_tokenizers():
    with pytest.raises(ValueError, match="tokenize='letters'"):
        bleu(["a"], ["a"], "letters")
