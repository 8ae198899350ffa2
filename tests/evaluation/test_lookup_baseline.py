import pytest

from unilmv2_tf.evaluation import LookupBaseline

QUESTION = "What is the argument axis of sum?"


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("x: Other.\naxis: int. Where to sum.\ny: More.", "int. Where to sum."),
        ("axis : int, default=None Where to sum.", "Where to sum."),
        ("*axis (int): Where to sum.", "Where to sum."),
        ("axis_name: Not this.\naxis: That.", "That."),
        ("Sums over axis: all.", ""),
        ("axis: " + "word " * 40 + "end. The " + "rest " * 20, None),
    ],
)
def test_the_line_of_the_name_is_found(context, answer):
    expected = "word " * 40 + "end." if answer is None else answer
    assert LookupBaseline().predict([QUESTION], [context]) == [expected]


def test_other_questions_and_other_lengths():
    assert LookupBaseline().predict(["Who ran?"], ["axis: A."]) == [""]
    with pytest.raises(ValueError, match="1 questions, 2 contexts"):
        LookupBaseline().predict([QUESTION], ["a", "b"])
