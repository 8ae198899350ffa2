"""Out and in again: nothing is lost, and others read it."""

import json

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import save_file

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints import save_checkpoint

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {
    "vocabulary_size": 60,
    "num_layers": 2,
    "num_heads": 3,
    "hidden_dim": 24,
    "intermediate_dim": 36,
    "max_sequence_length": 16,
}


def randomize(model, key_bias=True):
    rng = np.random.default_rng(0)
    for variable in model.weights:
        values = rng.normal(0, 0.3, variable.shape)
        if variable.path.endswith("gamma"):
            values += 1
        if variable.path.endswith("key/bias") and not key_bias:
            values *= 0
        variable.assign(values)
    return model


def make(cls, key_bias=True, **changes):
    backbone = UniLMv2Backbone(**{**SIZES, **changes})
    if cls is UniLMv2Backbone:
        return randomize(backbone, key_bias)
    return randomize(cls(backbone, pseudo_token_id=4), key_bias)


def assert_same_weights(model, other):
    for one, two in zip(model.weights, other.weights, strict=True):
        assert one.path == two.path
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def configuration(model):
    config = getattr(model, "backbone", model).get_config()
    return {key: value for key, value in config.items() if key != "name"}


@pytest.mark.parametrize("layout", ["bert", "fused", "s2s_ft"])
@pytest.mark.parametrize(
    "cls, buckets", [(UniLMv2Backbone, 0), (UniLMv2Seq2SeqLM, 32)]
)
def test_round_trip_is_exact(cls, buckets, layout, tmp_path):
    model = make(cls, layout != "fused", num_relative_buckets=buckets)
    kwargs = {} if cls is UniLMv2Backbone else {"pseudo_token_id": 4}
    save_checkpoint(model, tmp_path / "out", layout=layout, torch_file=True)
    for file in ("model.safetensors", "pytorch_model.bin"):
        back = load_checkpoint(tmp_path / "out" / file, cls, **kwargs)
        assert_same_weights(back, model)
    assert configuration(back) == configuration(model)


@pytest.mark.parametrize("changes", [
    {"dropout": 0.25}, {"layer_norm_epsilon": 1e-5}, {"num_segments": 6},
    {"approximate_gelu": True},
    {"num_relative_buckets": 16, "max_relative_distance": 40},
])  # fmt: skip
def test_configuration_comes_back(changes, tmp_path):
    model = make(UniLMv2Backbone, **changes)
    save_checkpoint(model, tmp_path / "out")
    back = load_checkpoint(tmp_path / "out", UniLMv2Backbone)
    assert configuration(back) == configuration(model)


def test_segments_come_back(tmp_path):
    model = UniLMv2Seq2SeqLM(
        UniLMv2Backbone(**SIZES, num_segments=6),
        pseudo_token_id=4,
        source_segment_id=4,
        target_segment_id=5,
    )
    save_checkpoint(model, tmp_path / "out")
    back = load_checkpoint(
        tmp_path / "out", UniLMv2Seq2SeqLM, pseudo_token_id=4
    )
    assert (back.source_segment_id, back.target_segment_id) == (4, 5)


def test_golden_files_come_out_as_they_went_in(golden_dir, tmp_path):
    """The names and values of the authors' own file."""
    case = golden_dir / "tiny_relpos"
    model = load_checkpoint(case, UniLMv2PseudoMaskedLM, pseudo_token_id=4)
    save_checkpoint(model, tmp_path / "out", layout="fused")
    before = load_file(case / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert after.keys() == before.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def rows():
    rng = np.random.default_rng(1)
    mask = (np.arange(12) < [[12], [7], [9]]).astype("int64")
    segments = np.repeat([[0] * 6 + [1] * 6], 3, axis=0)
    return rng.integers(5, 60, (3, 12)), segments, mask


def encode_with_pytorch(folder, cls, **kwargs):
    model, info = getattr(transformers, cls).from_pretrained(
        folder, output_loading_info=True, **kwargs
    )
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    ids, segments, mask = map(torch.tensor, rows())
    with torch.no_grad():
        output = model.eval()(
            input_ids=ids, token_type_ids=segments, attention_mask=mask
        )
    return output, info["missing_keys"]


def encode(backbone):
    names = ("token_ids", "segment_ids", "padding_mask")
    return keras.ops.convert_to_numpy(backbone(dict(zip(names, rows()))))


@pytest.mark.parametrize("approximate_gelu", [False, True])
def test_hidden_states_of_bert_model(approximate_gelu, tmp_path):
    backbone = make(
        UniLMv2Backbone,
        num_relative_buckets=0,
        approximate_gelu=approximate_gelu,
    )
    save_checkpoint(backbone, tmp_path / "out")
    output, missing = encode_with_pytorch(
        tmp_path / "out", "BertModel", add_pooling_layer=False
    )
    assert not missing
    real = rows()[2].astype(bool)
    error = np.abs(output.last_hidden_state.numpy() - encode(backbone))[real]
    assert error.max() < 1e-5


def test_logits_of_bert_for_masked_lm(tmp_path):
    model = make(UniLMv2PseudoMaskedLM, num_relative_buckets=0)
    save_checkpoint(model, tmp_path / "out")
    output, missing = encode_with_pytorch(tmp_path / "out", "BertForMaskedLM")
    assert not missing
    real = rows()[2].astype(bool)
    logits = keras.ops.convert_to_numpy(
        model.language_model_head(encode(model.backbone))
    )
    assert np.abs(output.logits.numpy() - logits)[real].max() < 2e-5


@pytest.mark.parametrize("layout", ["bert", "fused", "s2s_ft"])
def test_pytorch_reads_the_torch_file(layout, tmp_path):
    model = make(UniLMv2Seq2SeqLM, key_bias=False)
    save_checkpoint(model, tmp_path / "out", layout=layout, torch_file=True)
    loaded = torch.load(
        tmp_path / "out" / "pytorch_model.bin", weights_only=True
    )
    expected = load_file(tmp_path / "out" / "model.safetensors")
    assert loaded.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(loaded[name].numpy(), values)


def test_models_with_a_relative_bias_are_no_bert(tmp_path):
    save_checkpoint(make(UniLMv2Backbone), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_type"] == "unilm"
    with pytest.raises(ValueError, match="unilm"):
        transformers.AutoConfig.from_pretrained(tmp_path / "out")


def test_tokenizer_comes_along(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "der", "Bär", "##s"]
    tokenizer = UniLMv2Tokenizer(tokens, lowercase=False)
    save_checkpoint(
        make(UniLMv2Backbone), tmp_path / "out", tokenizer=tokenizer
    )
    theirs = transformers.BertTokenizer.from_pretrained(tmp_path / "out")
    text = "der Bärs Der"
    ids = theirs(text, add_special_tokens=False)["input_ids"]
    assert ids == np.array(tokenizer(text)).tolist() == [5, 6, 7, 1]


@pytest.fixture
def classifier():
    backbone = UniLMv2Backbone(**SIZES, num_relative_buckets=0)
    return randomize(
        UniLMv2TextClassifier(backbone, label_names=["bad", "good", "none"])
    )


def test_logits_of_bert_for_classification(classifier, tmp_path):
    save_checkpoint(classifier, tmp_path / "out")
    output, missing = encode_with_pytorch(
        tmp_path / "out", "BertForSequenceClassification"
    )
    assert not missing
    names = ("token_ids", "segment_ids", "padding_mask")
    logits = classifier(dict(zip(names, rows()))).numpy()
    np.testing.assert_allclose(output.logits.numpy(), logits, atol=2e-5)
    back = load_checkpoint(tmp_path / "out", UniLMv2TextClassifier)
    assert back.label_names == ["bad", "good", "none"]
    assert_same_weights(back, classifier)


def test_logits_of_bert_for_questions(tmp_path):
    backbone = UniLMv2Backbone(**SIZES, num_relative_buckets=0)
    answerer = randomize(UniLMv2QuestionAnswerer(backbone))
    save_checkpoint(answerer, tmp_path / "out")
    output, missing = encode_with_pytorch(
        tmp_path / "out", "BertForQuestionAnswering"
    )
    assert not missing
    names = ("token_ids", "segment_ids", "padding_mask")
    logits = answerer(dict(zip(names, rows())))
    real = rows()[2].astype(bool)
    for theirs, ours in (
        (output.start_logits, logits["start"]),
        (output.end_logits, logits["end"]),
    ):
        assert np.abs(theirs.numpy() - ours.numpy())[real].max() < 2e-5
    back = load_checkpoint(tmp_path / "out", UniLMv2QuestionAnswerer)
    assert_same_weights(back, answerer)


def test_a_pooler_without_classes_starts_a_classifier(classifier, tmp_path):
    """As BERT is published: fine-tuning begins with its pooler."""
    save_checkpoint(classifier, tmp_path / "out")
    path = tmp_path / "out" / "model.safetensors"
    tensors = load_file(path)
    for kind in ("weight", "bias"):
        del tensors[f"classifier.{kind}"]
    save_file(tensors, path)
    with pytest.warns(UserWarning, match="holds no classifier:"):
        back = load_checkpoint(
            tmp_path / "out", UniLMv2TextClassifier, num_classes=2
        )
    np.testing.assert_array_equal(
        back.pooled_dense.kernel.numpy(), classifier.pooled_dense.kernel.numpy()
    )
    assert back.logits_dense.kernel.shape == (24, 2)


def test_another_number_of_classes(classifier, tmp_path):
    save_checkpoint(classifier, tmp_path / "out")
    with pytest.raises(ValueError, match=r"'classifier.weight'.*\(2, 24\)"):
        load_checkpoint(tmp_path / "out", UniLMv2TextClassifier, num_classes=2)


def test_merged_lora(tmp_path):
    backbone = make(UniLMv2Backbone)
    backbone.enable_lora(2)
    rng = np.random.default_rng(0)
    for variable in backbone.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    save_checkpoint(backbone, tmp_path / "out")
    back = load_checkpoint(tmp_path / "out", UniLMv2Backbone)
    np.testing.assert_allclose(encode(back), encode(backbone), atol=1e-5)


def test_what_is_refused(tmp_path):
    backbone = make(UniLMv2Backbone)
    with pytest.raises(ValueError, match="key bias"):
        save_checkpoint(backbone, tmp_path / "out", layout="fused")
    with pytest.raises(ValueError, match="`layout` must be"):
        save_checkpoint(backbone, tmp_path / "out", layout="gguf")
    with pytest.raises(ValueError, match="`model` must be"):
        save_checkpoint(keras.Sequential(), tmp_path / "out")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="thesis"):
        save_checkpoint(backbone, tmp_path / "used")
    backbone.transformer_layers[1].output_dense.quantize("int8")
    with pytest.raises(ValueError, match="Quantized"):
        save_checkpoint(backbone, tmp_path / "out")
    broken = make(UniLMv2Backbone)
    broken.embeddings.layer_norm.beta.assign(np.full(24, np.nan))
    with pytest.raises(ValueError, match=r"LayerNorm\.bias' holds NaN"):
        save_checkpoint(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_edited_file_is_noticed(tmp_path):
    """Safetensors have no checksum of their own."""
    save_checkpoint(make(UniLMv2Backbone), tmp_path / "out")
    path = tmp_path / "out" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="SHA-256"):
        load_checkpoint(tmp_path / "out", UniLMv2Backbone)
