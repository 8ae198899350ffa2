"""The check finds what is wrong."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.serving import arrays
from unilmv2_tf.serving import check_export
from unilmv2_tf.serving import comparison
from unilmv2_tf.serving.clean_check import LIVE_ANSWERS


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
        arrays.save(
            os.path.join(folder, LIVE_ANSWERS),
            {
                "d/in/token_ids": ids,
                "d/in/padding_mask": np.ones_like(ids),
                "d/out/ids": np.array(expected, "int32"),
            },
            {"d": {"labels": ["first", "second"]}},
        )
        return folder

    return make


@pytest.mark.slow
def test_a_wrong_answer_an_error_and_xla(doubler):
    ids = [[2, 5, 3, 0], [2, 7, 3, 0]]
    folder = doubler(ids, [[4, 10, 6, 0], [4, 99, 6, 0]], jit_compile=True)
    with pytest.raises(RuntimeError, match="1 of 2 inputs are") as raised:
        check_export(folder, seconds=0)
    assert "answered differently: second" in str(raised.value)
    assert "XLA is asked for: _XlaMustCompile" in str(raised.value)
    with open(os.path.join(folder, "assets.extra", "report.json")) as file:
        report = json.load(file)
    assert report["signatures"]["d"]["num_different"] == 1
    assert report["from_tensorflow_text"] == []
    assert report["signatures"]["d"]["milliseconds"]["32"]["calls"] == 3


@pytest.mark.slow
def test_inputs_that_fail_are_named(doubler, tmp_path):
    folder = doubler([[2, 13], [2, 3]], [[4, 26], [4, 6]])
    output = tmp_path / "report"
    with pytest.raises(RuntimeError, match="13 is evil"):
        check_export(tmp_path, seconds=0, output=output)
    text = (output / "report.md").read_text()
    assert "at first" in text and "**It fails:**" in text
    shutil.rmtree(folder)


def test_blanks_and_tolerances():
    ten = {"x": np.array([[1.0, 10.0]])}
    assert comparison.differences({"x": np.array([[1, 10.00005]])}, ten)[0] == (
        set()
    )
    rows, gap = comparison.differences({"x": np.array([[1, 10.001]])}, ten)
    assert rows == {0} and gap == pytest.approx(0.001)
    nan = {"x": np.array([[1, np.nan]])}
    assert comparison.differences(nan, ten)[0] == {0}
    words = {"x": np.array([[b"a", b""], [b"b", b"c"]], object)}
    short = {"x": np.array([[b"a"], [b"b"]], object)}
    assert comparison.differences(short, words)[0] == {1}
    with pytest.raises(ValueError, match="outputs are"):
        comparison.differences({"y": np.array([1])}, {"x": np.array([1])})
    with pytest.raises(ValueError, match="shape"):
        comparison.differences({"x": np.array([1])}, {"x": np.array([1, 2])})
