"""What is wrong with a pre-training is said in one line."""

import json
import os

import pytest

from unilmv2_tf.cli import main
from unilmv2_tf.trainers.pretraining.strategies import check_tf_config


@pytest.fixture
def error_of(configured, capfd):
    """Runs the command; returns the one line that it fails with."""

    def run(*flags, **changes):
        assert main([*configured(**changes), *flags]) == 2
        lines = capfd.readouterr().err.splitlines()
        errors = [line for line in lines if line.startswith("unilmv2")]
        assert len(errors) == 1 and lines[-1] == errors[0], lines
        return errors[0]

    return run


def small_backbone(**changes):
    sizes = {"num_layers": 1, "hidden_dim": 32, "num_heads": 2}
    return {**sizes, "intermediate_dim": 64, **changes}


def test_no_such_shards(error_of, tmp_path):
    message = error_of(data=str(tmp_path / "missing"))
    assert "There is no folder" in message and "unilmv2 prepare" in message
    assert not os.path.exists(tmp_path / "run")


def test_a_folder_of_something_else(error_of, tmp_path):
    assert "not made by `unilmv2 prepare`" in error_of(data=str(tmp_path))


def test_rows_longer_than_the_positions(error_of, tmp_path):
    message = error_of(backbone=small_backbone(max_sequence_length=16))
    assert "rows of 32" in message and "max_sequence_length=16" in message
    assert "--backbone.max_sequence_length 32" in message
    assert not os.path.exists(tmp_path / "run")


def test_arguments_that_the_backbone_lacks(error_of):
    message = error_of(backbone=small_backbone(heads=3))
    assert "Received: heads" in message and "num_heads" in message


def test_a_preset_with_another_vocabulary(error_of, tmp_path, shards):
    import unilmv2_tf

    tokenizer = unilmv2_tf.UniLMv2Tokenizer([*shards.vocabulary, "more"])
    preset = str(tmp_path / "preset")
    unilmv2_tf.UniLMv2PseudoMaskedLM.from_preset(
        "unilmv2_tiny",
        vocabulary_size=tokenizer.vocabulary_size(),
        preprocessor=unilmv2_tf.UniLMv2PseudoMaskedLMPreprocessor(
            tokenizer, sequence_length=32
        ),
        **small_backbone(),
    ).save_to_preset(preset)
    message = error_of(preset=preset, backbone={})
    assert f"65 tokens in {shards.folder}, 66 in {preset}" in message
    assert f"--vocabulary {preset}" in message


def test_the_output_is_a_file(error_of, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert str(tmp_path / "run") in error_of()
    assert (tmp_path / "run").read_text() == "mine"


def test_a_folder_that_cannot_be_made(error_of):
    assert "/proc/run" in error_of(output="/proc/run")


def test_batches_that_cannot_be_shared_out(error_of):
    message = error_of(accumulation_steps=3)
    assert "multiple of 3" in message and "6 and 9" in message


def test_more_rows_in_a_batch_than_there_are(error_of):
    assert "batch_size=4096" in error_of(batch_size=4096)


def test_too_many_devices(error_of):
    # TensorFlow has begun here: the processor cannot be split any more.
    assert "devices=64" in error_of(strategy="mirrored", devices=64)


@pytest.mark.parametrize(
    "name, value",
    [
        ("num_steps", 0),
        ("batch_size", 0),
        ("keep", 0),
        ("seed", -1),
        ("learning_rate", 0.0),
        ("clip_norm", -1.0),
        ("warmup_steps", 21),
        ("evaluation_rows", -1),
    ],
)
def test_out_of_range(name, value, error_of):
    assert f"{name}={value}" in error_of(f"--{name}={value}")


def test_other_settings_than_before(make_settings, shards, error_of, tmp_path):
    os.makedirs(tmp_path / "run")
    make_settings().remember(shards)
    message = error_of(learning_rate=2e-3, seed=4, keep=7)
    assert "learning_rate=0.001 (now 0.002)" in message
    assert "seed=0 (now 4)" in message
    assert "keep" not in message
    (tmp_path / "run" / "settings.json").write_text("{")
    assert "settings.json is damaged" in error_of()


@pytest.mark.slow
def test_a_checkpoint_of_another_model(configured, error_of, tmp_path, capfd):
    changes = dict(num_steps=2, steps_per_loop=1, evaluation_rows=8)
    assert main(configured(**changes)) == 0
    capfd.readouterr()
    os.remove(tmp_path / "run" / "settings.json")
    names = os.listdir(tmp_path / "run" / "checkpoints")
    message = error_of(backbone=small_backbone(hidden_dim=16), **changes)
    assert "is of another model" in message and "step-2" in message
    assert os.listdir(tmp_path / "run" / "checkpoints") == names


ADDRESSES = ["10.0.0.1:2222", "10.0.0.2:2222"]
CLUSTER = {"worker": ADDRESSES}


@pytest.mark.parametrize(
    "config, message",
    [
        (None, "not set"),
        ("", "not set"),
        ("{", "not JSON"),
        ("[]", r"Received: '\[\]'"),
        ({}, "no cluster"),
        ({"cluster": {}}, "no cluster"),
        ({"cluster": ADDRESSES}, "no cluster"),
        ({"cluster": {"ps": ADDRESSES}}, "'ps'"),
        ({"cluster": {"worker": ADDRESSES[0]}}, "not a list"),
        ({"cluster": {"worker": [1, 2]}}, "not a list"),
        ({"cluster": {"worker": ["10.0.0.1"]}}, "HOST:PORT"),
        ({"cluster": {"worker": ["10.0.0.1:x"]}}, "HOST:PORT"),
        ({"cluster": {"worker": [":2222"]}}, "HOST:PORT"),
        ({"cluster": {"worker": ["10.0.0.1:65536"]}}, "HOST:PORT"),
        ({"cluster": CLUSTER}, "no task"),
        ({"cluster": CLUSTER, "task": [0]}, "no task"),
        ({"cluster": CLUSTER, "task": {"index": 0}}, "task type None"),
        (
            {"cluster": CLUSTER, "task": {"type": "chief", "index": 0}},
            "'chief', which the cluster lacks",
        ),
        ({"cluster": CLUSTER, "task": {"type": "worker"}}, "index None"),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": 2}},
            "index 2 with 2 worker",
        ),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": -1}},
            "index -1",
        ),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": "0"}},
            "index '0'",
        ),
    ],
)
def test_malformed_tf_config(config, message):
    text = config if not isinstance(config, dict) else json.dumps(config)
    with pytest.raises(ValueError, match=f"TF_CONFIG must name.*{message}"):
        check_tf_config(text)


def test_good_tf_config():
    for index in (0, 1):
        task = {"type": "worker", "index": index}
        check_tf_config(json.dumps({"cluster": CLUSTER, "task": task}))
    cluster = {"chief": ADDRESSES[:1], "worker": ADDRESSES[1:]}
    task = {"type": "chief", "index": 0}
    check_tf_config(json.dumps({"cluster": cluster, "task": task}))


def test_multiworker_without_tf_config(error_of, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert "TF_CONFIG must name" in error_of(strategy="multiworker")
