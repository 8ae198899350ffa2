"""The SavedModel's answers are those of the tasks."""

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

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.serving import Answer
from unilmv2_tf.serving import Classify
from unilmv2_tf.serving import Generate
from unilmv2_tf.serving import ask_saved_model
from unilmv2_tf.serving import export_model
from unilmv2_tf.serving import saved_model
from unilmv2_tf.serving.clean_check import graph_operations

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


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(exported).signatures


def strings(tensor):
    decode = np.vectorize(lambda text: text.decode(), otypes=[object])
    return decode(tensor.numpy()).tolist()


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


def test_generate_is_generate(signatures, tasks, texts):
    outputs = signatures["generate"](tf.constant(texts))
    generated = strings(outputs["generated_text"])
    assert generated == tasks["generate"].generate(texts)
    assert len(set(generated)) > 3, "the toy answers all texts alike"


def test_scores_are_those_of_the_beam_search(make_task, tmp_path, texts):
    task = make_task(num_layers=2, return_scores=True, num_return_sequences=2)
    folder = export_model(task, tmp_path / "toy", check=False)
    outputs = tf.saved_model.load(folder).signatures["generate"](
        tf.constant(texts)
    )
    expected = task.generate(texts)
    assert strings(outputs["generated_text"]) == expected["generated_text"]
    np.testing.assert_allclose(outputs["score"], expected["scores"], rtol=1e-5)
    assert outputs["score"].shape == (7, 2)


def test_classify_is_classify(signatures, tasks, texts):
    outputs = signatures["classify"](tf.constant(texts))
    expected = tasks["classify"].classify(texts, return_probabilities=True)
    assert strings(outputs["label"]) == [x["label"] for x in expected]
    np.testing.assert_allclose(
        outputs["probabilities"],
        [list(x["probabilities"].values()) for x in expected],
        atol=1e-5,
    )
    pairs = signatures["classify_pair"](
        text_a=tf.constant(texts), text_b=tf.constant(texts[::-1])
    )
    assert strings(pairs["label"]) == tasks["classify"].classify(
        (texts, texts[::-1])
    )


def test_answer_is_answer(signatures, tasks, texts):
    questions = ["What red fox?"] * len(texts)
    outputs = signatures["answer"](
        question=tf.constant(questions), context=tf.constant(texts)
    )
    expected = tasks["answer"].answer(questions, texts)
    found = strings(outputs["answer"])
    assert found == [answer["text"] for answer in expected]
    assert any(found) and not all(found)
    for name in ("start", "end"):
        assert outputs[name].numpy().tolist() == [x[name] for x in expected]
    for name in ("score", "probability", "null_score"):
        np.testing.assert_allclose(
            outputs[name], [x[name] for x in expected], atol=1e-5, rtol=1e-5
        )


def test_fill_is_the_autoencoding_objective(signatures, tasks):
    texts = ["the [MASK] fox [MASK].", "red [MASK]", "the dog"]
    outputs = signatures["fill"](tf.constant(texts))
    tokenizer = tasks["fill"].preprocessor.tokenizer
    row = [2, 5, 4, 8, 4, 13, 3]
    assert [tokenizer.id_to_token(i) for i in row[1:-1]] == [
        "the", "[MASK]", "fox", "[MASK]", ".",
    ]  # fmt: skip
    ids = np.array([row])
    logits = tasks["fill"](
        {
            "token_ids": ids,
            "segment_ids": 0 * ids,
            "padding_mask": 0 * ids + 1,
            "mask_positions": np.array([[2, 4]]),
            "mask_steps": np.array([[1, 2]]),
            "revealed_token_ids": np.array([[6, 6]]),
        }
    )["ae"]
    probabilities = keras.ops.softmax(logits).numpy()[0]
    best = np.argsort(-probabilities, axis=-1)[:, :5]
    expected = [[tokenizer.id_to_token(i) for i in gap] for gap in best]
    candidates = strings(outputs["candidates"])
    assert candidates[0] == expected
    np.testing.assert_allclose(
        outputs["probabilities"][0],
        np.take_along_axis(probabilities, best, axis=1),
        atol=1e-5,
    )
    # Fewer gaps than another text has are blank.
    assert all(candidates[1][0]) and candidates[1][1] == [""] * 5
    assert not outputs["probabilities"][2].numpy().any()


def test_encode_is_the_backbone(signatures, tasks):
    ids = np.array([[2, 5, 8, 3]])
    rows = {
        "token_ids": ids,
        "segment_ids": 0 * ids,
        "padding_mask": 0 * ids + 1,
    }
    expected = tasks["generate"].backbone(rows).numpy()[0]
    outputs = signatures["encode"](tf.constant(["The fox", "the " * 30]))
    vectors = outputs["token_vectors"].numpy()
    np.testing.assert_allclose(vectors[0, :4], expected, atol=1e-5)
    assert not vectors[0, 4:].any()
    np.testing.assert_allclose(
        outputs["sentence_vector"][0], expected.mean(axis=0), atol=1e-5
    )
    assert outputs["padding_mask"].numpy().sum(axis=1).tolist() == [4, 32]


def test_the_check_compared_everything(exported):
    with open(os.path.join(exported, "assets.extra", "report.json")) as file:
        report = json.load(file)
    assert set(report["signatures"]) == {*OUTPUTS, "serving_default"}
    for name, found in report["signatures"].items():
        assert found["is_compared"], name
        assert found["num_different"] == 0
        assert found["largest_difference"] <= 1e-4
    assert "NormalizeUTF8" in report["from_tensorflow_text"]
    assert {"MatMul", "While"} <= set(report["operations"])
    with open(os.path.join(exported, "assets.extra", "report.md")) as file:
        text = file.read()
    assert "**`NormalizeUTF8`**" in text and "| `answer_ids` |" in text


def test_no_xla(exported):
    operations, marks = graph_operations(exported)
    assert marks == []
    assert not [name for name in operations if "Xla" in name]


def test_weights_are_stored_once(exported, tasks):
    variables = tf.train.list_variables(
        os.path.join(exported, "variables", "variables")
    )
    stored = sum(
        int(np.prod(shape)) for name, shape in variables if "GRAPH" not in name
    )
    weights = {id(w): w for task in tasks.values() for w in task.weights}
    needed = sum(int(np.prod(w.shape)) for w in weights.values())
    # Dropout's states are weights of a task, and no endpoint drops.
    assert needed - 20 <= stored <= needed


def test_ids_refuse_sources_without_positions(signatures):
    # 40 positions, 8 of them for the target.
    ids = tf.ones([1, 33], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="n <= 32"):
        signatures["generate_ids"](
            encoder_token_ids=ids, encoder_padding_mask=ids
        )


def test_inputs_must_be_as_many(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many"):
        signatures["answer"](
            question=tf.constant(["who?"]), context=tf.constant(["a", "b"])
        )


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
    for package, version in described["versions"].items():
        assert version == importlib.metadata.version(package)
    inputs = described["signatures"]["encode"]["inputs"]
    assert inputs == {"text": {"dtype": "string", "shape": [None]}}


@pytest.mark.slow
def test_a_clean_process_answers_as_generate(exported, tasks, texts):
    answers = ask_saved_model(exported, texts, batch_size=3)
    assert [text for text, _ in answers] == tasks["generate"].generate(texts)


@pytest.mark.slow
def test_without_text_signatures_no_text_library_is_needed(make_task, tmp_path):
    task = make_task()
    folder = export_model(
        task, tmp_path / "ids", text_signatures=False, check=False
    )
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


def test_what_training_and_generating_left_is_not_exported(make_task, tmp_path):
    task = make_task()
    task.optimizer.build(task.trainable_variables)
    # As `generate` leaves it with `jit_compile=True`.
    task.generate_function = tf.function(task.generate_step, jit_compile=True)
    sampler, config = task.sampler, task.sampler.get_config()
    endpoint = Generate(
        task, max_length=5, sampler=BeamSearchSampler(num_beams=2, min_length=3)
    )
    folder = export_model(
        endpoint, tmp_path / "toy", text_signatures=False, check=False
    )
    assert graph_operations(folder)[1] == []
    variables = tf.train.list_variables(
        os.path.join(folder, "variables", "variables")
    )
    stored = sum(
        int(np.prod(shape)) for name, shape in variables if "GRAPH" not in name
    )
    assert stored == task.count_params()
    # The task stays as it was.
    assert task.sampler is sampler
    assert task.sampler.get_config() == config


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
        export_model(task, path, text_signatures=False)
    # By then the graph lay there, under no name that a server takes.
    assert [name for name in seen if name.isdigit()] == ["1"]
    assert len(seen) == 2
    assert os.listdir(path) == ["1"]
    assert task.sampler is sampler


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
    for max_length in (0, 17):
        with pytest.raises(ValueError, match=f"max_length={max_length}"):
            Generate(tasks["generate"], max_length=max_length)
    with pytest.raises(ValueError, match="a loop of its own"):
        Generate(tasks["generate"], sampler=keras_hub.samplers.BeamSampler())
    with pytest.raises(ValueError, match="n_best=0"):
        Answer(tasks["answer"], n_best=0)
    with pytest.raises(ValueError, match="version=0"):
        export_model(Classify(tasks["classify"]), tmp_path, version=0)
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="KERAS_BACKEND=tensorflow"):
        export_model(tasks["fill"], tmp_path)
