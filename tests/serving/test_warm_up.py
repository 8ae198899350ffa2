"""Requests that a server runs before it takes others."""

import os

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.serving import export_model
from unilmv2_tf.serving.warm_up import WARM_UP
from unilmv2_tf.serving.warm_up import write_warm_up

prediction_log_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2",
    reason="tensorflow-serving-api is an extra",
)


def requests(folder):
    records = tf.data.TFRecordDataset(os.path.join(folder, WARM_UP))
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        yield log.predict_log.request


def test_every_request_runs(exported):
    signatures = tf.saved_model.load(exported).signatures
    sizes = {}
    for request in requests(exported):
        assert request.model_spec.name == "toy"
        name = request.model_spec.signature_name
        inputs = {
            key: tf.constant(tf.make_ndarray(proto))
            for key, proto in request.inputs.items()
        }
        size = {len(values) for values in inputs.values()}
        assert len(size) == 1
        outputs = signatures[name](**inputs)
        assert {len(values) for values in outputs.values()} == size
        sizes.setdefault(name, set()).update(size)
    names = {
        "generate",
        "classify",
        "classify_pair",
        "answer",
        "fill",
        "encode",
    }
    assert sizes == {name: {1, 8, 32} for name in names}


def test_every_bucket_is_warmed(exported, tasks):
    tokenizer = tasks["generate"].preprocessor.tokenizer
    widths = {
        # [CLS], [SEP] and the words, which this vocabulary has or not.
        min(len(tokenizer(tf.make_ndarray(proto)[0].decode())) + 2, 24)
        for request in requests(exported)
        if request.model_spec.signature_name == "generate"
        for proto in request.inputs.values()
    }
    assert {next(b for b in (16, 24) if w <= b) for w in widths} == {16, 24}


def test_integers_where_there_are_no_strings(tasks, tmp_path):
    folder = export_model(
        tasks["classify"], tmp_path / "c", text_signatures=False, check=False,
        warm_up=True,
    )  # fmt: skip
    for request in requests(folder):
        assert request.model_spec.signature_name == "classify_ids"
        row = tf.make_ndarray(request.inputs["token_ids"])[0]
        assert (row[0], row[-1]) == (2, 3)
        assert np.all(tf.make_ndarray(request.inputs["padding_mask"]))


def test_without_the_package(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(
        __import__("sys").modules, "tensorflow_serving.apis", None
    )
    assert write_warm_up(str(tmp_path), {}, "toy") == 0
    assert write_warm_up(str(tmp_path), {}, "toy", warm_up=False) == 0
    with pytest.raises(ImportError, match=r"unilmv2_tf\[serving\]"):
        write_warm_up(str(tmp_path), {}, "toy", warm_up=True)
