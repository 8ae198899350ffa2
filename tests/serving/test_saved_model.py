"""What an export writes, and that the check compared all of it."""

import importlib.metadata
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import unilmv2_tf
from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.serving import Classify
from unilmv2_tf.serving import Generate
from unilmv2_tf.serving import export_model
from unilmv2_tf.serving import saved_model
from unilmv2_tf.serving.clean_process import graph_operations

OUTPUTS = {
    "generate": {"generated_text": "string", "score": "float32"},
    "classify": {"label": "string", "probabilities": "float32"},
    "classify_pair": {"label": "string", "probabilities": "float32"},
    "answer": {
        "answer": "string", "start": "int32", "end": "int32",
        "score": "float32", "probability": "float32", "null_score": "float32",
    },
    "fill": {"candidates": "string", "probabilities": "float32"},
    "encode": {
        "sentence_vector": "float32", "token_vectors": "float32",
        "padding_mask": "int32",
    },
    "generate_ids": {
        "decoder_token_ids": "int32", "decoder_padding_mask": "int32",
        "score": "float32",
    },
    "classify_ids": {"label_id": "int32", "probabilities": "float32"},
    "answer_ids": {"start_logits": "float32", "end_logits": "float32"},
    "fill_ids": {"candidate_ids": "int32", "probabilities": "float32"},
    "encode_ids": {
        "sentence_vector": "float32", "token_vectors": "float32",
        "padding_mask": "int32",
    },
}  # fmt: skip
ROWS = ["token_ids", "segment_ids", "padding_mask"]
INPUTS = {
    "generate": ["text"],
    "classify": ["text"],
    "classify_pair": ["text_a", "text_b"],
    "answer": ["question", "context"],
    "fill": ["text"],
    "encode": ["text"],
    "generate_ids": ["encoder_token_ids", "encoder_padding_mask"],
    **{f"{x}_ids": ROWS for x in ("classify", "answer", "fill", "encode")},
}


def num_stored(folder):
    variables = tf.train.list_variables(f"{folder}/variables/variables")
    return sum(
        int(np.prod(shape)) for name, shape in variables if "GRAPH" not in name
    )


@pytest.mark.slow
def test_names_and_types_are_those_of_the_docstrings(signatures):
    assert set(signatures) == {*OUTPUTS, "serving_default"}
    for name, inputs in INPUTS.items():
        specs = signatures[name].structured_input_signature[1]
        assert sorted(specs) == sorted(inputs)
        shape, dtype = (
            ([None, None], "int32")
            if name.endswith("_ids")
            else ([None], "string")
        )
        for spec in specs.values():
            assert (spec.shape.as_list(), spec.dtype.name) == (shape, dtype)
        outputs = signatures[name].structured_outputs
        assert {k: v.dtype.name for k, v in outputs.items()} == OUTPUTS[name]
    default = signatures["serving_default"].structured_outputs
    assert sorted(default) == ["generated_text", "score"]


@pytest.mark.slow
def test_the_check_compared_everything(exported):
    with open(os.path.join(exported, "assets.extra", "report.json")) as file:
        report = json.load(file)
    assert set(report["signatures"]) == set(OUTPUTS)
    for name, found in report["signatures"].items():
        assert found["is_compared"], name
        assert found["num_different"] == 0
        assert found["largest_difference"] <= 1e-4
    assert "NormalizeUTF8" in report["from_tensorflow_text"]
    assert {"MatMul", "While"} <= set(report["operations"])


@pytest.mark.slow
def test_no_xla(exported):
    operations, marks = graph_operations(exported)
    assert marks == []
    assert not [name for name in operations if "Xla" in name]


@pytest.mark.slow
def test_weights_are_stored_once(exported, tasks):
    stored = num_stored(exported)
    weights = {id(w): w for task in tasks.values() for w in task.weights}
    needed = sum(int(np.prod(w.shape)) for w in weights.values())
    # Dropout's states are weights of a task, and no endpoint drops.
    assert needed - 20 <= stored <= needed


@pytest.mark.slow
def test_extra_assets_describe_the_model(exported, tasks):
    extra = os.path.join(exported, "assets.extra")
    with open(os.path.join(extra, "vocab.txt"), encoding="utf-8") as file:
        vocabulary = file.read().split("\n")
    tokenizer = tasks["generate"].preprocessor.tokenizer
    assert vocabulary == [*tokenizer.get_vocabulary(), ""]
    with open(os.path.join(extra, "signature.json")) as file:
        described = json.load(file)
    assert described["main"] == "generate"
    assert described["tasks"]["generate"]["max_length"] == 8
    assert described["tasks"]["generate"]["buckets"] == [16, 24]
    sampler = described["tasks"]["generate"]["sampler"]
    assert sampler["class"] == "BeamSearchSampler"
    assert sampler["config"]["length_penalty"] == 0.7
    assert described["tasks"]["classify"]["labels"] == ["no", "so", "yes"]
    assert described["tokenizer"]["sep_token_id"] == 3
    versions = described["versions"]
    assert versions.pop("unilmv2_tf") == unilmv2_tf.__version__
    for package, version in versions.items():
        assert version == importlib.metadata.version(package)
    inputs = described["signatures"]["encode"]["inputs"]
    assert inputs == {"text": {"dtype": "string", "shape": [None]}}


@pytest.mark.slow
def test_integers_alone_need_no_text_library(make_task, tmp_path):
    """A model as training and generating left it, exported without strings."""
    task = make_task()
    task.optimizer.build(task.trainable_variables)
    # As `generate` leaves it with `jit_compile=True`.
    task.generate_function = tf.function(task.generate_step, jit_compile=True)
    sampler, config = task.sampler, task.sampler.get_config()
    export_sampler = BeamSearchSampler(num_beams=2, min_length=3)
    endpoint = Generate(task, max_length=5, sampler=export_sampler)
    folder = export_model(
        endpoint, tmp_path / "toy", text_signatures=False, check=False
    )
    assert graph_operations(folder)[1] == []
    assert num_stored(folder) == task.count_params()
    # The task stays as it was.
    assert task.sampler is sampler
    assert task.sampler.get_config() == config

    code = (
        "import sys, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "ids = tf.constant([[2, 5, 6, 3]])\n"
        "outputs = model.signatures['serving_default'](\n"
        "    encoder_token_ids=ids, encoder_padding_mask=tf.ones_like(ids))\n"
        "assert 'tensorflow_text' not in sys.modules\n"
        "print(outputs['decoder_token_ids'].numpy().tolist())\n"
    )
    process = subprocess.run(
        [sys.executable, "-I", "-c", code, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    task.compile(sampler=export_sampler)
    zeros = tf.zeros([1, 5], tf.int32)
    expected = task.generate_step(
        {
            "encoder_token_ids": tf.constant([[2, 5, 6, 3]]),
            "encoder_padding_mask": tf.ones([1, 4], tf.int32),
            "decoder_token_ids": zeros,
            "decoder_padding_mask": zeros,
        },
        stop_token_ids=(3,),
    )
    assert (
        json.loads(process.stdout.splitlines()[-1])
        == np.array(expected["decoder_token_ids"]).tolist()
    )


def test_an_interrupted_export_leaves_no_version(tasks, tmp_path, monkeypatch):
    path = tmp_path / "toy"
    (path / "1").mkdir(parents=True)
    seen = []

    def interrupted(*args):
        seen.extend(os.listdir(path))
        raise KeyboardInterrupt

    monkeypatch.setattr(saved_model, "write_extra_assets", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_model(tasks["classify"], path, text_signatures=False)
    # By then the graph lay there, under no name that a server takes.
    assert [name for name in seen if name.isdigit()] == ["1"]
    assert len(seen) == 2
    assert os.listdir(path) == ["1"]


def test_errors_teach(tasks, tmp_path, monkeypatch):
    backbone = tasks["generate"].backbone
    with pytest.raises(ValueError, match="preprocessor=None"):
        export_model(UniLMv2Seq2SeqLM(backbone, pseudo_token_id=4), tmp_path)
    with pytest.raises(ValueError, match="must be UniLMv2 tasks"):
        export_model(backbone, tmp_path)
    with pytest.raises(ValueError, match="each of another kind"):
        export_model([tasks["fill"], tasks["fill"]], tmp_path)
    other = UniLMv2Seq2SeqLM(
        UniLMv2Backbone(23, 1, 1, 8, 8, max_sequence_length=40),
        tasks["generate"].preprocessor,
    )
    with pytest.raises(ValueError, match="one backbone"):
        export_model([tasks["fill"], other], tmp_path)
    with pytest.raises(ValueError, match="version=0"):
        export_model(Classify(tasks["classify"]), tmp_path, version=0)
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
        export_model(tasks["fill"], tmp_path)
