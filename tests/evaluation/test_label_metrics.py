import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.evaluation import confusion_matrix
from unilmv2_tf.evaluation import score_labels

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


def test_several_labels_by_their_definitions():
    rng = np.random.default_rng(0)
    names = list("abcd")
    # The last class never occurs.
    labels, predictions = rng.random((2, 20, 4)) < [0.5, 0.4, 0.2, 0]
    tp = (labels & predictions).sum(0)[:3]
    wrong = (labels ^ predictions).sum(0)[:3]
    lists = [
        [[name for name, has in zip(names, row) if has] for row in matrix]
        for matrix in (labels, predictions)
    ]
    assert score_labels(*lists, label_names=names) == pytest.approx(
        {
            "micro_f1": 2 * tp.sum() / (2 * tp.sum() + wrong.sum()),
            "macro_f1": np.mean(2 * tp / (2 * tp + wrong)),
            "exact_match": np.mean((labels == predictions).all(1)),
        }
    )
    column = np.fromiter(lists[0], object, 20)
    metrics = ["micro_f1", "exact_match"]
    assert score_labels(column, column, metrics, names) == {
        "micro_f1": 1, "exact_match": 1
    }  # fmt: skip
    assert score_labels([[]], [[]], metrics, names)["micro_f1"] == 1


def test_arrays_are_lists():
    labels = np.array(["a", "b"])
    predictions = np.array(["a", "a"], object)
    scores = score_labels(labels, predictions, ["accuracy"], ["a", "b"])
    assert scores == {"accuracy": 0.5}
    scores = score_labels(np.float32([1, 2]), [3, 4], ["pearson"])
    assert scores["pearson"] == pytest.approx(1)


def of_classes(labels, predictions, metric="accuracy", names=("a", "b")):
    return lambda: score_labels(labels, predictions, [metric], names)


def of_values(labels, predictions, metric="pearson"):
    return lambda: score_labels(labels, predictions, [metric])


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (of_classes([], []), "at least 1.*0 labels, 0 predictions"),
        (of_classes(["a"], ["a", "b"]), "1 labels, 2 predictions"),
        (of_classes([b"a"], ["a"]), "decode bytes.*b'a'"),
        (of_classes(["a"], [1]), "`predictions` must hold strings.*1"),
        (of_classes(["", "a"], ["a", "a"]), "must be known"),
        (of_classes(["a"], ["a"], "f1", "abc"), "two classes.*macro_f1"),
        (lambda: confusion_matrix(["a"], ["b"], ["a"]), "without 'b'"),
        (of_values([1.0], [1.0], "spearman"), "at least 2"),
        (of_values([1.0, math.nan], [1.0, 2.0]), "`labels`.*1 that are not"),
        (of_classes(["a"], ["a"], "pearson"), "of classes"),
        (of_values([1.0, 2.0], [1.0, 2.0], "f1"), "of values: pearson"),
        (of_classes([["a"]], [[]]), "of lists of classes: micro_f1"),
        (of_classes([["c"]], [[]], "micro_f1"), "without 'c'"),
        (of_classes(["c"], ["a"]), "without 'c'"),
    ],
)
def test_errors(score, message):
    with pytest.raises(ValueError, match=message):
        score()
