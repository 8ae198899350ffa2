"""Sizes without a configuration, and the names of published files."""

import json

import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.checkpoints import load_official
from unilmv2_tf.checkpoints.layouts import canonicalize
from unilmv2_tf.checkpoints.lazy_array import LazyArray
from unilmv2_tf.checkpoints.readers import read_tensors
from unilmv2_tf.checkpoints.sizes import complete_config


def shapes_of(layers, hidden, vocabulary, heads=None, segments=2):
    """Weights of which nothing but the shapes is there."""
    shapes = {
        "bert.embeddings.word_embeddings.weight": (vocabulary, hidden),
        "bert.embeddings.position_embeddings.weight": (512, hidden),
        "bert.embeddings.token_type_embeddings.weight": (segments, hidden),
    }
    for layer in range(layers):
        shapes[f"bert.encoder.layer.{layer}.intermediate.dense.weight"] = (
            4 * hidden,
            hidden,
        )
    if heads:
        shapes["bert.encoder.rel_pos_bias.weight"] = (heads, 32)
    return canonicalize(
        {
            name: LazyArray(shape, "float32", lambda: 1 / 0)
            for name, shape in shapes.items()
        }
    )


@pytest.mark.parametrize(
    "name, shapes, expected",
    [
        ("unilm1-base-cased", (12, 768, 28996, None, 6), (12, 0, 4, 5)),
        ("unilm1.2-base-uncased", (12, 768, 30522), (12, 0, 0, 1)),
        ("unilm2-base-uncased", (12, 768, 30522, 12), (12, 32, 0, 1)),
        ("unilm2-large-uncased", (24, 1024, 30522, 16), (16, 32, 0, 1)),
        ("unilm2-large-cased", (24, 1024, 28996, 16), (16, 32, 0, 1)),
        ("minilm-l12-h384-uncased", (12, 384, 30522), (12, 0, 0, 1)),
    ],
)
def test_published_files(name, shapes, expected, recwarn):
    config = complete_config(None, shapes_of(*shapes), f"some/{name}.bin")
    heads, bins, source, target = expected
    assert config["num_attention_heads"] == heads
    assert config.get("rel_pos_bins", 0) == bins
    assert config.get("max_rel_pos", 128) == 128
    assert (config["source_type_id"], config["target_type_id"]) == (
        source,
        target,
    )
    assert config["num_hidden_layers"] == shapes[0]
    assert not recwarn.list


@pytest.mark.parametrize(
    "shapes, reason",
    [
        ((12, 768, 28996, 12), "vocab_size 30522.*28996"),
        ((6, 768, 30522, 12), "num_hidden_layers 12.*6"),
        ((12, 1024, 30522, 16), "hidden_size 768.*1024"),
        ((12, 768, 30522), "relative table"),
    ],
)
def test_names_that_mislead(shapes, reason):
    with pytest.raises(ValueError, match=reason):
        complete_config(None, shapes_of(*shapes), "unilm2-base-uncased.bin")


def test_heads_that_no_tensor_tells():
    with pytest.warns(UserWarning, match="'num_attention_heads': 12"):
        config = complete_config(None, shapes_of(6, 384, 99), "weights.bin")
    assert config["num_attention_heads"] == 12
    with pytest.raises(ValueError, match="hidden_size 48"):
        complete_config(None, shapes_of(6, 48, 99), "weights.bin")
    given = {"num_attention_heads": 3}
    config = complete_config(given, shapes_of(6, 48, 99), "weights.bin")
    assert config["num_attention_heads"] == 3


def test_golden_model_without_its_configuration(golden_dir, tmp_path):
    case = golden_dir / "tiny_relpos"
    path = tmp_path / "bare.bin"
    path.write_bytes((case / "pytorch_model.bin").read_bytes())
    with pytest.warns(UserWarning, match="'layer_norm_eps': 1e-12"):
        backbone = load_official(path, UniLMv2Backbone)
    whole = load_official(case, UniLMv2Backbone)
    changed = {"name", "layer_norm_epsilon"}
    ours, theirs = backbone.get_config(), whole.get_config()
    for key in theirs.keys() - changed:
        assert ours[key] == theirs[key]
    for one, two in zip(backbone.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_configuration_beside_a_published_file(golden_dir, tmp_path):
    """As the authors name them."""
    case = golden_dir / "tiny_relpos"
    content = (case / "pytorch_model.bin").read_bytes()
    (tmp_path / "tiny.bin").write_bytes(content)
    config = json.loads((case / "config.json").read_text())
    (tmp_path / "tiny-config.json").write_text(
        json.dumps({**config, "source_type_id": 1, "target_type_id": 0})
    )
    (tmp_path / "config.json").write_text("not this one")
    task = load_official(
        tmp_path / "tiny.bin", UniLMv2Seq2SeqLM, pseudo_token_id=4
    )
    assert (task.source_segment_id, task.target_segment_id) == (1, 0)


@pytest.mark.parametrize("sign", ["name", "type", "sizes"])
def test_roberta_is_refused(sign, golden_dir, tmp_path):
    tensors = read_tensors(golden_dir / "tiny_relpos/hf_bert.safetensors")
    config = {"num_attention_heads": 4, "rel_pos_bins": 32, "max_rel_pos": 128}
    if sign == "name":
        tensors = {
            name.replace("bert.", "roberta."): values
            for name, values in tensors.items()
        }
    elif sign == "type":
        config["model_type"] = "xlm-roberta"
    else:
        config.update(max_position_embeddings=514, type_vocab_size=1)
    from safetensors.numpy import save_file

    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="RoBERTa is not converted"):
        load_official(tmp_path, UniLMv2Backbone, config=config)
