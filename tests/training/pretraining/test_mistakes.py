"""Mistakes of a user's end with one line that names them, and status 2."""

import json
import os
import shutil

import pytest

import unilmv2_tf
from unilmv2_tf.cli import main
from unilmv2_tf.training.arguments import PretrainArgs


@pytest.fixture
def error_of(process_arguments, tmp_path, capsys):
    """A function from further flags to the line of the error."""

    def error_of(*arguments):
        flags = [*process_arguments, f"--output={tmp_path / 'run'}"]
        assert main(["pretrain", *flags, "--num_steps=4", *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith("unilmv2 pretrain: error: ")
        assert not [line for line in lines if "Traceback" in line]
        assert len([line for line in lines if "error" in line]) == 1
        return lines[-1]

    return error_of


@pytest.fixture(scope="module")
def kept(process_arguments, tmp_path_factory):
    """The folder of a run that was stopped after two steps."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    flags = [*process_arguments, f"--output={folder}"]
    assert main(["pretrain", *flags, "--num_steps=4", "--stop_at_step=2"]) == 0
    return folder


@pytest.fixture
def begun(kept, tmp_path):
    return shutil.copytree(kept, tmp_path / "run")


@pytest.mark.parametrize(
    "flags, parts",
    [
        (["--data=nowhere"], ["nowhere"]),
        (["--backbone.max_sequence_length=16"], ["rows of 32", "16"]),
        (["--backbone.num_leyers=2"], ["num_leyers", "num_layers"]),
        (["--preset=unilmv2_huge"], ["unilmv2_huge", "unilmv2_base"]),
        (["--accumulation_steps=3"], ["multiple of 3", "batch_size=16", "18"]),
        (["--batch_size=100000"], ["batch_size=100000"]),
        (["--strategy=mirrored", "--devices=999"], ["devices=999"]),
        (["--num_steps=many"], ["num_steps", "many"]),
        (["--precision=float64"], ["precision", "float64"]),
        (["--objectives=[ar]"], ["objectives"]),
    ],
)
def test_flags(error_of, flags, parts):
    line = error_of(*flags)
    assert all(part in line for part in parts), line


@pytest.mark.parametrize("text", [None, "{", '{"cluster": {"ps": ["a:1"]}}'])
def test_workers_without_names(error_of, monkeypatch, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text:
        monkeypatch.setenv("TF_CONFIG", text)
    assert "TF_CONFIG must name all workers" in error_of(
        "--strategy=multiworker"
    )


def test_an_output_that_is_a_file(error_of, tmp_path):
    (tmp_path / "file").write_text("x")
    assert f"{tmp_path}/file" in error_of(f"--output={tmp_path}/file")
    assert f"{tmp_path}/file" in error_of(f"--output={tmp_path}/file/run")
    assert "/proc/run" in error_of("--output=/proc/run")


def test_a_preset_of_another_vocabulary(error_of, tmp_path):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = unilmv2_tf.UniLMv2Tokenizer([*special, "a", "b"])
    unilmv2_tf.UniLMv2PseudoMaskedLM.from_preset(
        "unilmv2_tiny",
        load_weights=False,
        vocabulary_size=7,
        num_layers=1,
        preprocessor=unilmv2_tf.UniLMv2PseudoMaskedLMPreprocessor(tokenizer),
    ).save_to_preset(str(tmp_path / "preset"))
    line = error_of(f"--preset={tmp_path / 'preset'}")
    assert "60 tokens" in line and "7 in" in line
    assert f"--vocabulary {tmp_path / 'preset'}" in line


def test_going_on_with_other_settings(error_of, begun):
    line = error_of("--learning_rate=0.5", "--seed=3")
    assert "learning_rate=0.01 (now 0.5)" in line
    assert "seed=0 (now 3)" in line
    assert "batch_size" not in line


def test_a_checkpoint_of_another_model(error_of, begun):
    os.remove(begun / "settings.json")
    line = error_of("--backbone.hidden_dim=16")
    assert "step-2" in line and "another model" in line
    # It is not touched.
    assert (begun / "checkpoints/step-2.index").exists()


def test_damaged_settings(error_of, begun):
    (begun / "settings.json").write_text("{")
    line = error_of()
    assert f"{begun}/settings.json is damaged" in line


def test_settings_are_kept(begun):
    kept = json.loads((begun / "settings.json").read_text())
    assert kept["learning_rate"] == 1e-2 and kept["batch_size"] == 16
    # Where it runs may change.
    assert not {"data", "output", "strategy", "devices"} & set(kept)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_steps": 0},
        {"batch_size": 0},
        {"accumulation_steps": -1},
        {"steps_per_loop": 0},
        {"evaluation_interval": 0},
        {"checkpoint_interval": 0},
        {"keep": 0},
        {"evaluation_rows": -1},
        {"seed": -1},
        {"seed": 2**31},
        {"learning_rate": 0.0},
        {"clip_norm": 0.0},
        {"warmup_steps": 11, "num_steps": 10},
    ],
)
def test_numbers_out_of_range(settings):
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=f"`{name}` must") as error:
        PretrainArgs(data="shards", output="run", **settings)
    assert f"{name}={value}" in str(error.value)
