"""The commands `convert` and `inspect`."""

import json
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints import resize_positions
from unilmv2_tf.checkpoints.readers import read_tensors
from unilmv2_tf.cli import main

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FORMS = (
    "pytorch_model.bin",
    "model.safetensors",
    "hf_bert.safetensors",
    "s2s_ft_saved",
)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    words = [f"word{number}" for number in range(96)]
    path.write_text("\n".join([*SPECIAL, *words]))
    return str(path)


def run_convert(source, output, *arguments):
    command = ["convert", str(source), "--output", str(output), *arguments]
    assert main(command) == 0
    return str(output)


@pytest.fixture(scope="module")
def preset(golden_dir, vocabulary, tmp_path_factory):
    """The golden model, as the authors' fine-tuning saves it, as a preset."""
    folder = tmp_path_factory.mktemp("preset") / "preset"
    source = golden_dir / "tiny_relpos" / "s2s_ft_saved"
    return run_convert(source, folder, "--vocabulary", vocabulary)


def assert_same_weights(model, other):
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def fails(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_become_presets(form, case, vocabulary, tmp_path):
    folder = tmp_path / "out"
    run_convert(case / form, folder, "--vocabulary", vocabulary)
    task = UniLMv2Seq2SeqLM.from_preset(str(folder))
    expected = load_checkpoint(case, UniLMv2Seq2SeqLM, pseudo_token_id=4)
    assert_same_weights(task, expected)
    assert task.pseudo_token_id == 4


def test_presets_become_checkpoints(case, preset, tmp_path):
    """Names, tensors and values are those of the file that went in."""
    folder = run_convert(preset, tmp_path / "out", "--layout", "s2s_ft")
    before = read_tensors(case / "s2s_ft_saved" / "pytorch_model.bin")
    after = read_tensors(f"{folder}/model.safetensors")
    fused = {name for name in before if "qkv_linear" in name}
    assert not fused and before.keys() == after.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_every_tensor_is_in_the_report(case, vocabulary, tmp_path, capsys):
    folder = run_convert(
        case / "s2s_ft_saved", tmp_path / "out", "--vocabulary", vocabulary
    )
    report = capsys.readouterr().out
    rows = json.loads((tmp_path / "out" / "conversion.json").read_text())
    tensors = read_tensors(case / "s2s_ft_saved" / "pytorch_model.bin")
    assert {row["source"] for row in rows} == tensors.keys()
    for row in rows:
        starred = row["source"].replace("layer.0", "layer.*")
        assert starred.replace("layer.1", "layer.*") in report
    assert "decoder_weight" in report and "tied" in report
    assert "buffer of the label smoothing" in report
    card = pathlib.Path(folder, "README.md").read_text()
    assert "s2s-ft, saved" in card and "keras-hub" in card


def test_positions_of_checkpoints_and_presets(
    case, preset, vocabulary, tmp_path
):
    old = UniLMv2Backbone.from_preset(preset)
    old = old.embeddings.position_embedding.embeddings.numpy()
    for source, method in ((case, "cyclic"), (preset, "interpolate")):
        folder = run_convert(
            source, tmp_path / method, "--positions", "70", "--target",
            "preset", "--position_method", method, "--vocabulary", vocabulary,
        )  # fmt: skip
        longer = UniLMv2Backbone.from_preset(folder)
        table = longer.embeddings.position_embedding.embeddings.numpy()
        np.testing.assert_array_equal(table, resize_positions(old, 70, method))


def test_a_preset_serves_every_task(case, preset):
    masked_lm = UniLMv2PseudoMaskedLM.from_preset(preset)
    expected = load_checkpoint(case, UniLMv2PseudoMaskedLM, pseudo_token_id=4)
    np.testing.assert_array_equal(
        masked_lm.language_model_head.output_bias.numpy(),
        expected.language_model_head.output_bias.numpy(),
    )
    classifier = UniLMv2TextClassifier.from_preset(preset, num_classes=2)
    assert classifier.predict(["word1 word2"], verbose=0).shape == (1, 2)


def test_beam_settings_survive_presets(preset, tmp_path):
    task = UniLMv2Seq2SeqLM.from_preset(preset)
    sampler = BeamSearchSampler(
        num_beams=3,
        length_penalty=0.7,
        min_length=2,
        no_repeat_ngram_size=3,
        ignored_token_ids=(7, 8),
    )
    task.compile(sampler=sampler)
    task.save_to_preset(tmp_path / "beams")
    back = UniLMv2Seq2SeqLM.from_preset(str(tmp_path / "beams"))
    assert back.sampler.get_config() == sampler.get_config()


@pytest.mark.slow
def test_labels_survive_presets_and_checkpoints(preset, tmp_path):
    classifier = UniLMv2TextClassifier.from_preset(
        preset, label_names=["no", "yes"]
    )
    classifier.save_to_preset(tmp_path / "labels")
    folder = run_convert(tmp_path / "labels", tmp_path / "checkpoint")
    again = run_convert(folder, tmp_path / "again", "--lowercase", "true")
    back = UniLMv2TextClassifier.from_preset(again)
    assert back.label_names == ["no", "yes"]
    texts = ["word1 word2 word3", "word4"]
    np.testing.assert_array_equal(
        back.predict(texts, verbose=0), classifier.predict(texts, verbose=0)
    )


@pytest.mark.parametrize("hub", ["hf", "kaggle"])
def test_handles_of_our_presets(hub, preset, monkeypatch):
    """No network here: the hub's client answers from a folder."""
    preset = pathlib.Path(preset)
    asked = []

    def find(handle, filename):
        asked.append(handle)
        if (preset / filename).exists():
            return str(preset / filename)
        from huggingface_hub.utils import EntryNotFoundError

        if hub == "hf":
            raise EntryNotFoundError(filename)
        raise ValueError("is not present in the model files")

    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download",
        lambda repo_id, filename: find(repo_id, filename),
    )
    monkeypatch.setattr("kagglehub.model_download", find)
    name = {"hf": "me/model", "kaggle": "me/unilm/keras/tiny"}[hub]
    task = UniLMv2Seq2SeqLM.from_preset(f"{hub}://{name}")
    assert set(asked) == {name}
    assert task.backbone.hidden_dim == 32
    assert task.preprocessor.tokenizer.vocabulary_size() == 101


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_malicious_pickle_runs_nothing(case, vocabulary, tmp_path, capsys):
    trace = tmp_path / "trace"
    source = tmp_path / "evil.bin"
    with zipfile.ZipFile(source, "w") as archive:
        content = pickle.dumps({"weight": Evil(trace)}, protocol=2)
        archive.writestr("evil/data.pkl", content)
    pickle.loads(content)
    assert trace.exists()  # It would.
    trace.unlink()
    for command in ("convert", "inspect"):
        error = fails(capsys, command, source, "--vocabulary", vocabulary)
        assert "system" in error and "nothing was run" in error
    assert not trace.exists()


def test_mistakes_on_the_command_line(case, vocabulary, tmp_path, capsys):
    out = ["--output", tmp_path / "out"]
    known = ["--vocabulary", vocabulary]
    assert "vocabulary" in fails(capsys, "convert", case, *out)
    assert "does not exist" in fails(capsys, "convert", "nope", *out)
    assert "preset or checkpoint" in fails(
        capsys, "convert", case, *out, *known, "--target", "keras"
    )
    assert "positive integer" in fails(
        capsys, "convert", case, *out, *known, "--positions", "-3"
    )
    (tmp_path / "short.txt").write_text("\n".join(SPECIAL))
    assert "5 tokens" in fails(
        capsys, "convert", case, *out, "--vocabulary", tmp_path / "short.txt"
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    error = fails(capsys, "convert", case, *out, *known)
    assert "exists" in error and "--overwrite" in error
    assert os.listdir(tmp_path / "out") == ["thesis.tex"]
    (tmp_path / "config.json").write_text('{"hidden_act": "relu"}')
    error = fails(
        capsys, "convert", case / "model.safetensors", *known,
        "--output", tmp_path / "new", "--config", tmp_path / "config.json",
    )  # fmt: skip
    assert "hidden_act" in error and "relu" in error
    assert not (tmp_path / "new").exists()


def test_inspect(case, preset, capsys):
    assert main(["inspect", str(case / "pytorch_model.bin")]) == 0
    text = capsys.readouterr().out
    assert "fused projections" in text and "SHA-256" in text
    described = []
    for path in (case / "pytorch_model.bin", preset):
        assert main(["inspect", str(path), "--json_output", "true"]) == 0
        described.append(json.loads(capsys.readouterr().out))
    checkpoint, of_preset = described
    # The file has no key biases, 2 layers of 32.
    whole = checkpoint["parameters"]["total"]
    task = UniLMv2Seq2SeqLM.from_preset(preset)
    assert whole == of_preset["parameters"]["total"] == task.count_params()
    assert checkpoint["dtypes"].keys() == {"float32"}
    assert of_preset["vocabulary"]["tokens"] == 101
    assert of_preset["vocabulary"]["first"][:2] == ["[PAD]", "[UNK]"]
    for parts in (checkpoint, of_preset):
        assert parts["parameters"]["embeddings"] == 32 * (101 + 64 + 2 + 2)
    assert "kind" in of_preset and "missing" in fails(
        capsys, "inspect", "missing"
    )
