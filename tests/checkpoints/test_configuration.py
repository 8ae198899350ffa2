"""Configurations: keys, what is inferred without them, and their errors."""

import json

import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints.configuration import complete_config


@pytest.fixture
def load(case, config):
    """Loads the golden backbone with another configuration."""

    def run(without=None, cls=UniLMv2Backbone, **changes):
        changed = {**config, **changes}
        changed.pop(without, None)
        kwargs = {} if cls is UniLMv2Backbone else {"pseudo_token_id": 4}
        return load_checkpoint(
            case / "model.safetensors", cls, config=changed, **kwargs
        )

    return run


def test_every_key_is_used(load, config):
    backbone = load(
        hidden_dropout_prob=0.2,
        attention_probs_dropout_prob=0.2,
        layer_norm_eps=1e-7,
        hidden_act="gelu_new",
        max_rel_pos=77,
    )
    arguments = backbone.get_config()
    for argument, key in {
        "vocabulary_size": "vocab_size",
        "hidden_dim": "hidden_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "intermediate_dim": "intermediate_size",
        "max_sequence_length": "max_position_embeddings",
        "num_segments": "type_vocab_size",
        "num_relative_buckets": "rel_pos_bins",
    }.items():
        assert arguments[argument] == config[key]
    assert arguments["dropout"] == 0.2
    assert arguments["layer_norm_epsilon"] == 1e-7
    assert arguments["approximate_gelu"]
    assert arguments["max_relative_distance"] == 77


def test_defaults(case):
    """Sizes are inferred from the tensors."""
    backbone = load_checkpoint(
        case / "model.safetensors", UniLMv2Backbone, {"max_rel_pos": 128}
    )
    assert backbone.layer_norm_epsilon == 1e-12
    assert backbone.dropout == 0.1
    assert not backbone.approximate_gelu


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"hidden_act": "relu"}, "hidden_act.*Received: 'relu'"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        (
            {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.2},
            "0.1 and 0.2",
        ),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob"),
        ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob"),
        ({"layer_norm_eps": -1}, "layer_norm_eps"),
        ({"layer_norm_eps": None}, "layer_norm_eps"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps"),
        ({"vocab_size": "101"}, "vocab_size.*'101'"),
        ({"num_hidden_layers": 0}, "num_hidden_layers.*0"),
        ({"hidden_size": 32.0}, "hidden_size.*32.0"),
        ({"rel_pos_bins": -1}, "rel_pos_bins"),
        ({"rel_pos_bins": None}, "rel_pos_bins"),
        ({"max_rel_pos": 0}, "max_rel_pos"),
        ({"without": "max_rel_pos"}, "max_rel_pos.*no such key"),
    ],
)
def test_invalid_values_are_named(change, reason, load):
    with pytest.raises(ValueError, match=reason):
        load(**change)


def test_segments(load):
    task = load(cls=UniLMv2Seq2SeqLM, source_type_id=1, target_type_id=0)
    assert (task.source_segment_id, task.target_segment_id) == (1, 0)
    with pytest.raises(ValueError, match=r"target_type_id.*Received: 6"):
        load(cls=UniLMv2Seq2SeqLM, target_type_id=6)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe"])
def test_configuration_files_that_are_not_json(content, case, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="configuration must be a JSON"):
        load_checkpoint(case, UniLMv2Backbone, config=path)


def test_configuration_beside_a_published_file(case, config, tmp_path):
    """As the authors name them."""
    content = (case / "pytorch_model.bin").read_bytes()
    (tmp_path / "tiny.bin").write_bytes(content)
    (tmp_path / "tiny-config.json").write_text(
        json.dumps({**config, "source_type_id": 1, "target_type_id": 0})
    )
    (tmp_path / "config.json").write_text("not this one")
    task = load_checkpoint(
        tmp_path / "tiny.bin", UniLMv2Seq2SeqLM, pseudo_token_id=4
    )
    assert (task.source_segment_id, task.target_segment_id) == (1, 0)


# === No configuration ===


def arrays_of(layers, hidden, vocabulary, heads=None, segments=2):
    """Weights that have a shape and no values."""
    shapes = {
        "embeddings.word_embeddings.weight": (vocabulary, hidden),
        "embeddings.position_embeddings.weight": (512, hidden),
        "embeddings.token_type_embeddings.weight": (segments, hidden),
    }
    for layer in range(layers):
        name = f"encoder.layer.{layer}.intermediate.dense.weight"
        shapes[name] = (4 * hidden, hidden)
    if heads:
        shapes["rel_pos_bias.weight"] = (heads, 32)
    return {
        name: np.broadcast_to(np.float32(0), shape)
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize(
    "name, shapes, expected",
    [
        ("unilm1-base-cased", (12, 768, 28996, None, 6), (12, 0)),
        ("unilm1.2-base-uncased", (12, 768, 30522), (12, 0)),
        ("unilm2-base-uncased", (12, 768, 30522, 12), (12, 32)),
        ("unilm2-large-uncased", (24, 1024, 30522, 16), (16, 32)),
        ("unilm2-large-cased", (24, 1024, 28996, 16), (16, 32)),
        ("minilm-l12-h384-uncased", (12, 384, 30522), (12, 0)),
    ],
)
def test_published_files(name, shapes, expected, recwarn):
    config = complete_config(None, arrays_of(*shapes), f"some/{name}.bin")
    heads, bins = expected
    assert config["num_attention_heads"] == heads
    assert config.get("rel_pos_bins", 0) == bins
    assert config.get("max_rel_pos", 128) == 128
    assert "source_type_id" not in config
    assert config["num_hidden_layers"] == shapes[0]
    assert not recwarn.list


def test_published_names_of_models_without_a_relative_table():
    arrays = arrays_of(12, 768, 30522)
    with pytest.raises(ValueError, match="relative table"):
        complete_config(None, arrays, "unilm2-base-uncased.bin")


def test_heads_without_a_relative_table():
    with pytest.warns(UserWarning, match="'num_attention_heads': 12"):
        config = complete_config(None, arrays_of(6, 384, 99), "weights.bin")
    assert config["num_attention_heads"] == 12
    with pytest.raises(ValueError, match="hidden_size 48"):
        complete_config(None, arrays_of(6, 48, 99), "weights.bin")


def test_golden_model_without_its_configuration(case, tmp_path):
    path = tmp_path / "bare.bin"
    path.write_bytes((case / "pytorch_model.bin").read_bytes())
    with pytest.warns(UserWarning, match="'layer_norm_eps': 1e-12"):
        backbone = load_checkpoint(path, UniLMv2Backbone)
    whole = load_checkpoint(case, UniLMv2Backbone)
    ours, theirs = backbone.get_config(), whole.get_config()
    for key in theirs.keys() - {"name", "layer_norm_epsilon"}:
        assert ours[key] == theirs[key]
    for one, two in zip(backbone.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
