"""`load_checkpoint` against the authors' code, and everything it refuses."""

import shutil

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints import resize_positions
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2Seq2SeqLM

FORMS = (
    "pytorch_model.bin",
    "model.safetensors",
    "hf_bert.safetensors",
    "s2s_ft_saved",
)


def load(folder):
    return load_checkpoint(folder, UniLMv2PseudoMaskedLM, pseudo_token_id=4)


def encode(backbone, arrays):
    return keras.ops.convert_to_numpy(
        backbone(
            {
                "token_ids": arrays["enc_input_ids"],
                "segment_ids": arrays["enc_token_type_ids"],
                "padding_mask": arrays["enc_attention_mask"],
            }
        )
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cls", [UniLMv2Backbone, UniLMv2PseudoMaskedLM])
def test_hidden_states_of_the_authors(form, cls, case):
    kwargs = {} if cls is UniLMv2Backbone else {"pseudo_token_id": 4}
    model = load_checkpoint(case / form, cls, **kwargs)
    backbone = model if cls is UniLMv2Backbone else model.backbone
    arrays = np.load(case / "golden.npz")
    real = arrays["enc_attention_mask"].astype(bool)
    assert real.sum() == 20 + 13 + 7
    error = np.abs(encode(backbone, arrays) - arrays["enc_hidden_f64"])[real]
    assert error.max() < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_every_variable_bit_for_bit(form, case):
    """Placed by hand from the authors' file, without our name tables."""
    model = load_checkpoint(
        case / form, UniLMv2PseudoMaskedLM, pseudo_token_id=4
    )
    file = load_file(case / "model.safetensors")
    backbone, head = model.backbone, model.language_model_head
    embeddings = backbone.embeddings
    expected = [
        (embeddings.token_embedding, "bert.embeddings.word_embeddings"),
        (embeddings.position_embedding, "bert.embeddings.position_embeddings"),
        (embeddings.segment_embedding, "bert.embeddings.token_type_embeddings"),
        (embeddings.layer_norm, "bert.embeddings.LayerNorm"),
        (head.dense, "cls.predictions.transform.dense"),
        (head.layer_norm, "cls.predictions.transform.LayerNorm"),
    ]
    pairs = [
        (head.output_bias, file["cls.predictions.bias"]),
        (
            backbone.relative_position_bias.table,
            file["bert.encoder.rel_pos_bias.weight"].T,
        ),
    ]
    for index, layer in enumerate(backbone.transformer_layers):
        prefix = f"bert.encoder.layer.{index}."
        attention = layer.self_attention
        expected += [
            (attention.output_dense, f"{prefix}attention.output.dense"),
            (
                layer.self_attention_layer_norm,
                f"{prefix}attention.output.LayerNorm",
            ),
            (layer.intermediate_dense, f"{prefix}intermediate.dense"),
            (layer.output_dense, f"{prefix}output.dense"),
            (layer.output_layer_norm, f"{prefix}output.LayerNorm"),
        ]
        qkv = file[f"{prefix}attention.self.qkv_linear.weight"]
        pairs += [
            (attention.query.kernel, qkv[:32].T),
            (attention.key.kernel, qkv[32:64].T),
            (attention.value.kernel, qkv[64:].T),
            (
                attention.query.bias,
                file[f"{prefix}attention.self.q_bias"][0, 0],
            ),
            (attention.key.bias, np.zeros(32, "float32")),
            (
                attention.value.bias,
                file[f"{prefix}attention.self.v_bias"][0, 0],
            ),
        ]
    for layer, name in expected:
        if isinstance(layer, keras.layers.Embedding):
            pairs.append((layer.embeddings, file[f"{name}.weight"]))
        elif isinstance(layer, keras.layers.Dense):
            pairs.append((layer.kernel, file[f"{name}.weight"].T))
            pairs.append((layer.bias, file[f"{name}.bias"]))
        else:
            pairs.append((layer.gamma, file[f"{name}.weight"]))
            pairs.append((layer.beta, file[f"{name}.bias"]))
    for variable, values in pairs:
        np.testing.assert_array_equal(variable.numpy(), values)
    placed = {id(variable) for variable, _ in pairs}
    assert placed == {id(variable) for variable in model.weights}


def test_pseudo_masked_logits_of_the_authors(case):
    """The head, too: source as context, targets and pseudo slots behind."""
    arrays = np.load(case / "golden.npz")
    model = load_checkpoint(case, UniLMv2Seq2SeqLM, pseudo_token_id=4)
    target = np.arange(9)[None] < arrays["s2s_num_target_tokens"][:, None]
    source = np.arange(20)[None] < arrays["s2s_num_source_tokens"][:, None]
    logits = model(
        {
            "encoder_token_ids": arrays["s2s_source_ids"],
            "encoder_padding_mask": source.astype("int32"),
            "decoder_token_ids": arrays["s2s_target_ids"],
            "decoder_padding_mask": target.astype("int32"),
            "pseudo_token_ids": arrays["s2s_pseudo_ids"],
            "decoder_steps": target * (np.arange(9, dtype="int32") + 1),
        }
    )
    error = np.abs(logits.numpy() - arrays["pseudo_logits_f64"])[target]
    assert error.max() < 1e-5


def test_segments_come_from_the_configuration(case, config, tensors, save):
    table = "bert.embeddings.token_type_embeddings.weight"
    tensors[table] = np.repeat(tensors[table], 3, axis=0)
    folder = save(
        tensors, type_vocab_size=6, source_type_id=4, target_type_id=5
    )
    model = load_checkpoint(folder, UniLMv2Seq2SeqLM, pseudo_token_id=4)
    assert (model.source_segment_id, model.target_segment_id) == (4, 5)
    assert model.pseudo_token_id == 4
    model = load_checkpoint(
        folder, UniLMv2Seq2SeqLM, pseudo_token_id=4, target_segment_id=3
    )
    assert (model.source_segment_id, model.target_segment_id) == (4, 3)


def test_config_beside_the_file_as_dict_and_as_path(case, config, tmp_path):
    bare = shutil.copy(case / "pytorch_model.bin", tmp_path / "bare.bin")
    by_dict = load_checkpoint(bare, UniLMv2Backbone, config=config)
    by_path = load_checkpoint(bare, UniLMv2Backbone, case / "config.json")
    assert by_dict.layer_norm_epsilon == 1e-5
    for one, other in zip(by_dict.weights, by_path.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_dtype_goes_to_the_backbone(case):
    model = load_checkpoint(case, UniLMv2Backbone, dtype="mixed_bfloat16")
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert {str(variable.dtype) for variable in model.weights} == {"float32"}
    model = load_checkpoint(case, UniLMv2Backbone, dtype="float64")
    arrays = np.load(case / "golden.npz")
    real = arrays["enc_attention_mask"].astype(bool)
    error = np.abs(encode(model, arrays) - arrays["enc_hidden_f64"])[real]
    # Float32 is 1e-6 off; Keras's gelu has one float32 constant.
    assert error.max() < 1e-7


def test_no_relative_bias(tensors, save):
    del tensors["bert.encoder.rel_pos_bias.weight"]
    model = load_checkpoint(save(tensors, rel_pos_bins=0), UniLMv2Backbone)
    assert model.relative_position_bias is None
    with pytest.raises(ValueError, match="holds no relative table"):
        load_checkpoint(save(tensors), UniLMv2Backbone)


def test_half_precision_files(tensors, save):
    halves = {k: v.astype("float16") for k, v in tensors.items()}
    model = load_checkpoint(save(halves), UniLMv2Backbone)
    np.testing.assert_array_equal(
        model.embeddings.token_embedding.embeddings.numpy(),
        halves["bert.embeddings.word_embeddings.weight"].astype("float32"),
    )


def test_backbone_leaves_the_head_out(tensors, save):
    bare = {k: v for k, v in tensors.items() if not k.startswith("cls.")}
    folder = save(bare)
    load_checkpoint(folder, UniLMv2Backbone)
    with pytest.raises(ValueError, match="lacks 5 of") as caught:
        load_checkpoint(folder, UniLMv2PseudoMaskedLM, pseudo_token_id=4)
    assert "cls.predictions.transform.dense.weight" in str(caught.value)


def test_any_missing_tensor_is_named(tensors, save):
    tied = "cls.predictions.decoder.weight"
    for name in sorted(set(tensors) - {tied}):
        rest = {k: v for k, v in tensors.items() if k != name}
        with pytest.raises(ValueError) as caught:
            load_checkpoint(
                save(rest), UniLMv2PseudoMaskedLM, pseudo_token_id=4
            )
        known = name.removeprefix("bert.").replace("encoder.rel", "rel")
        for fused, plain in (("q_b", "query.b"), ("v_b", "value.b")):
            known = known.replace(fused, plain)
        known = known.replace("qkv_linear", "key")
        assert known in str(caught.value)


@pytest.mark.parametrize("cls", [UniLMv2Backbone, UniLMv2PseudoMaskedLM])
@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.0.attention.self.adapter",
        "cls.predictions.more.weight",
        "classifier.dense.weight",
        "bert.embeddings.LayerNorm.scale",
    ],
)
def test_any_unused_tensor_is_named(name, cls, tensors, save):
    kwargs = {} if cls is UniLMv2Backbone else {"pseudo_token_id": 4}
    folder = save({**tensors, name: np.zeros((32, 64), "float32")})
    with pytest.raises(ValueError, match="no place") as caught:
        load_checkpoint(folder, cls, **kwargs)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "key, value, found",
    [
        ("vocab_size", 100, 101),
        ("max_position_embeddings", 65, 64),
        ("type_vocab_size", 6, 2),
        ("intermediate_size", 48, 64),
        ("num_attention_heads", 8, 4),
        ("num_hidden_layers", 1, 2),
        # Far more than memory holds.
        ("hidden_size", 10**9, 32),
        ("rel_pos_bins", 64, 32),
        ("rel_pos_bins", 0, 32),
    ],
)
def test_sizes_are_compared(key, value, found, tensors, save):
    with pytest.raises(ValueError, match=f"{key} {value}.*{found}"):
        load_checkpoint(save(tensors, **{key: value}), UniLMv2Backbone)


@pytest.mark.parametrize(
    "name", ["bert.encoder.layer.1.output.dense.weight", "cls.predictions.bias"]
)
def test_shapes_are_compared(name, tensors, save):
    tensors[name] = tensors[name][:-1]
    with pytest.raises(ValueError, match="must have the shape") as caught:
        load_checkpoint(save(tensors), UniLMv2PseudoMaskedLM, pseudo_token_id=4)
    assert name in str(caught.value)


def test_square_kernels_are_not_taken_transposed(tensors, save):
    """No shape tells a square kernel from its transpose: the values do."""
    name = "bert.encoder.layer.0.attention.output.dense.weight"
    backbone = load_checkpoint(save(tensors), UniLMv2Backbone)
    dense = backbone.transformer_layers[0].self_attention.output_dense
    states = np.random.default_rng(0).normal(size=(5, 32)).astype("float32")
    np.testing.assert_allclose(
        dense(states).numpy(),
        states @ tensors[name].T + tensors[name.replace("weight", "bias")],
        atol=1e-5,
    )


def test_whole_numbers_are_no_weights(tensors, save):
    name = "bert.embeddings.LayerNorm.bias"
    tensors[name] = np.zeros(32, "int8")
    with pytest.raises(ValueError, match=r"int8 from 'bert\.embeddings"):
        load_checkpoint(save(tensors), UniLMv2Backbone)


def test_numbers_too_large_for_the_model(tensors, save):
    name = "bert.embeddings.LayerNorm.bias"
    tensors[name] = np.full(32, 1e39, "float64")
    with pytest.raises(ValueError, match=f"'{name}' holds numbers too large"):
        load_checkpoint(save(tensors), UniLMv2Backbone)
    model = load_checkpoint(save(tensors), UniLMv2Backbone, dtype="float64")
    assert model.embeddings.layer_norm.beta.numpy()[0] == 1e39


@pytest.mark.parametrize("cls", [keras.Model, int, "UniLMv2Backbone", None])
def test_other_classes(cls, case):
    with pytest.raises(ValueError, match="`cls` must be one of"):
        load_checkpoint(case, cls)


def test_arguments_a_backbone_does_not_take(case):
    with pytest.raises(ValueError, match=r"\['pseudo_token_id'\]"):
        load_checkpoint(case, UniLMv2Backbone, pseudo_token_id=4)


# === Layouts ===


def assert_same_weights(model, other):
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.fixture(scope="module")
def expected(golden_dir):
    return load(golden_dir / "tiny_relpos")


def test_names_of_other_times_and_without_prefix(bert_tensors, save, expected):
    def rename(name):
        if "LayerNorm" in name:
            name = name.replace("weight", "gamma").replace("bias", "beta")
        return name.removeprefix("bert.")

    renamed = {rename(name): values for name, values in bert_tensors.items()}
    assert renamed.keys() - bert_tensors.keys()
    assert_same_weights(load(save(renamed)), expected)


@pytest.mark.parametrize("kind", ["decoder.weight", "decoder_weight"])
def test_untied_decoder_is_named(kind, bert_tensors, save, expected):
    name = f"cls.predictions.{kind}"
    table = bert_tensors["bert.embeddings.word_embeddings.weight"]
    bert_tensors.pop("cls.predictions.decoder.weight", None)
    assert_same_weights(load(save({**bert_tensors, name: table})), expected)
    untied = table.copy()
    untied[3, 5] += 1e-6
    for values in (untied, table[:-1]):
        with pytest.raises(ValueError, match=f"'{name}' must equal"):
            load(save({**bert_tensors, name: values}))
    del bert_tensors["bert.embeddings.word_embeddings.weight"]
    with pytest.raises(ValueError, match=r"lacks 1 of .*word_embeddings"):
        load(save({**bert_tensors, name: table}))


def test_decoder_bias(bert_tensors, save, expected):
    """Newer BERT files hold the output bias twice, or by this name alone."""
    name = "cls.predictions.decoder.bias"
    bias = bert_tensors["cls.predictions.bias"]
    with pytest.raises(ValueError, match=f"'{name}' must equal"):
        load(save({**bert_tensors, name: bias + 1}))
    twice = {**bert_tensors, name: bias}
    load(save(twice))
    del twice["cls.predictions.bias"]
    assert_same_weights(load(save(twice)), expected)


@pytest.mark.parametrize(
    "twice, other",
    [
        ("bert.embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma"),
        ("bert.encoder.rel_pos_bias.weight", "bert.rel_pos_bias.weight"),
        (
            "bert.encoder.layer.0.attention.self.qkv_linear.weight",
            "bert.encoder.layer.0.attention.self.query.weight",
        ),
    ],
)
def test_two_tensors_for_one_weight(twice, other, tensors, save):
    tensors[other] = tensors[twice]
    with pytest.raises(ValueError, match="each weight once") as caught:
        load(save(tensors))
    assert repr(twice) in str(caught.value) and repr(other) in str(caught.value)


@pytest.mark.parametrize(
    "part, shape",
    [
        ("qkv_linear.weight", (95, 32)),
        ("qkv_linear.weight", (96, 31)),
        ("qkv_linear.weight", (96 * 32,)),
        ("q_bias", (1, 31)),
        ("v_bias", (2, 1, 16)),
    ],
)
def test_fused_shapes(part, shape, tensors, save):
    name = f"bert.encoder.layer.0.attention.self.{part}"
    tensors[name] = np.zeros(shape, "float32")
    with pytest.raises(ValueError, match="must have the shape") as caught:
        load(save(tensors))
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("sign", ["name", "type", "sizes"])
def test_roberta_is_refused(sign, bert_tensors, save):
    changes = {}
    if sign == "name":
        bert_tensors = {
            name.replace("bert.", "roberta."): values
            for name, values in bert_tensors.items()
        }
    elif sign == "type":
        changes["model_type"] = "xlm-roberta"
    else:
        changes.update(max_position_embeddings=514, type_vocab_size=1)
    with pytest.raises(ValueError, match="RoBERTa is not converted"):
        load_checkpoint(save(bert_tensors, **changes), UniLMv2Backbone)


# === Positions ===


def position_table(backbone):
    return backbone.embeddings.position_embedding.embeddings.numpy()


def test_the_authors_longer_position_table(case):
    table = np.load(case / "golden.npz")["posext_table"]
    assert table.shape == (64 + 36, 32)
    backbone = load_checkpoint(case, UniLMv2Backbone, positions=100)
    assert backbone.max_sequence_length == 100
    np.testing.assert_array_equal(position_table(backbone), table)


@pytest.mark.parametrize("old, new", [(2, 9), (64, 100), (5, 5), (1, 3)])
def test_interpolation_is_linear(old, new):
    table = np.random.default_rng(0).normal(size=(old, 3)).astype("float32")
    resized = resize_positions(table, new, "interpolate")
    assert resized.dtype == table.dtype and resized.shape == (new, 3)
    for row in range(new):
        place = row * (old - 1) / max(new - 1, 1)
        below, above = int(np.floor(place)), int(np.ceil(place))
        share = place - below
        np.testing.assert_allclose(
            resized[row],
            (1 - share) * table[below] + share * table[above],
            atol=1e-6,
        )


def test_cut_and_repeated_positions():
    table = np.arange(12.0).reshape(6, 2)
    for method in ("cyclic", "interpolate"):
        np.testing.assert_array_equal(
            resize_positions(table, 4, method), table[:4]
        )
    np.testing.assert_array_equal(
        resize_positions(table, 13), table[[*range(6), *range(6), 0]]
    )


@pytest.mark.parametrize("number", [0, -1, 2.5, "8"])
def test_invalid_numbers_of_positions(number):
    with pytest.raises(ValueError, match="positive integer"):
        resize_positions(np.zeros((3, 2)), number)
    with pytest.raises(ValueError, match="cyclic, interpolate"):
        resize_positions(np.zeros((3, 2)), 4, "spline")
