import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.evaluation import accuracy
from unilmv2_tf.evaluation import confusion_matrix
from unilmv2_tf.evaluation import f1
from unilmv2_tf.evaluation import macro_f1
from unilmv2_tf.evaluation import matthews
from unilmv2_tf.evaluation import pearson
from unilmv2_tf.evaluation import score_labels
from unilmv2_tf.evaluation import spearman

NAMES = ["no", "yes"]
classes = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1
)


@settings(max_examples=50, deadline=None)
@given(classes)
def test_two_classes_by_their_definitions(pairs):
    labels, predictions = zip(*pairs)
    tp = pairs.count(("yes", "yes"))
    tn = pairs.count(("no", "no"))
    fp = pairs.count(("no", "yes"))
    fn = pairs.count(("yes", "no"))
    scores = score_labels(labels, predictions, label_names=NAMES)
    assert scores["accuracy"] == pytest.approx((tp + tn) / len(pairs))
    positive = 2 * tp / max(2 * tp + fp + fn, 1)
    negative = 2 * tn / max(2 * tn + fp + fn, 1)
    assert scores["f1"] == pytest.approx(positive)
    occurring = {*labels, *predictions}
    of_classes = {"yes": positive, "no": negative}
    assert scores["macro_f1"] == pytest.approx(
        np.mean([of_classes[name] for name in occurring])
    )
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    expected = (tp * tn - fp * fn) / math.sqrt(product) if product else 0
    assert scores["matthews"] == pytest.approx(expected)
    matrix = confusion_matrix(labels, predictions, NAMES)
    assert matrix.tolist() == [[tn, fp], [fn, tp]]


values = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2
)


@settings(max_examples=50, deadline=None)
@given(values)
def test_correlations_by_their_definitions(pairs):
    def correlation(one, two):
        one, two = one - one.mean(), two - two.mean()
        norm = np.sqrt((one**2).sum() * (two**2).sum())
        return (one * two).sum() / norm if norm else 0.0

    def ranks(numbers):
        less = (numbers[:, None] > numbers).sum(1)
        return less + (numbers[:, None] == numbers).sum(1) / 2

    labels, predictions = np.array(pairs, float).T
    scores = score_labels(labels, predictions)
    one = correlation(labels, predictions)
    two = correlation(ranks(labels), ranks(predictions))
    assert scores == pytest.approx(
        {"pearson": one, "spearman": two, "pearson_spearman": (one + two) / 2},
        abs=1e-9,
    )


def test_more_classes_and_means_of_two():
    names = ["a", "b", "c", "never"]
    labels, predictions = list("aabbcc"), list("abbbca")
    scores = score_labels(
        labels, predictions, ["accuracy_macro_f1", "macro_f1"], names
    )
    of_classes = [0.5, 0.8, 2 / 3]
    assert scores["macro_f1"] == pytest.approx(np.mean(of_classes))
    assert scores["accuracy_macro_f1"] == pytest.approx(
        (4 / 6 + np.mean(of_classes)) / 2
    )
    matrix = confusion_matrix(labels, predictions, names)
    assert matrix[3].tolist() == [0] * 4 and matrix.sum() == 6
    assert list(score_labels(labels, predictions, label_names=names)) == [
        "accuracy", "macro_f1", "matthews"
    ]  # fmt: skip


def test_arrays_are_lists():
    labels = np.array(["a", "b"])
    assert accuracy(labels, np.array(["a", "a"], object)) == 0.5
    assert pearson(np.float32([1, 2]), [3, 4]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda: accuracy([], []), "at least 1.*0 labels, 0 predictions"),
        (lambda: accuracy(["a"], ["a", "b"]), "1 labels, 2 predictions"),
        (lambda: accuracy([b"a"], ["a"]), "decode bytes.*b'a'"),
        (lambda: matthews(["a"], [1]), "`predictions` must hold strings.*1"),
        (lambda: macro_f1(["", "a"], ["a", "a"]), "must be known"),
        (lambda: f1(["a"], ["a"], ["a", "b", "c"]), "two classes.*macro_f1"),
        (lambda: confusion_matrix(["a"], ["b"], ["a"]), r"without \['b'\]"),
        (lambda: spearman([1.0], [1.0]), "at least 2"),
        (lambda: pearson([1.0, math.nan], [1.0, 2.0]), "1 labels and 0 pred"),
        (lambda: score_labels(["a"], ["a"], ["pearson"], ["a"]), "of classes"),
        (lambda: score_labels([1.0], [1.0], ["f1"]), "of values: pearson"),
        (lambda: score_labels(["a"], ["a"], ["f1_"], NAMES), "without"),
    ],
)
def test_errors(score, message):
    with pytest.raises(ValueError, match=message):
        score()
