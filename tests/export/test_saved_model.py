"""The SavedModel's answers are those of the task."""

import importlib.metadata
import json
import os
import subprocess
import sys

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.export import ask_saved_model
from unilmv2_tf.export import export_generation
from unilmv2_tf.export import saved_model


def assert_same(answers, expected):
    assert [text for text, _ in answers] == [text for text, _ in expected]
    np.testing.assert_allclose(
        [score for _, score in answers],
        [score for _, score in expected],
        rtol=1e-5,
    )


def read_graph(folder):
    with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    return saved.meta_graphs[0].graph_def


def operations(graph):
    nodes = list(graph.node)
    for function in graph.library.function:
        nodes += function.node_def
    return {node.op for node in nodes}


def xla_marks(graph):
    marks = [
        mark
        for function in graph.library.function
        for mark in [
            *function.attr,
            *(name for node in function.node_def for name in node.attr),
        ]
        if "Xla" in mark
    ]
    return marks + [op for op in operations(graph) if "Xla" in op]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [3, 7])
def test_a_clean_process_answers_as_generate(
    exported, texts, expected, batch_size
):
    assert len(set(expected)) > 3, "the toy answers all texts alike"
    # Three at a time are 3, 3 and 1.
    assert len(texts) == 7
    answers = ask_saved_model(exported, texts, batch_size=batch_size)
    assert_same(answers, expected)


def test_each_signature_has_the_names_and_types_of_the_docstring(exported):
    signatures = tf.saved_model.load(exported).signatures
    assert sorted(signatures) == ["generate_ids", "serving_default"]

    def described(specs):
        return {
            name: (spec.shape.as_list(), spec.dtype.name)
            for name, spec in specs.items()
        }

    text, ids = signatures["serving_default"], signatures["generate_ids"]
    assert described(text.structured_input_signature[1]) == {
        "text": ([None], "string")
    }
    assert {k: v.dtype.name for k, v in text.structured_outputs.items()} == {
        "generated_text": "string",
        "score": "float32",
    }
    assert described(ids.structured_input_signature[1]) == {
        "encoder_token_ids": ([None, None], "int32"),
        "encoder_padding_mask": ([None, None], "int32"),
    }
    assert {k: v.dtype.name for k, v in ids.structured_outputs.items()} == {
        "decoder_token_ids": "int32",
        "decoder_padding_mask": "int32",
        "score": "float32",
    }


@pytest.mark.parametrize("width", [24, 9])
def test_ids_signature_equals_generate_step(make_task, exported, texts, width):
    task = make_task(num_layers=2, return_scores=True)
    rows = task.preprocessor.generate_preprocess(texts[:4])
    rows = {
        name: x[:, :width] if name.startswith("encoder") else x
        for name, x in rows.items()
    }
    expected = task.generate_step(rows, stop_token_ids=(3,))
    signature = tf.saved_model.load(exported).signatures["generate_ids"]
    actual = signature(
        encoder_token_ids=rows["encoder_token_ids"],
        encoder_padding_mask=rows["encoder_padding_mask"],
    )
    for name in ("decoder_token_ids", "decoder_padding_mask"):
        np.testing.assert_array_equal(actual[name], expected[name])
    np.testing.assert_allclose(actual["score"], expected["scores"], rtol=1e-5)


def test_ids_signature_refuses_sources_without_positions(exported):
    signature = tf.saved_model.load(exported).signatures["generate_ids"]
    # 40 positions, 8 of them for the target.
    ids = tf.ones([1, 33], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="n <= 32"):
        signature(encoder_token_ids=ids, encoder_padding_mask=ids)


def test_no_xla(exported):
    assert xla_marks(read_graph(exported)) == []


def test_what_training_and_generating_left_is_not_exported(make_task, tmp_path):
    task = make_task()
    task.optimizer.build(task.trainable_variables)
    # As `generate` leaves it with `jit_compile=True`.
    task.generate_function = tf.function(task.generate_step, jit_compile=True)
    folder = export_generation(task, tmp_path / "toy", text_signature=False)
    assert xla_marks(read_graph(folder)) == []
    variables = tf.train.list_variables(
        os.path.join(folder, "variables", "variables")
    )
    stored = sum(
        int(np.prod(shape)) for name, shape in variables if "GRAPH" not in name
    )
    assert stored == task.count_params()


@pytest.mark.slow
def test_without_text_signature_no_text_library_is_needed(make_task, tmp_path):
    task = make_task()
    folder = export_generation(task, tmp_path / "ids", text_signature=False)
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
    zeros = tf.zeros([1, 8], tf.int32)
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


@pytest.mark.slow
def test_a_sampler_and_a_length_of_its_own(
    make_task, tmp_path, texts, expected
):
    task = make_task(num_layers=2)
    sampler, config = task.sampler, task.sampler.get_config()
    own = {"num_beams": 2, "min_length": 3}
    folder = export_generation(
        task, tmp_path / "toy", max_length=5, sampler=BeamSearchSampler(**own)
    )
    # The task stays as it was.
    assert task.sampler is sampler
    assert task.sampler.get_config() == config
    assert task.generate(texts) == [text for text, _ in expected]

    signature = tf.saved_model.load(folder).signatures["serving_default"]
    actual = signature(tf.constant(texts))
    task.compile(sampler=BeamSearchSampler(**own, return_scores=True))
    outputs = task.generate(texts, max_length=5)
    assert_same(
        [
            (text.decode(), score)
            for text, score in zip(
                actual["generated_text"].numpy(), actual["score"].numpy()
            )
        ],
        list(zip(outputs["generated_text"], outputs["scores"])),
    )


def test_extra_assets_describe_the_model(exported, task):
    extra = os.path.join(exported, "assets.extra")
    with open(os.path.join(extra, "vocab.txt"), encoding="utf-8") as file:
        vocabulary = file.read().split("\n")
    assert vocabulary == [*task.preprocessor.tokenizer.get_vocabulary(), ""]
    with open(os.path.join(extra, "signature.json")) as file:
        described = json.load(file)
    assert described["encoder_sequence_length"] == 24
    assert described["max_length"] == 8
    assert described["sampler"]["class"] == "BeamSearchSampler"
    assert described["sampler"]["config"]["length_penalty"] == 0.7
    assert described["tokenizer"]["sep_token_id"] == 3
    assert described["parameters"] == task.count_params()
    for package, version in described["versions"].items():
        assert version == importlib.metadata.version(package)
    inputs = described["signatures"]["serving_default"]["inputs"]
    assert inputs == {"text": {"dtype": "string", "shape": [None]}}


def test_an_interrupted_export_leaves_no_version(
    make_task, tmp_path, monkeypatch
):
    task = make_task()
    sampler = task.sampler
    path = tmp_path / "toy"
    (path / "1").mkdir(parents=True)
    seen = []

    def interrupted(*args):
        seen.extend(os.listdir(path))
        raise KeyboardInterrupt

    monkeypatch.setattr(saved_model, "write_extra_assets", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_generation(task, path, text_signature=False)
    # By then the graph lay there, under no name that a server takes.
    assert [name for name in seen if name.isdigit()] == ["1"]
    assert len(seen) == 2
    assert os.listdir(path) == ["1"]
    assert task.sampler is sampler


def test_errors_teach(task, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="preprocessor=None"):
        export_generation(
            UniLMv2Seq2SeqLM(task.backbone, pseudo_token_id=4), tmp_path
        )
    with pytest.raises(ValueError, match="must be a UniLMv2Seq2SeqLM"):
        export_generation(task.backbone, tmp_path)
    for max_length in (0, 17):
        with pytest.raises(ValueError, match=f"max_length={max_length}"):
            export_generation(task, tmp_path, max_length=max_length)
    several = BeamSearchSampler(num_beams=3, num_return_sequences=2)
    with pytest.raises(ValueError, match="num_return_sequences=2"):
        export_generation(task, tmp_path, sampler=several)
    with pytest.raises(ValueError, match="a loop of its own"):
        export_generation(
            task, tmp_path, sampler=keras_hub.samplers.BeamSampler()
        )
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
        export_generation(task, tmp_path)
