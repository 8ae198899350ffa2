"""The check of an export finds errors."""

import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.serving import check_export
from unilmv2_tf.serving import clean_process
from unilmv2_tf.serving.clean_process import LIVE_ANSWERS
from unilmv2_tf.serving.clean_process import differences
from unilmv2_tf.serving.clean_process import save_answers
from unilmv2_tf.serving.endpoint import without_server_padding


class Doubler(tf.Module):
    """Stands for a model: doubles what is positive, and fails on 13."""

    def __init__(self, undoes_padding=True, **options):
        self.undoes_padding = undoes_padding
        self.double = tf.function(
            self._double,
            [
                tf.TensorSpec([None, None], tf.int32, "token_ids"),
                tf.TensorSpec([None, None], tf.int32, "padding_mask"),
            ],
            **options,
        )

    def _double(self, token_ids, padding_mask):
        check = tf.debugging.assert_none_equal(
            token_ids, 13, message="13 is evil"
        )
        with tf.control_dependencies([check]):
            if self.undoes_padding:
                padding_mask = without_server_padding(
                    token_ids, padding_mask, 2
                )
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
                "d": {
                    "inputs": {
                        "token_ids": ids, "padding_mask": np.ones_like(ids)
                    },
                    "outputs": {"ids": np.array(expected, "int32")},
                    "notes": {
                        "labels": ["first", "second"], "num_plain": 2,
                        "tolerance": 1e-5, "rows_that_may_differ": 0.0,
                    },
                }
            },
        )  # fmt: skip
        return folder

    return make


def test_a_wrong_answer_and_xla(doubler, tmp_path, monkeypatch):
    def run(command, input, **options):
        """Runs the check here, not in a process."""
        found = clean_process.check(**json.loads(input))
        return subprocess.CompletedProcess([], 0, stdout=json.dumps(found))

    monkeypatch.setattr(subprocess, "run", run)
    ids = [[2, 5, 3, 3], [2, 7, 3, 3]]
    doubler(ids, [[4, 10, 6, 6], [4, 99, 6, 6]], jit_compile=True)
    output = tmp_path / "report"
    with pytest.raises(RuntimeError, match="1 of 2 inputs are") as raised:
        check_export(tmp_path, seconds=0, output=output)
    assert "answered differently: second" in str(raised.value)
    assert "XLA is asked for: _XlaMustCompile" in str(raised.value)
    report = json.loads((output / "report.json").read_text())
    assert report["signatures"]["d"]["num_different"] == 1
    assert report["from_tensorflow_text"] == []
    assert report["signatures"]["d"]["milliseconds"]["32"]["calls"] == 3
    assert len(report["failures"]) == 2


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


def test_padding_that_is_taken_for_tokens(doubler):
    folder = doubler(
        [[2, 7, 3], [2, 3, 3]], [[4, 14, 6], [4, 6, 6]], undoes_padding=False
    )
    found = clean_process.check(folder, batch_sizes=[2], seconds=None)
    (failure,) = found["signatures"]["d"]["failures"]
    assert failure == "answers rows differently that a server has padded"


class Chooser(tf.Module):
    """Ranks two equal scores by the width of the batch, as rounding may."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def choose(self, text):
        size = tf.shape(text)[0]
        word = tf.where(size < 3, "lower", "low")
        return {"text": tf.fill([size], word), "score": tf.ones([size])}


@pytest.mark.parametrize("live, is_right", [("low", True), ("lower", False)])
def test_equal_scores_may_change_places_in_smaller_batches(
    live, is_right, tmp_path
):
    module = Chooser()
    tf.saved_model.save(module, tmp_path, signatures={"c": module.choose})
    found = clean_process.check_signature(
        tf.saved_model.load(tmp_path).signatures["c"],
        inputs={"text": np.array([b"a", b"b", b"c"], object)},
        outputs={
            "text": np.array([live.encode()] * 3, object),
            "score": np.ones(3, "float32"),
        },
        notes={
            "labels": [b"1", b"2", b"3"], "num_plain": 3, "tolerance": 1e-5,
            "rows_that_may_differ": 0.0,
        },
        batch_sizes=[1, 3],
        seconds=None,
    )  # fmt: skip
    # In the batch that the live model had, texts must be equal.
    assert (not found["failures"]) == is_right
    scores = {"text": np.array([b"a"], object), "score": np.array([1.0])}
    other = {**scores, "score": np.array([1.1])}
    assert differences(other, scores, ties_count=False)[0] == {0}
