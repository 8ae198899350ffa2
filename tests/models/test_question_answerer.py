"""Extractive question answering: training on windows, and answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf import UniLMv2QuestionAnswererPreprocessor

ANIMALS = ("fox", "dog", "cat")


@pytest.fixture(scope="module")
def preprocessor(tokenizer):
    """One for all tests: what it compiles takes seconds."""
    return UniLMv2QuestionAnswererPreprocessor(
        tokenizer, sequence_length=14, doc_stride=4, max_question_length=3
    )


@pytest.fixture(scope="module")
def answerer(make_backbone, preprocessor, randomize):
    """A random one that takes strings."""
    backbone = make_backbone(num_layers=1, dropout=0.0)
    return randomize(UniLMv2QuestionAnswerer(backbone, preprocessor))


@pytest.fixture(scope="module")
def examples():
    """Questions of which the answer is the animal of the passage."""
    rng = np.random.default_rng(0)
    others = "The a Quick lazy brown jumped slept over . and".split()
    x, y = {"question": [], "context": []}, {}
    y = {"answer_text": [], "answer_start": []}
    for number in range(60):
        words = rng.choice(others, rng.integers(5, 20)).tolist()
        animal = ANIMALS[number % 3].upper() if number % 5 else ""
        if animal:
            words.insert(rng.integers(len(words)), animal)
        context = "  ".join(words)
        x["question"].append(["the", "a quick", "lazy"][number % 3])
        x["context"].append(context)
        y["answer_text"].append(animal)
        y["answer_start"].append(context.find(animal) if animal else -1)
    return x, y


def assert_same(found, expected):
    """Answers are the same but for rounding."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        assert one["text"] == other["text"]
        numbers = [{**answer, "text": 0} for answer in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-3)


def head(examples, count):
    return [{k: values[:count] for k, values in z.items()} for z in examples]


# === Training ===


@pytest.mark.slow
def test_fit_on_strings_learns_and_answers(
    make_backbone, preprocessor, examples
):
    keras.utils.set_random_seed(0)
    backbone = make_backbone(num_layers=1, dropout=0.0)
    task = UniLMv2QuestionAnswerer(backbone, preprocessor, null_threshold=0.0)
    task.compile(keras.optimizers.AdamW(0.03))
    x, y = examples
    history = task.fit(
        x, y, epochs=6, verbose=0, validation_data=head(examples, 20)
    ).history
    names = {"loss", "start_loss", "end_loss"}
    names |= {"start_accuracy", "end_accuracy"}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert history["loss"][-1] < 0.2 < history["loss"][0]
    found = task.answer(x["question"], x["context"])
    right = [
        answer["text"] == text for answer, text in zip(found, y["answer_text"])
    ]
    assert np.mean(right) > 0.9
    # Integers, and a dataset of strings, tell the same.
    rows, labels = preprocessor(x, y)
    dataset = tf.data.Dataset.from_tensor_slices(examples).batch(7)
    values = [
        task.evaluate(x, y, verbose=0, return_dict=True),
        task.evaluate(dataset, verbose=0, return_dict=True),
        task.evaluate(rows, labels, verbose=0, return_dict=True),
    ]
    for value in values:
        assert value["loss"] == pytest.approx(values[0]["loss"], rel=1e-4)
        assert value["end_accuracy"] == values[0]["end_accuracy"]


def test_loss_is_the_mean_of_both_cross_entropies(
    answerer, preprocessor, examples
):
    x, y = head(examples, 12)
    rows, labels = preprocessor(x, y)
    logits = {k: np.asarray(v, "float64") for k, v in answerer(rows).items()}
    losses = {}
    for name, values in logits.items():
        log_total = np.log(np.exp(values).sum(axis=1))
        label = np.asarray(labels[name])
        losses[name] = log_total - values[np.arange(len(label)), label]
    found = answerer.evaluate(x, y, verbose=0, return_dict=True)
    expected = {name: loss.mean() for name, loss in losses.items()}
    assert found["start_loss"] == pytest.approx(expected["start"], rel=1e-4)
    assert found["loss"] == pytest.approx(
        (expected["start"] + expected["end"]) / 2, rel=1e-4
    )
    # Each window has the weight of its example.
    weights = np.linspace(0, 2, 12).tolist()
    index = np.asarray(preprocessor.windows(x, y)["example_index"])
    weighted = np.asarray(weights)[index] * (losses["start"] + losses["end"])
    found = answerer.evaluate(
        x, y, sample_weight=weights, verbose=0, return_dict=True
    )
    assert found["loss"] == pytest.approx(weighted.mean() / 2, rel=1e-4)


def test_padding_has_no_share(answerer, preprocessor, examples):
    rows = preprocessor(head(examples, 6)[0])
    logits = answerer.predict(head(examples, 6)[0], verbose=0)
    is_padding = np.asarray(rows["padding_mask"]) == 0
    assert is_padding.any()
    for name in ("start", "end"):
        assert logits[name].shape == is_padding.shape
        assert (logits[name][is_padding] == -1e9).all()
        assert np.abs(logits[name][~is_padding]).max() < 1e3


def test_half_precision(make_backbone, preprocessor, examples):
    task = UniLMv2QuestionAnswerer(
        make_backbone(num_layers=1, dtype="mixed_float16"), preprocessor
    )
    logits = task.predict(head(examples, 3)[0], verbose=0)
    assert logits["start"].dtype == "float32"
    assert np.isfinite(logits["start"]).all()


# === Answers ===


def test_answers_do_not_depend_on_batches(answerer, examples):
    x = head(examples, 30)[0]
    seen = []
    expected = answerer.answer(
        x["question"],
        x["context"],
        n_best=4,
        progress=lambda *n: seen.append(n),
    )
    assert seen == [(30, 30)]
    assert len(expected) == 30
    for context, answers in zip(x["context"], expected):
        assert len(answers) == 4
        scores = [answer["score"] for answer in answers]
        assert scores == sorted(scores, reverse=True)
        assert len({(a["start"], a["end"]) for a in answers}) == 4
        for answer in answers:
            assert answer["text"] == context[answer["start"] : answer["end"]]
            assert answer["text"]
    for batch_size, indices in ((3, range(30)), (32, [7]), (32, [4, 2])):
        found = answerer.answer(
            [x["question"][i] for i in indices],
            [x["context"][i] for i in indices],
            batch_size=batch_size,
        )
        assert_same(found, [expected[i][0] for i in indices])


def test_answers_in_parts(answerer, examples, monkeypatch):
    x = head(examples, 12)[0]
    expected = answerer.answer(x["question"], x["context"])
    module = "unilmv2_tf.models.question_answerer"
    size = max(len(context) for context in x["context"]) + 1
    monkeypatch.setattr(f"{module}._CHARACTERS_AT_ONCE", size)
    monkeypatch.setattr(f"{module}._EXAMPLES_AT_ONCE", 3)
    seen = []
    found = answerer.answer(
        x["question"], x["context"], progress=lambda *n: seen.append(n)
    )
    assert_same(found, expected)
    assert len(seen) >= 4 and seen[-1] == (12, 12)


def test_one_question(answerer):
    context = "The Quick  FOX\u00a0jumped over caf\u00e9 \U0001f600 the dog ."
    answer = answerer.answer("the fox", context, max_answer_length=2)
    assert answer["text"] == context[answer["start"] : answer["end"]]
    assert len(answer["text"].split()) <= 2
    assert 0 < answer["probability"] < 1
    three = answerer.answer("the fox", context, 3, max_answer_length=2)
    assert_same(three[:1], [answer])
    everything = answerer.answer("the", "fox", n_best=5)
    assert [answer["text"] for answer in everything] == ["fox"]


def test_no_answer(make_backbone, preprocessor, answerer):
    context = "the quick fox jumped over the dog ."
    always = answerer.answer("the", context, n_best=3)
    gap = always[0]["null_score"] - always[0]["score"]
    for threshold, is_none in ((gap - 0.1, True), (gap + 0.1, False)):
        task = UniLMv2QuestionAnswerer(
            answerer.backbone, preprocessor, null_threshold=threshold
        )
        task.span_dense.set_weights(answerer.span_dense.get_weights())
        found = task.answer("the", context, n_best=3)
        if not is_none:
            assert_same(found, always)
            continue
        assert_same(found[1:], always[:2])
        none = found[0]
        assert (none["text"], none["start"], none["end"]) == ("", -1, -1)
        assert none["score"] == none["null_score"]
    for nothing in ("", " \t ", "\u200b"):
        found = answerer.answer(["the", "the"], [nothing, "fox"])
        assert [answer["text"] for answer in found] == ["", "fox"]
        assert found[0]["start"] == found[0]["end"] == -1
        assert found[0]["probability"] == pytest.approx(1)
    assert answerer.answer([], []) == []


@pytest.mark.parametrize(
    "question, context, message",
    [
        ("the", ["fox"], "two strings or two lists.*str and list"),
        (["the", "a"], ["fox"], "same length.*2 and 1"),
        (["the"], [b"fox"], "must hold strings.*b'fox' of type bytes"),
    ],
)
def test_questions_and_passages_are_alike(answerer, question, context, message):
    with pytest.raises(ValueError, match=message):
        answerer.answer(question, context)


def test_strings_need_a_preprocessor(make_backbone):
    with pytest.raises(ValueError, match="`answer\\(\\)` needs a `preproc"):
        UniLMv2QuestionAnswerer(make_backbone()).answer("a", "b")


# === Configuration ===


def test_files(make_backbone, preprocessor, randomize, tmp_path):
    task = randomize(
        UniLMv2QuestionAnswerer(
            make_backbone(num_layers=1), preprocessor, null_threshold=1.5
        )
    )
    rows = preprocessor({"question": "the", "context": "fox and dog"})
    expected = task(rows)
    task.save(tmp_path / "task.keras")
    task.save_to_preset(str(tmp_path / "preset"))
    for restored in (
        keras.saving.load_model(tmp_path / "task.keras"),
        UniLMv2QuestionAnswerer.from_preset(tmp_path / "preset"),
        UniLMv2QuestionAnswerer.from_preset(
            tmp_path / "preset", null_threshold=2.5
        ),
    ):
        assert isinstance(restored, UniLMv2QuestionAnswerer)
        assert restored.null_threshold in (1.5, 2.5)
        assert restored.preprocessor.doc_stride == 4
        for name, values in restored(rows).items():
            np.testing.assert_array_equal(values, expected[name])
    assert restored.null_threshold == 2.5


def test_presets_of_other_tasks(masked_lm, tmp_path):
    masked_lm.save_to_preset(str(tmp_path / "pretrained"))
    task = UniLMv2QuestionAnswerer.from_preset(tmp_path / "pretrained")
    # The backbone has 40 positions.
    assert task.preprocessor.sequence_length == 40
    ids = np.array([[2, 7, 3]])
    inputs = {
        "token_ids": ids, "segment_ids": 0 * ids, "padding_mask": 0 * ids + 1
    }  # fmt: skip
    np.testing.assert_array_equal(
        task.backbone(inputs), masked_lm.backbone(inputs)
    )
    assert task.answer("the", "the fox jumped")["text"]
    task.save_to_preset(str(tmp_path / "answerer"))
    again = UniLMv2PseudoMaskedLM.from_preset(tmp_path / "answerer")
    np.testing.assert_array_equal(
        again.backbone(inputs), masked_lm.backbone(inputs)
    )


def test_rows_fit_the_position_table(make_backbone, preprocessor):
    with pytest.raises(ValueError, match="max_sequence_length=13"):
        UniLMv2QuestionAnswerer(
            make_backbone(max_sequence_length=13), preprocessor
        )


@pytest.mark.parametrize("question", ["", " \t", "\u200b"])
def test_a_question_has_a_word(answerer, question):
    with pytest.raises(ValueError, match="which has no token"):
        answerer.answer(["who ?", question], ["the fox .", "the fox ."])
    with pytest.raises(ValueError, match="which has no token"):
        answerer.answer(question, "")
