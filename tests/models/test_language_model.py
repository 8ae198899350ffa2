"""What the tasks share: presets, LoRA, quantization."""

import keras
import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer

TASKS = [UniLMv2PseudoMaskedLM, UniLMv2Seq2SeqLM]
PREPROCESSORS = {
    UniLMv2PseudoMaskedLM: UniLMv2PseudoMaskedLMPreprocessor,
    UniLMv2Seq2SeqLM: UniLMv2Seq2SeqLMPreprocessor,
}


@pytest.fixture(scope="module")
def saved(make_backbone, tokenizer, randomize, tmp_path_factory):
    """A task of each class with its preset folder."""
    preprocessors = {
        UniLMv2PseudoMaskedLM: UniLMv2PseudoMaskedLMPreprocessor(
            tokenizer, sequence_length=16, mask_selection_rate=0.3, seed=1
        ),
        UniLMv2Seq2SeqLM: UniLMv2Seq2SeqLMPreprocessor(
            tokenizer,
            encoder_sequence_length=12,
            decoder_sequence_length=8,
            seed=1,
        ),
    }
    saved = {}
    for seed, (task_class, preprocessor) in enumerate(preprocessors.items()):
        # Long enough for the default lengths of the preprocessors.
        backbone = make_backbone(max_sequence_length=512)
        task = randomize(task_class(backbone, preprocessor), seed=seed)
        folder = tmp_path_factory.mktemp("preset")
        task.save_to_preset(str(folder))
        saved[task_class] = (task, folder)
    return saved


def assert_same_weights(task, other):
    weights = {w.path: np.asarray(w) for w in task.weights}
    others = {w.path: np.asarray(w) for w in other.weights}
    assert any("language_model_head/output_bias" in path for path in weights)
    for path, value in weights.items():
        if "seed_generator" not in path:
            np.testing.assert_array_equal(others[path], value, path)


@pytest.mark.parametrize("as_class", TASKS)
@pytest.mark.parametrize("saved_class", TASKS)
def test_a_preset_of_either_task_loads_as_either(saved, saved_class, as_class):
    task, folder = saved[saved_class]
    restored = as_class.from_preset(folder)
    assert type(restored) is as_class
    assert type(restored.preprocessor) is PREPROCESSORS[as_class]
    assert_same_weights(task, restored)
    vocabulary = task.preprocessor.tokenizer.get_vocabulary()
    restored_tokenizer = restored.preprocessor.tokenizer
    assert restored_tokenizer.get_vocabulary() == vocabulary
    assert restored.pseudo_token_id == task.pseudo_token_id
    if saved_class is as_class:
        config = task.preprocessor.get_config()
        assert restored.preprocessor.get_config() == config


@pytest.mark.parametrize("saved_class", TASKS)
def test_arguments_replace_those_of_the_preset(saved, saved_class):
    task, folder = saved[saved_class]
    masked_lm = UniLMv2PseudoMaskedLM.from_preset(
        folder, objectives=("par",), dropout=0.25, preprocessor=None
    )
    assert masked_lm.objectives == ("par",)
    assert masked_lm.backbone.dropout == 0.25
    layer = masked_lm.backbone.transformer_layers[0]
    assert layer.dropout_layer.rate == 0.25
    assert masked_lm.preprocessor is None
    assert masked_lm.pseudo_token_id == 4
    assert_same_weights(task, masked_lm)
    seq_2_seq_lm = UniLMv2Seq2SeqLM.from_preset(
        folder, target_segment_id=0, dtype="mixed_bfloat16"
    )
    assert seq_2_seq_lm.target_segment_id == 0
    assert seq_2_seq_lm.compute_dtype == "bfloat16"
    assert_same_weights(task, seq_2_seq_lm)


def test_preprocessor_with_other_lengths(saved):
    task, folder = saved[UniLMv2PseudoMaskedLM]
    restored = UniLMv2Seq2SeqLM.from_preset(
        folder,
        preprocessor=UniLMv2Seq2SeqLMPreprocessor.from_preset(
            str(folder), encoder_sequence_length=9, decoder_sequence_length=5
        ),
    )
    x, y, _ = restored.preprocessor(
        {"encoder_text": ["a fox"], "decoder_text": ["fox"]}
    )
    assert (x["encoder_token_ids"].shape, y.shape) == ((1, 9), (1, 5))
    assert_same_weights(task, restored)


def test_parts_of_a_preset(saved):
    task, folder = saved[UniLMv2Seq2SeqLM]
    backbone = UniLMv2Backbone.from_preset(folder)
    for weight, other in zip(backbone.weights, task.backbone.weights):
        np.testing.assert_array_equal(weight, other)
    tokenizer = UniLMv2Tokenizer.from_preset(str(folder))
    np.testing.assert_array_equal(tokenizer("the fox"), [5, 10])


def test_preset_of_a_bare_backbone(make_backbone, tmp_path, tokenizer):
    backbone = make_backbone()
    backbone.save_to_preset(str(tmp_path))
    for arguments in ({}, {"dropout": 0.25}):
        task = UniLMv2PseudoMaskedLM.from_preset(
            tmp_path, preprocessor=None, pseudo_token_id=4, **arguments
        )
        assert task.backbone.dropout == arguments.get("dropout", 0.1)
        for weight, other in zip(task.backbone.weights, backbone.weights):
            np.testing.assert_array_equal(weight, other)
        assert not np.asarray(task.language_model_head.output_bias).any()
    # With a vocabulary beside it, it takes strings.
    tokenizer.save_to_preset(str(tmp_path))
    task = UniLMv2PseudoMaskedLM.from_preset(tmp_path)
    assert task.pseudo_token_id == 4
    assert task.preprocessor.tokenizer.vocabulary_size() == 19


def test_without_weights(saved):
    task, folder = saved[UniLMv2PseudoMaskedLM]
    for task_class in TASKS:
        fresh = task_class.from_preset(folder, load_weights=False)
        for layer in ("backbone", "language_model_head"):
            weight = getattr(fresh, layer).trainable_weights[0]
            trained = getattr(task, layer).trainable_weights[0]
            assert np.abs(weight - np.asarray(trained)).max() > 0.1


@pytest.mark.parametrize("task_class", TASKS)
def test_named_size(task_class):
    task = task_class.from_preset(
        "unilmv2_tiny",
        load_weights=False,
        vocabulary_size=50,
        pseudo_token_id=7,
    )
    assert type(task) is task_class
    assert task.backbone.hidden_dim == 128
    assert task.backbone.vocabulary_size == 50
    assert task.pseudo_token_id == 7
    assert "unilmv2_base" in task_class.presets


@pytest.mark.parametrize("task_class", TASKS)
@pytest.mark.parametrize("preset", ["unilmv2", "no/such/folder"])
def test_an_unknown_preset_names_the_known_ones(task_class, preset):
    with pytest.raises(ValueError, match=r"unilmv2_tiny.*unilmv2_large") as e:
        task_class.from_preset(preset)
    assert f"preset={preset}" in str(e.value)


def test_head_is_tied_and_trained(masked_lm, texts):
    head = masked_lm.language_model_head
    assert head.token_embedding is masked_lm.backbone.token_embedding
    paths = [weight.path for weight in masked_lm.trainable_weights]
    assert len(paths) == len(set(paths))


def test_lora(seq_2_seq_lm, pairs):
    seq_2_seq_lm.backbone.enable_lora(2)
    backbone = seq_2_seq_lm.backbone
    trained = {weight.path for weight in backbone.trainable_weights}
    prefix = "transformer_layer_0/self_attention"
    # As in KerasHub's models, the biases of the adapted layers go along.
    assert trained == {
        f"{prefix}/{layer}/{weight}"
        for layer in ("query", "value")
        for weight in ("bias", "lora_kernel_a", "lora_kernel_b")
    }
    before = {w.path: np.asarray(w) for w in backbone.weights}
    seq_2_seq_lm.compile(keras.optimizers.AdamW(0.05), run_eagerly=True)
    losses = [seq_2_seq_lm.train_on_batch(pairs)[0] for _ in range(4)]
    assert losses[-1] < losses[0]
    for weight in backbone.weights:
        moved = np.abs(np.asarray(weight) - before[weight.path]).max() > 0
        if "seed_generator" not in weight.path:
            assert moved == (weight.path in trained), weight.path


def test_int8_backbone_generates(seq_2_seq_lm, pairs, randomize, tmp_path):
    randomize(seq_2_seq_lm, scale=0.3)
    x, _, weights = seq_2_seq_lm.preprocessor(pairs)
    is_target = np.asarray(weights) > 0
    before = np.asarray(seq_2_seq_lm(x))[is_target]
    seq_2_seq_lm.backbone.quantize("int8")
    after = np.asarray(seq_2_seq_lm(x))[is_target]
    assert 0 < np.abs(after - before).mean() < 0.1 * np.abs(before).mean()
    stored = {w.dtype for w in seq_2_seq_lm.backbone.weights if w.ndim == 2}
    assert "int8" in stored
    seq_2_seq_lm.compile(run_eagerly=True)
    texts = seq_2_seq_lm.generate(pairs["encoder_text"], max_length=3)
    assert [type(text) for text in texts] == [str] * 3
    seq_2_seq_lm.save_to_preset(str(tmp_path))
    restored = UniLMv2Seq2SeqLM.from_preset(tmp_path)
    np.testing.assert_array_equal(np.asarray(restored(x))[is_target], after)


@pytest.mark.parametrize("task_class", TASKS)
def test_no_xla_on_a_cpu_unless_asked(make_backbone, task_class):
    task = task_class(make_backbone(num_layers=1), pseudo_token_id=4)
    assert task.jit_compile is False
    task.compile(jit_compile=True)
    assert task.jit_compile is True


@pytest.mark.parametrize("as_class", TASKS)
def test_default_lengths_fit_the_positions_of_the_preset(
    make_backbone, tokenizer, tmp_path, as_class
):
    task = UniLMv2PseudoMaskedLM(
        make_backbone(max_sequence_length=32),
        UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=32),
    )
    task.save_to_preset(str(tmp_path))
    preprocessor = as_class.from_preset(tmp_path).preprocessor
    if as_class is UniLMv2Seq2SeqLM:
        assert preprocessor.encoder_sequence_length == 24
        assert preprocessor.decoder_sequence_length == 8
    else:
        assert preprocessor.sequence_length == 32


@pytest.mark.parametrize("task_class", TASKS)
def test_misspelt_argument(make_backbone, task_class):
    with pytest.raises(TypeError, match="objetives"):
        task_class(make_backbone(), pseudo_token_id=4, objetives=("ae",))
