"""The check finds errors, and a clean process answers texts."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.serving import ask_saved_model
from unilmv2_tf.serving import check_export
from unilmv2_tf.serving import clean_process
from unilmv2_tf.serving.clean_process import LIVE_ANSWERS
from unilmv2_tf.serving.clean_process import differences
from unilmv2_tf.serving.clean_process import save_answers


class Doubler(tf.Module):
    """Stands for a model: doubles what is positive, and fails on 13."""

    def __init__(self, jit_compile=None):
        self.double = tf.function(
            self._double,
            [
                tf.TensorSpec([None, None], tf.int32, "token_ids"),
                tf.TensorSpec([None, None], tf.int32, "padding_mask"),
            ],
            jit_compile=jit_compile,
        )

    def _double(self, token_ids, padding_mask):
        check = tf.debugging.assert_none_equal(
            token_ids, 13, message="13 is evil"
        )
        with tf.control_dependencies([check]):
            return {"ids": 2 * token_ids * tf.sign(padding_mask)}


@pytest.fixture
def doubler(tmp_path):
    def make(ids, expected, **options):
        folder = str(tmp_path / "1")
        module = Doubler(**options)
        tf.saved_model.save(module, folder, signatures={"d": module.double})
        os.mkdir(os.path.join(folder, "assets.extra"))
        ids = np.array(ids, "int32")
        save_answers(
            os.path.join(folder, LIVE_ANSWERS),
            {
                "d": (
                    {"token_ids": ids, "padding_mask": np.ones_like(ids)},
                    {"ids": np.array(expected, "int32")},
                    {
                        "labels": ["first", "second"],
                        "num_plain": 2,
                        "tolerance": 1e-5,
                        "rows_that_may_differ": 0.0,
                    },
                )
            },
        )
        return folder

    return make


@pytest.mark.slow
def test_a_wrong_answer_and_xla(doubler, tmp_path):
    ids = [[2, 5, 3, 0], [2, 7, 3, 0]]
    doubler(ids, [[4, 10, 6, 0], [4, 99, 6, 0]], jit_compile=True)
    output = tmp_path / "report"
    with pytest.raises(RuntimeError, match="1 of 2 inputs are") as raised:
        check_export(tmp_path, seconds=0, output=output)
    assert "answered differently: second" in str(raised.value)
    assert "XLA is asked for: _XlaMustCompile" in str(raised.value)
    report = json.loads((output / "report.json").read_text())
    assert report["signatures"]["d"]["num_different"] == 1
    assert report["from_tensorflow_text"] == []
    assert report["signatures"]["d"]["milliseconds"]["32"]["calls"] == 3
    assert "**It fails:**" in (output / "report.md").read_text()


def test_inputs_that_fail_are_named(doubler):
    folder = doubler([[2, 13], [2, 3]], [[4, 26], [4, 6]])
    found = clean_process.check(folder, batch_sizes=[1, 3], seconds=0)
    single, together = found["signatures"]["d"]["failures"]
    assert "13 is evil" in single and single.endswith("at first")
    assert together.endswith("at first, second")


def test_no_inputs_to_check_with(doubler):
    folder = doubler([[2, 3]], [[4, 6]])
    os.remove(os.path.join(folder, LIVE_ANSWERS))
    with pytest.raises(FileNotFoundError, match="export_model"):
        check_export(folder)


def test_blanks_and_tolerances():
    ten = {"x": np.array([[1.0, 10.0]])}
    assert differences({"x": np.array([[1, 10.00005]])}, ten)[0] == (set())
    rows, gap = differences({"x": np.array([[1, 10.001]])}, ten)
    assert rows == {0} and gap == pytest.approx(0.001)
    nan = {"x": np.array([[1, np.nan]])}
    assert differences(nan, ten)[0] == {0}
    words = {"x": np.array([[b"a", b""], [b"b", b"c"]], object)}
    short = {"x": np.array([[b"a"], [b"b"]], object)}
    assert differences(short, words)[0] == {1}
    with pytest.raises(ValueError, match="outputs are"):
        differences({"y": np.array([1])}, {"x": np.array([1])})
    with pytest.raises(ValueError, match="shape"):
        differences({"x": np.array([1])}, {"x": np.array([1, 2])})


class Echo(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def answer(self, text):
        return {
            "generated_text": tf.strings.upper(text),
            "score": tf.cast(tf.strings.length(text), tf.float32),
        }


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo") / "1"
    module = Echo()
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.answer}
    )
    return folder


@pytest.mark.slow
def test_any_model_with_the_signature_answers_in_order(echo):
    texts = ["a\nb", "", "\U0001f98a \u2028 \x00", "x"]
    answers = ask_saved_model(echo.parent, texts, batch_size=3)
    assert answers == [
        ("A\nB", 3.0), ("", 0.0), ("\U0001f98a \u2028 \x00", 10.0), ("X", 1.0),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_last_lines_of_a_failure_are_shown(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(RuntimeError, match="Error") as raised:
        ask_saved_model(tmp_path, ["the fox"])
    message = str(raised.value)
    assert str(tmp_path) in message
    assert "ended with status 1" in message
    assert len(message.splitlines()) <= 16


def test_a_model_that_takes_no_texts(tmp_path):
    module = Echo()
    module.double = tf.function(
        lambda ids: {"ids": 2 * ids}, [tf.TensorSpec([None], tf.int32, "ids")]
    )
    tf.saved_model.save(
        module, str(tmp_path), signatures={"serving_default": module.double}
    )
    with pytest.raises(ValueError, match="text_signatures=True"):
        clean_process.ask(str(tmp_path), ["the fox"], batch_size=1)


def test_errors_teach(tmp_path, echo):
    for texts in ("the fox", [b"the fox"], [3]):
        with pytest.raises(TypeError, match="`texts` must be a list"):
            ask_saved_model(echo, texts)
    with pytest.raises(ValueError, match="valid Unicode"):
        ask_saved_model(echo, ["\ud800"])
    with pytest.raises(ValueError, match="`batch_size`"):
        ask_saved_model(echo, ["the fox"], batch_size=0)
    with pytest.raises(FileNotFoundError, match="export_model"):
        ask_saved_model(tmp_path, ["the fox"])
