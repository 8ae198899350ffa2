"""Official configuration keys."""

import pytest

from unilmv2_tf.checkpoints.configuration import backbone_arguments
from unilmv2_tf.checkpoints.configuration import segment_arguments

BASE = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "max_rel_pos": 128,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "rel_pos_bins": 32,
    "source_type_id": 4,
    "target_type_id": 5,
    "type_vocab_size": 6,
    "vocab_size": 30522,
}


def without(*keys):
    return {key: value for key, value in BASE.items() if key not in keys}


def test_every_key_lands_in_its_argument():
    assert backbone_arguments(BASE) == {
        "vocabulary_size": 30522,
        "hidden_dim": 768,
        "num_layers": 12,
        "num_heads": 12,
        "intermediate_dim": 3072,
        "max_sequence_length": 512,
        "num_segments": 6,
        "dropout": 0.1,
        "layer_norm_epsilon": 1e-5,
        "num_relative_buckets": 32,
        "max_relative_distance": 128,
        "approximate_gelu": False,
    }


@pytest.mark.parametrize(
    "config", [without("rel_pos_bins"), {**BASE, "rel_pos_bins": 0}]
)
def test_no_relative_bias(config):
    arguments = backbone_arguments(config)
    assert arguments["num_relative_buckets"] == 0
    assert "max_relative_distance" not in arguments


@pytest.mark.parametrize("name", ["gelu_new", "gelu_pytorch_tanh"])
def test_names_of_the_approximate_gelu(name):
    assert backbone_arguments({**BASE, "hidden_act": name})["approximate_gelu"]


def test_defaults():
    arguments = backbone_arguments(
        without(
            "layer_norm_eps",
            "hidden_act",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
        )
    )
    assert arguments["layer_norm_epsilon"] == 1e-12
    assert arguments["dropout"] == 0.1


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"hidden_act": "relu"}, "hidden_act.*Received: 'relu'"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"attention_probs_dropout_prob": 0.2}, "0.1 and 0.2"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob"),
        ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob"),
        ({"layer_norm_eps": -1}, "layer_norm_eps"),
        ({"layer_norm_eps": None}, "layer_norm_eps"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps"),
        ({"vocab_size": "30522"}, "vocab_size.*'30522'"),
        ({"num_hidden_layers": 0}, "num_hidden_layers.*0"),
        ({"type_vocab_size": 0}, "type_vocab_size"),
        ({"hidden_size": 768.0}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"rel_pos_bins": -1}, "rel_pos_bins"),
        ({"rel_pos_bins": None}, "rel_pos_bins"),
        ({"max_rel_pos": 0}, "max_rel_pos"),
    ],
)
def test_values_out_of_range_are_named(change, reason):
    with pytest.raises(ValueError, match=reason):
        backbone_arguments({**BASE, **change})


@pytest.mark.parametrize(
    "key", ["vocab_size", "type_vocab_size", "num_hidden_layers", "max_rel_pos"]
)
def test_absent_keys_are_named(key):
    with pytest.raises(ValueError, match=f"{key}.*no such key"):
        backbone_arguments(without(key))


def test_segments():
    assert segment_arguments(BASE) == {
        "source_segment_id": 4,
        "target_segment_id": 5,
    }
    assert segment_arguments(without("source_type_id", "target_type_id")) == {}
    with pytest.raises(ValueError, match=r"target_type_id.*Received: 6"):
        segment_arguments({**BASE, "target_type_id": 6})
