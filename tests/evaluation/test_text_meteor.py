import subprocess
import sys

import pytest

from unilmv2_tf.evaluation import meteor
from unilmv2_tf.evaluation import meteor_exact_stem

# One set of synonyms, in the format of WordNet's files.
DATA = "00000000 06 n 02 car 0 auto 0 000 | a vehicle  \n"
INDEX = "{} n 1 0 1 0 00000000  \n"
CODE = """
import nltk, sys
nltk.data.path[:] = [sys.argv[1]]
from unilmv2_tf.evaluation import meteor, meteor_exact_stem, score_texts
texts = ["the auto stood"], ["the car stood"]
assert "meteor" in score_texts(*texts)
print(meteor(*texts), meteor_exact_stem(*texts))
"""


def formula(matches, hypothesis, reference, chunks):
    """METEOR as NLTK and Banerjee and Lavie have it."""
    precision, recall = matches / hypothesis, matches / reference
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    return mean * (1 - 0.5 * (chunks / matches) ** 3)


def test_words_and_stems():
    # All three match, "cats" by its stem, in one chunk.
    score = meteor_exact_stem(["the cats sat"], ["The cat sat down."])
    assert score == pytest.approx(formula(3, 3, 5, 1))
    # Two chunks: the order is another one.
    score = meteor_exact_stem(["b c a"], ["a b c"])
    assert score == pytest.approx(formula(3, 3, 3, 2))
    assert meteor_exact_stem(["x"], ["y"]) == 0


def test_the_best_reference_counts_and_texts_are_averaged():
    score = meteor_exact_stem(["a b", "x"], [["c d", "a b"], "y"])
    assert score == pytest.approx(formula(2, 2, 2, 1) / 2)


def test_synonyms(tmp_path):
    """A process of its own: NLTK looks for WordNet once."""
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
    result = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    with_synonyms, without = map(float, result.stdout.split())
    assert with_synonyms == pytest.approx(formula(3, 3, 3, 1))
    assert without == pytest.approx(formula(2, 3, 3, 2))


def test_without_wordnet_there_is_no_meteor(monkeypatch, tmp_path):
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    with pytest.raises(ValueError, match="meteor_exact_stem, which"):
        meteor(["a"], ["a"])
