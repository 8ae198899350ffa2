"""Presets of one task that are loaded as another."""

import keras_hub
import numpy as np
import pytest

from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.models import task as task_module

NAMES = ["bad", "fair", "good"]
ROW = {
    "token_ids": np.array([[2, 5, 10, 3, 0]]),
    "segment_ids": np.array([[0, 0, 0, 0, 0]]),
    "padding_mask": np.array([[1, 1, 1, 1, 0]]),
}


@pytest.fixture(scope="module")
def pretrained(make_backbone, tokenizer, randomize, tmp_path_factory):
    """A pre-training task, and the folder of its preset."""
    task = randomize(
        UniLMv2PseudoMaskedLM(
            make_backbone(num_layers=1),
            UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=16),
        )
    )
    folder = tmp_path_factory.mktemp("pretrained")
    task.save_to_preset(str(folder))
    return task, folder


@pytest.fixture(scope="module")
def fine_tuned(make_backbone, tokenizer, randomize, tmp_path_factory):
    """A classifier, and the folder of its preset."""
    preprocessor = UniLMv2TextClassifierPreprocessor(
        tokenizer, sequence_length=24, label_names=NAMES
    )
    task = randomize(
        UniLMv2TextClassifier(
            make_backbone(num_layers=1),
            preprocessor=preprocessor,
            dropout=0.3,
            activation="softmax",
        )
    )
    folder = tmp_path_factory.mktemp("fine_tuned")
    task.save_to_preset(str(folder))
    return task, folder


def assert_same_weights(part, other, same=True):
    for weight, restored in zip(part.weights, other.weights):
        if "seed_generator" not in weight.path:
            assert np.array_equal(weight, restored) == same, weight.path


def test_a_classifier_of_a_pretrained_model(pretrained, tokenizer):
    task, folder = pretrained
    classifier = UniLMv2TextClassifier.from_preset(folder, label_names=NAMES)
    assert_same_weights(task.backbone, classifier.backbone)
    assert abs(np.asarray(classifier.pooled_dense.kernel)).max() < 0.05
    assert classifier.num_classes == 3
    # No row is longer than the positions.
    assert classifier.preprocessor.sequence_length == 40
    vocabulary = classifier.preprocessor.tokenizer.get_vocabulary()
    assert vocabulary == tokenizer.get_vocabulary()
    assert classifier.classify("the fox .") in NAMES
    with pytest.raises(ValueError, match=r"`num_classes`.* num_classes=None"):
        UniLMv2TextClassifier.from_preset(folder)


def test_a_preset_of_mixed_precision(
    pretrained, make_backbone, tokenizer, tmp_path
):
    """Its weights are float32, and are loaded in today's policy."""
    task, _ = pretrained
    mixed = UniLMv2PseudoMaskedLM(
        make_backbone(num_layers=1, dtype="mixed_bfloat16"),
        UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=16),
    )
    mixed.set_weights(task.get_weights())
    mixed.save_to_preset(str(tmp_path))
    for arguments, policy in (
        ({}, "float32"),
        ({"dropout": 0.25}, "float32"),
        ({"dtype": "mixed_bfloat16"}, "mixed_bfloat16"),
        ({"dtype": "bfloat16", "dropout": 0.25}, "bfloat16"),
    ):
        restored = UniLMv2Seq2SeqLM.from_preset(tmp_path, **arguments)
        assert restored.backbone.dtype_policy.name == policy
        if policy != "bfloat16":
            assert_same_weights(task.backbone, restored.backbone)
            assert_same_weights(
                task.language_model_head, restored.language_model_head
            )


@pytest.mark.parametrize("arguments", [{}, {"dropout": 0.25}])
def test_a_classifier_comes_back(fine_tuned, arguments):
    task, folder = fine_tuned
    restored = UniLMv2TextClassifier.from_preset(folder, **arguments)
    assert_same_weights(task, restored)
    assert restored.label_names == NAMES
    assert restored.preprocessor.get_config() == task.preprocessor.get_config()
    assert restored.backbone.dropout == arguments.get("dropout", 0.1)
    assert restored.output_dropout.rate == 0.3
    text = "a lazy fox ."
    assert restored.classify(text, return_probabilities=True) == (
        task.classify(text, return_probabilities=True)
    )


def test_a_classifier_comes_back_as_keras_hub_loads_it(fine_tuned):
    task, folder = fine_tuned
    restored = keras_hub.models.TextClassifier.from_preset(str(folder))
    assert isinstance(restored, UniLMv2TextClassifier)
    np.testing.assert_array_equal(restored(ROW), task(ROW))
    preprocessor = UniLMv2TextClassifierPreprocessor.from_preset(str(folder))
    assert preprocessor.label_names == NAMES
    assert preprocessor("the fox", "good")[1] == 2


def test_other_classes(fine_tuned, tokenizer):
    task, folder = fine_tuned
    classifier = UniLMv2TextClassifier.from_preset(folder, num_classes=3)
    assert_same_weights(task.backbone, classifier.backbone)
    assert_same_weights(task.pooled_dense, classifier.pooled_dense)
    assert_same_weights(task.logits_dense, classifier.logits_dense, same=False)
    assert classifier.label_names is None
    assert classifier.preprocessor.label_names is None
    assert classifier.preprocessor.sequence_length == 24

    regression = UniLMv2TextClassifier.from_preset(
        folder, num_classes=1, activation=None
    )
    assert isinstance(regression.classify("the fox"), float)
    renamed = UniLMv2TextClassifier.from_preset(
        folder, label_names=["1", "2", "3"]
    )
    assert renamed.preprocessor.label_names == ["1", "2", "3"]
    np.testing.assert_array_equal(renamed(ROW), task(ROW))
    same = UniLMv2TextClassifier.from_preset(
        folder,
        preprocessor=UniLMv2TextClassifierPreprocessor(tokenizer, 8),
    )
    assert same.preprocessor.label_names == NAMES
    np.testing.assert_array_equal(same(ROW), task(ROW))
    with pytest.raises(ValueError, match="both `num_classes` and"):
        UniLMv2TextClassifier.from_preset(folder, label_names=["1", "2"])


def test_a_language_model_of_a_classifier(fine_tuned):
    task, folder = fine_tuned
    for task_class in (UniLMv2PseudoMaskedLM, UniLMv2Seq2SeqLM):
        language_model = task_class.from_preset(folder)
        assert type(language_model) is task_class
        assert_same_weights(task.backbone, language_model.backbone)
        dense = language_model.language_model_head.dense
        assert abs(np.asarray(dense.kernel)).max() < 0.05
        assert language_model.pseudo_token_id == 4
        assert type(language_model.preprocessor) is task_class.preprocessor_cls


def test_bare_backbone_and_named_size(fine_tuned, tmp_path, tokenizer):
    task, _ = fine_tuned
    task.backbone.save_to_preset(str(tmp_path))
    tokenizer.save_to_preset(str(tmp_path))
    classifier = UniLMv2TextClassifier.from_preset(tmp_path, num_classes=4)
    assert_same_weights(task.backbone, classifier.backbone)
    assert classifier.predict(["the fox"], verbose=0).shape == (1, 4)
    classifier = UniLMv2TextClassifier.from_preset(
        "unilmv2_tiny", load_weights=False, vocabulary_size=19, num_classes=4
    )
    assert classifier.backbone.hidden_dim == 128
    assert classifier(ROW).shape == (1, 4)
    # Dropout of the whole model.
    classifier = UniLMv2TextClassifier.from_preset(
        tmp_path, num_classes=4, dropout=0.0
    )
    assert classifier.backbone.dropout == classifier.dropout == 0


def test_without_weights(fine_tuned):
    task, folder = fine_tuned
    fresh = UniLMv2TextClassifier.from_preset(folder, load_weights=False)
    assert fresh.label_names == NAMES
    for layer in ("backbone", "pooled_dense", "logits_dense"):
        trained = np.asarray(getattr(task, layer).trainable_weights[0])
        weight = np.asarray(getattr(fresh, layer).trainable_weights[0])
        assert np.abs(trained - weight).max() > 0.1


def test_presets_hold_no_optimizer(fine_tuned, tmp_path):
    task, folder = fine_tuned
    size = (folder / "task.weights.h5").stat().st_size
    task.optimizer.build(task.trainable_variables)
    task.save_to_preset(str(tmp_path))
    assert (tmp_path / "task.weights.h5").stat().st_size == size


def test_a_repository_that_lacks_a_file(monkeypatch):
    def load(*_):
        raise FileNotFoundError("no file named `task.json`")

    monkeypatch.setattr(task_module, "_load_saved_task", load)
    with pytest.raises(FileNotFoundError, match=r"task\.json.*Download the"):
        UniLMv2TextClassifier.from_preset("hf://someone/something")
