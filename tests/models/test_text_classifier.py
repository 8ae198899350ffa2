import inspect

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.checkpoints import load_checkpoint

NAMES = ["cat", "dog"]
# A toy rule: what the text is about.
TEXTS = ["the cat slept .", "a dog jumped .", "a quick cat .", "the lazy dog ."]
LABELS = ["cat", "dog", "cat", "dog"]


@pytest.fixture(scope="module")
def preprocessors(tokenizer):
    """One with names and one without: what they compile takes seconds."""
    return [
        UniLMv2TextClassifierPreprocessor(
            tokenizer, sequence_length=12, label_names=names
        )
        for names in (None, NAMES)
    ]


@pytest.fixture(scope="module")
def make_classifier(make_backbone, preprocessors):
    """Makes a classifier that takes strings, seeded."""

    def make(
        num_classes=2,
        label_names=NAMES,
        backbone=None,
        dropout=0.0,
        **kwargs,
    ):
        keras.utils.set_random_seed(0)
        backbone = backbone or make_backbone(num_layers=1, dropout=0.0)
        return UniLMv2TextClassifier(
            backbone,
            num_classes,
            preprocessors[label_names == NAMES],
            label_names=label_names,
            dropout=dropout,
            **kwargs,
        )

    return make


@pytest.fixture
def classifier(make_classifier):
    return make_classifier()


def cross_entropies(logits, ids):
    logits = np.asarray(logits, "float64")
    normalizer = np.log(np.exp(logits).sum(axis=1))
    return normalizer - logits[np.arange(len(ids)), ids]


# === Parity with the authors' code ===


def test_golden(golden_dir):
    case = golden_dir / "tiny_relpos"
    golden = np.load(case / "golden.npz")
    backbone = load_checkpoint(
        case / "model.safetensors", UniLMv2Backbone, case / "config.json"
    )
    classifier = UniLMv2TextClassifier(backbone, num_classes=3)
    for layer, name in (
        (classifier.pooled_dense, "pooler_dense"),
        (classifier.logits_dense, "classifier"),
    ):
        kernel = golden[f"nlu_w_{name}_weight"].T
        layer.set_weights([kernel, golden[f"nlu_w_{name}_bias"]])
    row = {
        "token_ids": golden["enc_input_ids"],
        "segment_ids": golden["enc_token_type_ids"],
        "padding_mask": golden["enc_attention_mask"],
    }
    pooled = classifier.pooled_dense(backbone(row)[:, 0])
    loss, _ = classifier.evaluate(row, golden["nlu_labels"], verbose=0)
    for actual, name in (
        (pooled, "pooled"),
        (classifier.predict(row, verbose=0), "logits"),
        (loss, "loss"),
    ):
        np.testing.assert_allclose(
            actual, golden[f"nlu_{name}_f64"], rtol=1e-5, atol=1e-5
        )


# === Training ===


@pytest.mark.slow
def test_learns_a_toy_rule(make_classifier, make_backbone, randomize):
    backbone = make_backbone(num_layers=1, dropout=0.0, dtype="mixed_bfloat16")
    classifier = randomize(make_classifier(backbone=backbone))
    classifier.compile(keras.optimizers.AdamW(0.02))
    x, y = (["a fox ."] * 64, TEXTS * 16), LABELS * 16
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    classifier.fit(dataset, epochs=8, verbose=0)
    assert classifier.classify(x) == y
    assert classifier.evaluate(dataset, verbose=0)[1] == 1
    assert classifier.predict(x, verbose=0).dtype == "float32"


@pytest.mark.slow
def test_regression(make_classifier, randomize):
    classifier = randomize(make_classifier(1, None))
    classifier.compile(keras.optimizers.AdamW(0.05))
    values = [-1.0, 1.5, -1.0, 1.5]
    classifier.fit(TEXTS * 16, values * 16, 16, epochs=10, verbose=0)
    logits = classifier.predict(TEXTS, verbose=0)
    assert logits.shape == (4, 1)
    loss, rmse = classifier.evaluate(TEXTS, values, verbose=0)
    error = np.mean((logits[:, 0] - values) ** 2)
    np.testing.assert_allclose([loss, rmse], [error, error**0.5], rtol=1e-4)
    assert error < 0.5
    values = classifier.classify(TEXTS)
    assert values == logits[:, 0].tolist()
    assert type(classifier.classify(TEXTS[0])) is float


@pytest.mark.parametrize(
    "labels, keys", [(LABELS, (0, 1)), ([0, 1, 0, 1], NAMES)]
)
def test_class_weights(classifier, randomize, labels, keys):
    randomize(classifier)
    # So that the loss of the epoch is that of these weights.
    classifier.compile(keras.optimizers.SGD(0.0))
    losses = cross_entropies(classifier.predict(TEXTS, verbose=0), [0, 1, 0, 1])
    history = classifier.fit(
        TEXTS, labels, class_weight=dict(zip(keys, (1.0, 5.0))), verbose=0
    )
    np.testing.assert_allclose(
        history.history["loss"], np.mean(losses * [1, 5, 1, 5]), rtol=1e-4
    )


def test_arrays_are_shuffled_unless_told_otherwise(classifier, monkeypatch):
    orders = []
    monkeypatch.setattr(
        keras_hub.models.TextClassifier,
        "fit",
        lambda self, x, *args, **kwargs: orders.append(x),
    )
    classifier.fit(list("abcdefgh"), list(range(2)) * 4)
    classifier.fit(list("abcdefgh"), list(range(2)) * 4, shuffle=False)
    dataset, unchanged = orders
    assert unchanged == list("abcdefgh")
    first, second = [next(iter(dataset))[0].numpy().tolist() for _ in "12"]
    assert first != second
    assert sorted(first) == sorted(second) == [b"%c" % c for c in b"abcdefgh"]


@pytest.mark.slow
def test_lora(classifier, randomize):
    randomize(classifier)
    classifier.backbone.enable_lora(2)
    before = {weight.path: np.asarray(weight) for weight in classifier.weights}
    trained = {weight.path for weight in classifier.trainable_weights}
    classifier.compile(keras.optimizers.AdamW(0.02))
    history = classifier.fit(TEXTS * 16, LABELS * 16, epochs=4, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0] - 0.1
    assert {"logits/kernel", "pooled_dense/bias"} <= trained
    for weight in classifier.weights:
        if "seed_generator" not in weight.path and weight.path not in trained:
            np.testing.assert_array_equal(weight, before[weight.path])


def test_int8(classifier, randomize):
    randomize(classifier, scale=0.3)
    before = classifier.predict(TEXTS, verbose=0)
    classifier.backbone.quantize("int8")
    classifier.compile()
    after = classifier.predict(TEXTS, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.2 * np.abs(before).max()


def test_without_a_preprocessor(classifier):
    x, y = classifier.preprocessor(TEXTS, LABELS)
    logits = classifier.predict(TEXTS, verbose=0)
    names = classifier.classify(TEXTS)
    classifier.preprocessor = None
    np.testing.assert_allclose(classifier.predict(x, verbose=0), logits, 1e-6)
    loss, _ = classifier.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(
        loss, np.mean(cross_entropies(logits, np.asarray(y))), rtol=1e-5
    )
    classifier.fit(x, y, verbose=0)
    # The names stay.
    assert classifier.label_names == NAMES
    assert set(names) <= set(NAMES)


# === Predictions ===


def test_classify(classifier, randomize):
    randomize(classifier)
    logits = classifier.predict(TEXTS, verbose=0)
    # So that there are texts on either side.
    classifier.logits_dense.bias.assign_sub(np.median(logits, axis=0))
    logits = classifier.predict(TEXTS, verbose=0)
    expected = [NAMES[index] for index in logits.argmax(axis=1)]
    assert set(expected) == set(NAMES)
    assert classifier.classify(TEXTS) == expected
    assert classifier.classify(TEXTS, batch_size=3) == expected
    assert classifier.classify({"text": TEXTS}) == expected
    assert classifier.classify(TEXTS[0]) == expected[0]
    assert classifier.classify({"text": TEXTS[1]}) == expected[1]
    assert classifier.classify([]) == []
    details = classifier.classify(TEXTS, return_probabilities=True)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    for detail, name, row in zip(details, expected, probabilities):
        assert list(detail) == ["label", "probability", "probabilities"]
        assert detail["label"] == name
        assert list(detail["probabilities"]) == NAMES
        np.testing.assert_allclose(
            list(detail["probabilities"].values()), row, rtol=1e-5
        )
        assert detail["probability"] == detail["probabilities"][name]


def test_classify_pairs(classifier, randomize):
    randomize(classifier)
    pairs = (TEXTS, TEXTS[::-1])
    names = classifier.classify(pairs)
    assert classifier.classify((TEXTS[0], TEXTS[3])) == names[0]
    assert (
        classifier.classify({"text_a": pairs[0], "text_b": pairs[1]}) == names
    )
    assert classifier.classify(([], [])) == []


def test_without_names(make_classifier):
    classifier = make_classifier(3, None, activation="softmax")
    detail = classifier.classify(TEXTS[0], return_probabilities=True)
    assert detail["label"] in (0, 1, 2)
    assert list(detail["probabilities"]) == [0, 1, 2]
    np.testing.assert_allclose(
        list(detail["probabilities"].values()),
        classifier.predict(TEXTS[:1], verbose=0)[0],
        rtol=1e-5,
    )
    loss = classifier.evaluate(TEXTS[:1], np.array([1]), verbose=0)[0]
    np.testing.assert_allclose(
        loss, -np.log(detail["probabilities"][1]), rtol=1e-4
    )


@pytest.mark.parametrize("num_classes, activation", [(1, None), (2, "sigmoid")])
def test_no_probabilities(make_classifier, num_classes, activation):
    classifier = make_classifier(num_classes, None, activation=activation)
    with pytest.raises(ValueError, match=f"num_classes={num_classes}"):
        classifier.classify(TEXTS, return_probabilities=True)


# === Several labels ===

LISTS = [[], ["cat"], ["dog", "cat"], ["cat"]]
ZEROS_AND_ONES = np.array([[0, 0], [1, 0], [1, 1], [1, 0]])


def test_multi_label(make_classifier, randomize, tmp_path):
    classifier = randomize(make_classifier(multi_label=True))
    logits = classifier.predict(TEXTS, verbose=0)
    classifier.logits_dense.bias.assign_sub(np.median(logits, axis=0))
    logits = classifier.predict(TEXTS, verbose=0)
    sigmoids = 1 / (1 + np.exp(-logits.astype("float64")))
    expected = [
        [name for name, value in zip(NAMES, row) if value >= 0.5]
        for row in sigmoids
    ]
    assert classifier.classify(TEXTS) == expected
    assert classifier.classify(TEXTS[0]) == expected[0]
    details = classifier.classify(TEXTS, return_probabilities=True)
    assert [detail["labels"] for detail in details] == expected
    np.testing.assert_allclose(
        [list(detail["probabilities"].values()) for detail in details],
        sigmoids,
        rtol=1e-5,
    )
    losses = -np.where(ZEROS_AND_ONES, np.log(sigmoids), np.log(1 - sigmoids))
    expected = [losses.mean(), np.mean((sigmoids >= 0.5) == ZEROS_AND_ONES)]
    for labels in (LISTS, ZEROS_AND_ONES):
        scores = classifier.evaluate(TEXTS, labels, verbose=0)
        np.testing.assert_allclose(scores, expected, rtol=1e-4)
    classifier.compile(keras.optimizers.SGD(0.0))
    history = classifier.fit(TEXTS, LISTS, verbose=0)
    np.testing.assert_allclose(history.history["loss"], expected[0], rtol=1e-4)
    classifier.save_to_preset(tmp_path / "preset")
    restored = UniLMv2TextClassifier.from_preset(tmp_path / "preset")
    assert restored.classify(TEXTS, return_probabilities=True) == details


@pytest.mark.parametrize(
    "labels, message",
    [
        ([["fox"], [], [], []], r"y\[0\]=\['fox'\]. The names are: cat, dog"),
        (LABELS, r"y\[0\]='cat'"),
        ([0, 1, 0, 1], r"shape \(4,\)"),
        (3 * ZEROS_AND_ONES, "outside of"),
    ],
)
def test_wrong_lists_of_labels(make_classifier, labels, message):
    with pytest.raises(ValueError, match=message):
        make_classifier(multi_label=True).fit(TEXTS, labels)


def test_options_that_multi_label_excludes(make_classifier):
    names = tf.data.Dataset.from_tensors((TEXTS[:1], [["cat", "dog"]]))
    with pytest.raises(ValueError, match=r"shape \(n, 2\) with `multi_label`"):
        make_classifier(multi_label=True).fit(names)
    with pytest.raises(ValueError, match="activation=softmax"):
        make_classifier(multi_label=True, activation="softmax")
    with pytest.raises(ValueError, match="left out with `multi_label`"):
        make_classifier(multi_label=True).fit(
            TEXTS, LISTS, class_weight={"cat": 2.0}
        )


# === Configuration ===


def test_keras_file(make_classifier, make_backbone, randomize, tmp_path):
    classifier = randomize(
        make_classifier(
            backbone=make_backbone(num_layers=1),
            dropout=0.3,
            activation="softmax",
        )
    )
    classifier.save(tmp_path / "task.keras")
    restored = keras.saving.load_model(tmp_path / "task.keras")
    assert isinstance(restored, UniLMv2TextClassifier)
    assert restored.label_names == restored.preprocessor.label_names == NAMES
    assert restored.output_dropout.rate == 0.3
    assert restored.classify(TEXTS, return_probabilities=True) == (
        classifier.classify(TEXTS, return_probabilities=True)
    )


@pytest.mark.parametrize("dropout, rate", [(0.5, 0.5), (None, 0.25)])
def test_dropout(make_backbone, dropout, rate):
    backbone = make_backbone(num_layers=1, dropout=0.25)
    classifier = UniLMv2TextClassifier(backbone, 2, dropout=dropout)
    assert classifier.output_dropout.rate == classifier.dropout == rate


def test_arguments_are_those_of_keras_hub():
    ours, theirs = (
        list(inspect.signature(cls).parameters.values())
        for cls in (UniLMv2TextClassifier, keras_hub.models.BertTextClassifier)
    )
    names = ["backbone", "num_classes", "preprocessor", "activation", "dropout"]
    assert [p.name for p in ours[:5]] == [p.name for p in theirs[:5]] == names
    assert [p.default for p in ours[2:5]] == [p.default for p in theirs[2:5]]


# === Errors ===


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_classes": 3}, r"num_classes=3, label_names=\['cat', 'dog'\]"),
        ({"num_classes": 1}, "a regression has no names"),
        ({"num_classes": None, "label_names": None}, "num_classes=None"),
        ({"num_classes": 0, "label_names": None}, "num_classes=0"),
        ({"label_names": ["cat", "cat"]}, "different strings"),
    ],
)
def test_classes_and_names_agree(make_classifier, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_classifier(**arguments)


def test_names_of_task_and_preprocessor_agree(make_backbone, classifier):
    backbone, preprocessor = classifier.backbone, classifier.preprocessor
    assert preprocessor.label_names == NAMES
    other = UniLMv2TextClassifier(backbone, preprocessor=preprocessor)
    assert (other.num_classes, other.label_names) == (2, NAMES)
    with pytest.raises(ValueError, match="Pass them to one of both"):
        UniLMv2TextClassifier(
            backbone, preprocessor=preprocessor, label_names=["dog", "cat"]
        )
    with pytest.raises(ValueError, match=r"sequence_length=12, max_.*=8"):
        UniLMv2TextClassifier(
            make_backbone(max_sequence_length=8), 2, preprocessor
        )
    with pytest.raises(TypeError, match="num_clases"):
        UniLMv2TextClassifier(backbone, 2, num_clases=3)


@pytest.mark.parametrize(
    "num_classes, labels, message",
    [
        (1, [0.5, float("nan"), 1.0, 1.0], r"NaN .*y\[1\]=nan, 1 such"),
        (1, [[0.5], [1.0], [float("inf")], [1.0]], r"y\[2\]=inf"),
        (3, [0, 1, 2, 3], r"ids in \[0, 3\).* y\[3\]=3"),
        (3, np.array([0, -1, 2, -1]), r"y\[1\]=-1, 2 such"),
        (3, [0.0, float("nan"), 1.0, 1.0], "NaN"),
    ],
)
def test_wrong_labels(make_classifier, num_classes, labels, message):
    classifier = make_classifier(num_classes, None)
    for use in (
        lambda: classifier.fit(TEXTS, labels, verbose=0),
        lambda: classifier.fit(
            TEXTS, [0.0] * 4, validation_data=(TEXTS, labels), verbose=0
        ),
        lambda: classifier.evaluate(TEXTS, labels, verbose=0),
    ):
        with pytest.raises(ValueError, match=message):
            use()


def test_wrong_names(classifier):
    message = r"y=fox\. The names are: cat, dog\."
    with pytest.raises(ValueError, match=message):
        classifier.fit(TEXTS, ["cat", "dog", "fox", "fox"])
    dataset = tf.data.Dataset.from_tensors((TEXTS, ["fox"] * 4))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        classifier.fit(dataset, verbose=0)
    with pytest.raises(ValueError, match=r"fox\. The names are: cat"):
        classifier.fit(TEXTS, LABELS, class_weight={"fox": 2.0})
