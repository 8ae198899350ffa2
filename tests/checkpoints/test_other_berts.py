"""BERT of KerasHub and of Model Garden: the same outputs as theirs."""

import json
import pathlib
import shutil

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints.layouts import from_keras_name
from unilmv2_tf.cli import main

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROWS = {
    "token_ids": np.random.default_rng(0).integers(5, 60, (3, 12)),
    "segment_ids": np.repeat([[0] * 6 + [1] * 6], 3, axis=0),
    "padding_mask": (np.arange(12) < [[12], [7], [9]]).astype("int32"),
}
REAL = ROWS["padding_mask"].astype(bool)


def randomize(model):
    rng = np.random.default_rng(0)
    for variable in model.variables:
        path = getattr(variable, "path", variable.name)
        if "seed_generator" not in path:
            values = rng.normal(0, 0.3, variable.shape)
            variable.assign(values + ("gamma" in path))
    return model


def error(backbone, expected):
    states = np.array(backbone(ROWS))
    return np.abs(states - np.array(expected))[REAL].max()


@pytest.fixture(scope="module")
def keras_hub_bert():
    return randomize(
        keras_hub.models.BertBackbone(
            vocabulary_size=60,
            num_layers=2,
            num_heads=3,
            hidden_dim=24,
            intermediate_dim=36,
            max_sequence_length=16,
        )
    )


@pytest.fixture(scope="module")
def keras_hub_preset(keras_hub_bert, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("keras_hub"))
    keras_hub_bert.save_to_preset(folder)
    words = [f"Word{number}" for number in range(55)]
    keras_hub.models.BertTokenizer(
        SPECIAL + words, lowercase=False
    ).save_to_preset(folder)
    return folder


def test_keras_hub_backbone(keras_hub_bert, keras_hub_preset):
    expected = keras_hub_bert(ROWS)["sequence_output"]
    for source in (keras_hub_bert, keras_hub_preset):
        backbone = load_checkpoint(source, UniLMv2Backbone)
        assert error(backbone, expected) < 1e-5
        assert backbone.num_relative_buckets == 0
    # The exact gelu would be a mistake that shows.
    exact = load_checkpoint(
        keras_hub_bert, UniLMv2Backbone, config={"hidden_act": "gelu"}
    )
    assert error(exact, expected) > 1e-4


def test_keras_hub_preset_by_command(
    keras_hub_bert, keras_hub_preset, tmp_path
):
    folder = str(tmp_path / "out")
    assert main(["convert", keras_hub_preset, "--output", folder]) == 0
    backbone = UniLMv2Backbone.from_preset(folder)
    assert error(backbone, keras_hub_bert(ROWS)["sequence_output"]) < 1e-5
    task = UniLMv2PseudoMaskedLM.from_preset(folder)
    tokenizer = task.preprocessor.tokenizer
    assert np.array(tokenizer("Word3 word3")).tolist() == [8, 1]


def test_keras_hub_masked_lm(keras_hub_bert, tmp_path):
    masked_lm = randomize(keras_hub.models.BertMaskedLM(keras_hub_bert))
    masked_lm.save_to_preset(tmp_path)
    task = load_checkpoint(tmp_path, UniLMv2PseudoMaskedLM, pseudo_token_id=4)
    head = task.language_model_head
    theirs = {variable.path: variable for variable in masked_lm.variables}
    for ours, name in (
        (head.dense.kernel, "mlm_head/intermediate_dense/kernel"),
        (head.dense.bias, "mlm_head/intermediate_dense/bias"),
        (head.layer_norm.gamma, "mlm_head/intermediate_layer_norm/gamma"),
        (head.layer_norm.beta, "mlm_head/intermediate_layer_norm/beta"),
        (head.output_bias, "mlm_head/output_bias"),
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs[name].numpy())


def test_handles_reach_keras_hub(keras_hub_preset, monkeypatch, tmp_path):
    """No network here: the hub's client answers from a folder."""
    asked = []

    def download(repo_id, filename):
        asked.append((repo_id, filename))
        path = pathlib.Path(keras_hub_preset) / filename
        if not path.exists():
            from huggingface_hub.utils import EntryNotFoundError

            raise EntryNotFoundError(filename)
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    folder = str(tmp_path / "out")
    assert main(["convert", "hf://someone/bert", "--output", folder]) == 0
    assert ("someone/bert", "model.weights.h5") in asked
    assert UniLMv2Backbone.from_preset(folder).hidden_dim == 24


def test_other_keras_hub_presets(tmp_path, capsys):
    (tmp_path / "config.json").write_text(
        json.dumps({"registered_name": "keras_hub>GemmaBackbone"})
    )
    assert main(["convert", str(tmp_path), "--output", "x"]) == 2
    assert "GemmaBackbone" in capsys.readouterr().err


@pytest.fixture(scope="module", params=["BertEncoder", "BertEncoderV2"])
def encoder(request):
    from official.nlp.modeling import networks

    more = {"dict_outputs": True} if request.param == "BertEncoder" else {}
    encoder = getattr(networks, request.param)(
        vocab_size=60,
        hidden_size=24,
        num_layers=2,
        num_attention_heads=3,
        max_sequence_length=16,
        type_vocab_size=2,
        inner_dim=36,
        **more,
    )
    encode(encoder)
    return randomize(encoder)


def encode(encoder):
    names = ("input_word_ids", "input_type_ids", "input_mask")
    return encoder(
        {name: x.astype("int32") for name, x in zip(names, ROWS.values())}
    )["sequence_output"]


@pytest.mark.slow
def test_model_garden_encoder(encoder, tmp_path):
    expected = encode(encoder)
    checkpoint = tf.train.Checkpoint(model=encoder, step=tf.Variable(3))
    prefix = checkpoint.save(tmp_path / "bert")
    for source in (encoder, prefix, f"{prefix}.index", tmp_path):
        backbone = load_checkpoint(source, UniLMv2Backbone)
        assert error(backbone, expected) < 1e-5


@pytest.mark.slow
def test_damaged_tensorflow_checkpoints(encoder, tmp_path):
    prefix = tf.train.Checkpoint(encoder=encoder).save(tmp_path / "bert")
    data = pathlib.Path(f"{prefix}.data-00000-of-00001")
    whole = data.read_bytes()
    for damaged in (whole[:1000], whole[:5000] + b"?" + whole[5001:]):
        data.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged or incomplete"):
            load_checkpoint(prefix, UniLMv2Backbone)
    shutil.copy(f"{prefix}.index", tmp_path / "other.index")
    with pytest.raises(ValueError, match="holds 2 checkpoints"):
        load_checkpoint(tmp_path, UniLMv2Backbone)


def google_variables(bert):
    """Plain names, matrices without an axis of heads."""
    variables = {}
    for variable in bert.variables:
        name = from_keras_name(variable.path)
        if name is None:
            continue
        values = variable.numpy()
        if name.endswith("bias"):
            values = values.reshape(-1)
        elif values.ndim == 3:
            values = values.reshape(24, 24)
        variables[google_name(f"bert.{name}")] = values
    return variables


def test_google_checkpoint(keras_hub_bert, tmp_path):
    variables = {
        **google_variables(keras_hub_bert),
        "bert/pooler/dense/kernel/adam_m": np.ones(3),
        "global_step": np.array(1),
    }
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, values in variables.items():
            v1.get_variable(name, initializer=values)
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(
            session, str(tmp_path / "bert_model.ckpt"), write_meta_graph=False
        )
    with pytest.raises(ValueError, match=r"bert_config\.json"):
        load_checkpoint(prefix, UniLMv2Backbone)
    (tmp_path / "bert_config.json").write_text(
        json.dumps({"num_attention_heads": 3, "hidden_act": "gelu"})
    )
    backbone = load_checkpoint(tmp_path, UniLMv2Backbone)
    assert error(backbone, keras_hub_bert(ROWS)["sequence_output"]) < 1e-5


def google_name(name):
    for common, google in (
        ("LayerNorm.weight", "LayerNorm.gamma"),
        ("LayerNorm.bias", "LayerNorm.beta"),
        ("_embeddings.weight", "_embeddings"),
        (".weight", ".kernel"),
        ("layer.", "layer_"),
        (".", "/"),
    ):
        name = name.replace(common, google)
    return name


def test_other_objects():
    with pytest.raises(ValueError, match="BertEncoder"):
        load_checkpoint(object(), UniLMv2Backbone)
