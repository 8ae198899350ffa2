"""Parity with the authors' fine-tuning and decoding code, at toy size."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.layers import BlockAttentionBias
from unilmv2_tf.models import SmoothedCrossEntropy
from unilmv2_tf.models.cached_decoder import CachedDecoder

TOLERANCE = 1e-5
BEAM_VARIANTS = [
    "beam",
    "beamdup",
    "beam_lp0",
    "beam_k2",
    "beamdup_n2",
    "beamdup_n2_ign",
]


@pytest.fixture(scope="module")
def case(golden_dir):
    return golden_dir / "tiny_relpos"


@pytest.fixture(scope="module")
def golden(case):
    with np.load(case / "golden.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def meta(case):
    return json.loads((case / "meta.json").read_text())


@pytest.fixture(scope="module")
def task(case, meta):
    return load_checkpoint(
        case / "model.safetensors",
        UniLMv2Seq2SeqLM,
        config=case / "config.json",
        pseudo_token_id=meta["mask_id"],
    )


def assert_close(actual, expected):
    np.testing.assert_allclose(
        np.asarray(actual), expected, rtol=TOLERANCE, atol=TOLERANCE
    )


def lengths_to_mask(lengths, width):
    return (np.arange(width) < lengths[:, None]).astype("int32")


# === (a) bidirectional encoder ===


def test_encoder_layer_by_layer(task, golden):
    mask = golden["enc_attention_mask"]
    row = {
        "token_ids": golden["enc_input_ids"],
        "segment_ids": golden["enc_token_type_ids"],
        "padding_mask": mask,
    }
    real = mask.astype(bool)
    assert_close(
        np.asarray(task.backbone(row))[real], golden["enc_hidden_f64"][real]
    )
    states = task.backbone.embeddings(row["token_ids"], row["segment_ids"])
    bias = task.backbone.attention_bias(mask)
    expected = golden["enc_all_hidden_f64"]
    assert_close(np.asarray(states)[real], expected[0][real])
    for layer, after in zip(task.backbone.transformer_layers, expected[1:]):
        states = layer(states, bias)
        assert_close(np.asarray(states)[real], after[real])


def test_encoder_with_explicit_positions(task, golden):
    real = golden["enc_attention_mask"].astype(bool)
    states = task.backbone.encode(
        golden["enc_input_ids"],
        golden["enc_token_type_ids"],
        golden["enc_attention_mask"],
        position_ids=golden["enc2_position_ids"],
    )
    assert_close(np.asarray(states)[real], golden["enc2_hidden_f64"][real])


@pytest.mark.parametrize("prefix", ["enc", "enc2"])
def test_relative_bias(task, golden, prefix):
    positions = np.tile(np.arange(20), (3, 1))
    if prefix == "enc2":
        positions = golden["enc2_position_ids"]
    bias = task.backbone.relative_position_bias(positions, positions)
    assert_close(bias, golden[f"{prefix}_rel_bias"])


# === (b), (c) fine-tuning with pseudo masks, left to right and by spans ===


def fine_tuning_inputs(golden, prefix):
    source_mask = lengths_to_mask(golden["s2s_num_source_tokens"], 20)
    target_mask = lengths_to_mask(golden["s2s_num_target_tokens"], 9)
    steps = np.arange(1, 10) * target_mask
    if prefix == "span":
        steps = golden["span_target_span_ids"]
    return {
        "encoder_token_ids": golden["s2s_source_ids"],
        "encoder_padding_mask": source_mask,
        "decoder_token_ids": golden["s2s_target_ids"],
        "decoder_padding_mask": target_mask,
        "pseudo_token_ids": golden["s2s_pseudo_ids"],
        "decoder_steps": steps.astype("int32"),
    }


@pytest.mark.parametrize("prefix", ["pseudo", "span"])
def test_fine_tuning_logits(task, golden, prefix):
    inputs = fine_tuning_inputs(golden, prefix)
    real = inputs["decoder_padding_mask"].astype(bool)
    logits = np.asarray(task(inputs))
    assert_close(logits[real], golden[f"{prefix}_logits_f64"][real])


@pytest.mark.parametrize("prefix", ["pseudo", "span"])
def test_fine_tuning_visibility_is_the_attention_mask(golden, prefix):
    inputs = fine_tuning_inputs(golden, prefix)
    bias = BlockAttentionBias()(
        inputs["encoder_padding_mask"],
        steps=inputs["decoder_steps"],
        target_positions=0 * inputs["decoder_steps"],
    )
    expected = golden[f"{prefix}_attention_mask"].astype(bool)
    real = inputs["decoder_padding_mask"].astype(bool)
    revealed = np.asarray(bias["revealed"])[:, 0] == 0
    pseudo = np.asarray(bias["pseudo"])[:, 0] == 0
    np.testing.assert_array_equal(revealed[real], expected[:, 20:29, :29][real])
    np.testing.assert_array_equal(pseudo[real], expected[:, 29:][real])
    assert not expected[:, :29, 29:].any()


@pytest.mark.parametrize("prefix", ["pseudo", "span"])
def test_fine_tuning_losses(task, golden, prefix):
    inputs = fine_tuning_inputs(golden, prefix)
    weight = inputs["decoder_padding_mask"]
    real = weight.astype(bool)
    labels = golden["s2s_label_ids"]
    logits = task(inputs)
    for smoothing, per_token, mean in (
        (0.0, "token_ce_f64", "loss_ls0_f64"),
        (0.1, "token_smoothed_f64", "loss_ls01_f64"),
    ):
        loss = SmoothedCrossEntropy(smoothing)
        tokens = np.asarray(loss.call(labels, logits))
        assert_close(tokens[real], golden[f"{prefix}_{per_token}"][real])
        assert_close(loss(labels, logits, weight), golden[f"{prefix}_{mean}"])
    for smoothing, name in ((0.0, "ls0"), (0.1, "ls01")):
        loss = SmoothedCrossEntropy(smoothing)
        assert_close(
            loss(golden["s2s_label_ids_padlabel"], logits, weight),
            golden[f"{prefix}_padlabel_loss_{name}"],
        )


def gradients_by_official_name(task, gradients):
    by_id = {
        id(variable): np.asarray(gradient)
        for variable, gradient in zip(task.trainable_variables, gradients)
    }

    def of(variable):
        return by_id[id(variable)]

    backbone, head = task.backbone, task.language_model_head
    embeddings = backbone.embeddings
    named = {
        "bert.embeddings.word_embeddings.weight": of(
            embeddings.token_embedding.embeddings
        ),
        "bert.embeddings.position_embeddings.weight": of(
            embeddings.position_embedding.embeddings
        ),
        "bert.embeddings.token_type_embeddings.weight": of(
            embeddings.segment_embedding.embeddings
        ),
        "bert.rel_pos_bias.weight": of(backbone.relative_position_bias.table).T,
        "cls.predictions.bias": of(head.output_bias),
    }

    def add(name, layer):
        if isinstance(layer, keras.layers.LayerNormalization):
            named[f"{name}.weight"] = of(layer.gamma)
            named[f"{name}.bias"] = of(layer.beta)
        else:
            named[f"{name}.weight"] = of(layer.kernel).T
            named[f"{name}.bias"] = of(layer.bias)

    add("bert.embeddings.LayerNorm", embeddings.layer_norm)
    add("cls.predictions.transform.dense", head.dense)
    add("cls.predictions.transform.LayerNorm", head.layer_norm)
    for i, layer in enumerate(backbone.transformer_layers):
        prefix = f"bert.encoder.layer.{i}"
        attention = layer.self_attention
        add(f"{prefix}.attention.self.query", attention.query)
        add(f"{prefix}.attention.self.key", attention.key)
        add(f"{prefix}.attention.self.value", attention.value)
        add(f"{prefix}.attention.output.dense", attention.output_dense)
        add(
            f"{prefix}.attention.output.LayerNorm",
            layer.self_attention_layer_norm,
        )
        add(f"{prefix}.intermediate.dense", layer.intermediate_dense)
        add(f"{prefix}.output.dense", layer.output_dense)
        add(f"{prefix}.output.LayerNorm", layer.output_layer_norm)
    return named


@pytest.mark.parametrize("prefix", ["pseudo", "span"])
def test_gradients(task, golden, case, prefix):
    inputs = fine_tuning_inputs(golden, prefix)
    loss = SmoothedCrossEntropy(0.1)
    with tf.GradientTape() as tape:
        value = loss(
            golden["s2s_label_ids"],
            task(inputs),
            inputs["decoder_padding_mask"],
        )
    variables = [v.value for v in task.trainable_variables]
    gradients = gradients_by_official_name(
        task, tape.gradient(value, variables)
    )
    with np.load(case / f"grads_{prefix}.npz") as expected:
        assert set(expected) == set(gradients)
        for name in expected:
            scale = np.abs(expected[name]).max()
            if name.endswith("self.key.bias"):
                # It is zero but for rounding: no output depends on it.
                assert np.abs(gradients[name]).max() < TOLERANCE
                continue
            np.testing.assert_allclose(
                gradients[name],
                expected[name],
                rtol=TOLERANCE,
                atol=TOLERANCE * scale,
                err_msg=name,
            )


# === (d) greedy decoding ===


def decoding_inputs(golden, max_length=12):
    source = golden["dec_input_ids"]
    empty = np.zeros((3, max_length), dtype="int32")
    return {
        "encoder_token_ids": source,
        "encoder_padding_mask": lengths_to_mask(
            golden["dec_num_source_tokens"], source.shape[1]
        ),
        "decoder_token_ids": empty,
        "decoder_padding_mask": empty,
    }


def test_greedy_ids(task, golden):
    task.compile(sampler="greedy")
    outputs = task.generate(decoding_inputs(golden), stop_token_ids=None)
    np.testing.assert_array_equal(
        outputs["decoder_token_ids"], golden["greedy_cfgeps_ids"]
    )


def test_greedy_logits_step_by_step(task, golden):
    inputs = decoding_inputs(golden)
    ids = golden["greedy_cfgeps_ids"]
    decoder = CachedDecoder(
        task,
        inputs["encoder_token_ids"],
        inputs["encoder_padding_mask"],
        max_length=12,
    )
    cache = decoder.initial_cache()
    for index in range(12):
        logits, _, cache = decoder(ids, cache, ops.array(index, "int32"))
        assert_close(logits, golden["greedy_cfgeps_logits_f64"][:, index])
        assert_close(
            ops.log_softmax(logits), golden["greedy_cfgeps_logp_f64"][:, index]
        )


def test_decoding_is_teacher_forcing(task, golden):
    inputs = decoding_inputs(golden)
    ids = golden["tf_target_ids"]
    logits = task(
        {
            **inputs,
            "decoder_token_ids": ids,
            "decoder_padding_mask": np.ones_like(ids),
            "pseudo_token_ids": np.full_like(ids, 4),
            "decoder_steps": np.tile(np.arange(1, 13), (3, 1)),
        }
    )
    assert_close(ops.log_softmax(logits), golden["tf_logp_f64"])


# === (e) beam search ===


def make_sampler(meta, golden, variant, **kwargs):
    settings = meta["beams"][variant]
    forbids = settings["forbid_duplicate_ngrams"]
    return BeamSearchSampler(
        num_beams=settings["beam"],
        length_penalty=settings["length_penalty"],
        min_length=settings["min_len"],
        no_repeat_ngram_size=settings["ngram_size"] if forbids else 0,
        ignored_token_ids=settings["forbid_ignore_ids"] or (),
        **kwargs,
    )


@pytest.mark.parametrize("variant", BEAM_VARIANTS)
def test_beam_search(task, golden, meta, variant):
    sampler = make_sampler(meta, golden, variant, return_scores=True)
    # One of them as a graph, whose tracing takes longer than the search.
    is_graph = variant == BEAM_VARIANTS[0]
    task.compile(sampler=sampler, run_eagerly=not is_graph)
    outputs = task.generate(
        decoding_inputs(golden), stop_token_ids=(meta["eos_id"],)
    )
    name = f"{variant}_cfgeps"
    np.testing.assert_array_equal(
        outputs["decoder_token_ids"], golden[f"{name}_pred_seq"]
    )
    np.testing.assert_array_equal(
        outputs["decoder_padding_mask"].sum(axis=1), golden[f"{name}_pred_len"]
    )
    assert_close(outputs["log_probs"], golden[f"{name}_best_raw_f64"])
    assert_close(outputs["scores"], golden[f"{name}_best_penalised_f64"])


class RecordingDecoder(CachedDecoder):
    """A decoder that keeps the token ids it is called with."""

    def __call__(self, target_ids, cache, index):
        self.calls.append(np.asarray(target_ids))
        return super().__call__(target_ids, cache, index)


@pytest.mark.parametrize("variant", BEAM_VARIANTS)
def test_beam_search_step_by_step(task, golden, meta, variant):
    sampler = make_sampler(meta, golden, variant)
    inputs = decoding_inputs(golden)
    decoder = RecordingDecoder(
        task,
        inputs["encoder_token_ids"],
        inputs["encoder_padding_mask"],
        max_length=12,
    )
    decoder.calls = []
    sampler(
        decoder,
        inputs["decoder_token_ids"],
        cache=decoder.initial_cache(),
        mask=inputs["decoder_padding_mask"],
        stop_token_ids=(meta["eos_id"],),
    )
    tokens, pointers, last_frame = (
        golden[f"{variant}_cfgeps_{name}"]
        for name in ("wids", "ptrs", "last_frame")
    )
    num_examples, _, num_beams = tokens.shape
    beams = [ids.reshape(num_examples, num_beams, 12) for ids in decoder.calls]
    for index in range(1, len(beams)):
        for row in np.flatnonzero(index - 1 <= last_frame):
            np.testing.assert_array_equal(
                beams[index][row, :, index - 1], tokens[row, index - 1]
            )
            if index > 1:
                extended = beams[index - 1][row, pointers[row, index - 1]]
                np.testing.assert_array_equal(
                    beams[index][row, :, : index - 1], extended[:, : index - 1]
                )


# === a bare backbone from the same file ===


def test_backbone_alone(case, golden):
    backbone = load_checkpoint(
        case / "pytorch_model.bin",
        UniLMv2Backbone,
        config=case / "config.json",
    )
    row = {
        "token_ids": golden["enc_input_ids"],
        "segment_ids": golden["enc_token_type_ids"],
        "padding_mask": golden["enc_attention_mask"],
    }
    real = golden["enc_attention_mask"].astype(bool)
    assert_close(
        np.asarray(backbone(row))[real], golden["enc_hidden_f64"][real]
    )
