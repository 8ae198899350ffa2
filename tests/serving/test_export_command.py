"""`unilmv2 export` and `unilmv2 check-export`."""

import json

import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.cli import main
from unilmv2_tf.serving.export_command import load_endpoints


@pytest.fixture(scope="module")
def presets(tasks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets")
    for name, task in tasks.items():
        task.save_to_preset(folder / name)
    return folder


def signatures(folder):
    return tf.saved_model.load(str(folder)).signatures


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.slow
def test_export_and_check(presets, tmp_path, capsys):
    output = tmp_path / "namer"
    arguments = ["export", f"{presets}/classify", "--output", str(output)]
    assert main([*arguments, "--version", "7"]) == 0
    assert f"written to {output}/7" in capsys.readouterr().out
    report = json.loads((output / "7/assets.extra/report.json").read_text())
    assert report["signatures"]["classify"]["is_compared"]
    assert (output / "README.md").exists()
    # What a server may have loaded is never changed.
    assert main([*arguments, "--version", "7"]) == 2
    assert "must be a new one" in one_line(capsys)
    # A damaged version is an error, and no crash of the command.
    weights = output / "7" / "variables" / "variables.data-00000-of-00001"
    data = np.fromfile(weights, "uint8")
    data[: len(data) // 2] = 0
    data.tofile(weights)
    assert main(["check-export", str(output), "--seconds", "0"]) == 2
    error = one_line(capsys)
    assert "was to check the SavedModel" in error and "status 1" in error


@pytest.mark.slow
def test_one_model_for_three_tasks(presets, tmp_path, tasks):
    output = tmp_path / "unified"
    assert main(
        ["export", f"{presets}/generate", "--output", str(output),
         "--signatures", "[encode,generate,fill]", "--num_beams", "2",
         "--num_return_sequences", "2", "--pooling", "cls",
         "--num_candidates", "3",
         "--buckets", "[8,24]", "--check", "false", "--warm-up", "false"]
    ) == 0  # fmt: skip
    found = signatures(output / "1")
    outputs = found["serving_default"](tf.constant(["the fox"]))
    np.testing.assert_allclose(
        outputs["sentence_vector"], outputs["token_vectors"][:, 0]
    )
    assert found["generate"](tf.constant(["a"]))["score"].shape == (1, 2)
    candidates = found["fill"](tf.constant(["a [MASK]"]))["candidates"]
    assert candidates.shape == (1, 1, 3)
    described = json.loads(
        (output / "1" / "assets.extra" / "signature.json").read_text()
    )
    assert described["tasks"]["generate"]["buckets"] == [8, 24]
    # The sampler keeps what was not set.
    config = described["tasks"]["generate"]["sampler"]["config"]
    assert config["length_penalty"] == 0.7
    variables = tf.train.list_variables(f"{output}/1/variables/variables")
    stored = sum(
        int(np.prod(shape)) for name, shape in variables if "GRAPH" not in name
    )
    assert stored <= tasks["generate"].count_params()


@pytest.mark.parametrize(
    "task, flags, message",
    [
        ("fill", ["--num_beams", "2"], "`num_beams` is not an option of fill"),
        ("classify", ["--signatures", "[generate]"], "classify, encode"),
        ("answer", ["--n_best", "0"], "n_best=0"),
        ("generate", ["--n_best", "2"], "`n_best` is not an option"),
        ("generate", ["--max_length", "99"], "max_length=99"),
        ("encode", [], "no folder"),
        ("fill", ["--buckets", "[8,4]"], "positive and increasing"),
        ("generate", ["--format", "litert"], "LiteRT has classify and encode"),
        ("fill", ["--dtype", "float8"], "float8"),
    ],
)
def test_mistakes(presets, tmp_path, capsys, task, flags, message):
    output = tmp_path / "model"
    arguments = ["export", f"{presets}/{task}", "--output", str(output)]
    assert main([*arguments, *flags]) == 2
    assert message in one_line(capsys)
    assert not output.exists()


def test_special_tokens_in_strings(presets):
    (endpoint,) = load_endpoints(
        f"{presets}/classify", special_tokens_in_strings=True
    )
    rows = endpoint.live_rows(text=["[SEP] the"])
    assert rows["token_ids"][0, 1] == endpoint.tokenizer.sep_token_id


def test_no_export_to_check(tmp_path, capsys):
    assert main(["check-export", str(tmp_path)]) == 2
    assert "saved_model.pb" in one_line(capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stored", [{"dtype": "bfloat16"}, {"quantize": "int8"}]
)
def test_smaller_weights(presets, stored):
    encode, generate = load_endpoints(
        str(presets / "generate"), ["encode", "generate"], **stored
    )
    texts = ["the quick brown fox", "", "a red dog."]
    vectors = encode.from_text(text=tf.constant(texts))["sentence_vector"]
    vectors = vectors.numpy()
    exact = UniLMv2Seq2SeqLM.from_preset(str(presets / "generate"))
    rows = encode.live_rows(text=texts)
    expected = exact.backbone(rows).numpy()
    mask = rows["padding_mask"][..., None]
    expected = (expected * mask).sum(axis=1) / mask.sum(axis=1)
    cosine = (vectors * expected).sum(axis=1) / (
        np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
    )
    assert (cosine > 0.97).all(), cosine
    outputs = generate.from_text(text=tf.constant(texts))
    assert outputs["generated_text"].shape == (3,)
    size = sum(
        weight.value.dtype.size * int(np.prod(weight.shape))
        for weight in encode.task.weights
    )
    assert size < 2.5 * exact.count_params()
