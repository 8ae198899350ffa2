"""Fine-tuning a question answerer through its command's function."""

import json
import os

import numpy as np
import pytest

from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf.evaluation.evaluate import evaluate
from unilmv2_tf.evaluation.examples import read_questions
from unilmv2_tf.training.answer_adapter import AnswerAdapter
from unilmv2_tf.training.arguments import AnswerArgs
from unilmv2_tf.training.finetune import finetune_answer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NAMES = ["ann", "bob", "cid"]
PLACES = ["rome", "oslo", "bonn", "lima"]


def squad(number, seed, share_unanswerable):
    """A file in SQuAD's format: who is where, and who is not there at all."""
    generator = np.random.default_rng(seed)
    paragraphs = []
    for index in range(number):
        names = generator.permutation(NAMES)
        places = generator.choice(PLACES, 2)
        context = f"{names[0]} is in {places[0]} . {names[1]} is in {places[1]}"
        is_absent = generator.random() < share_unanswerable
        asked = 2 if is_absent else int(generator.integers(2))
        answers = []
        if not is_absent:
            start = context.index(f"{names[asked]} is in ") + len("xxx is in ")
            answers = [{"text": str(places[asked]), "answer_start": start}]
        question = {
            "id": f"{seed}-{index}",
            "question": f"where is {names[asked]}",
            "answers": answers,
            "is_impossible": is_absent,
        }
        paragraphs.append({"context": context, "qas": [question]})
    return json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]})


@pytest.fixture
def settings(tmp_path):
    words = [*NAMES, *PLACES, "is", "in", "where", "."]
    (tmp_path / "vocabulary.txt").write_text("\n".join(SPECIAL + words))

    def make(share_unanswerable, **kwargs):
        for name, number, seed in (("train", 64, 0), ("validation", 24, 1)):
            text = squad(number, seed, share_unanswerable)
            (tmp_path / f"{name}.json").write_text(text)
        defaults = {
            "data": str(tmp_path / "train.json"),
            "validation": str(tmp_path / "validation.json"),
            "vocabulary": str(tmp_path / "vocabulary.txt"),
            "output": str(tmp_path / "run"),
            "preset": "unilmv2_tiny",
            "backbone": {
                "num_layers": 1,
                "num_heads": 2,
                "hidden_dim": 16,
                "intermediate_dim": 16,
                "max_sequence_length": 24,
            },
            "sequence_length": 20,
            "doc_stride": 8,
            "max_question_length": 4,
            "epochs": 2,
            "batch_size": 16,
            "learning_rate": 1e-3,
        }
        return AnswerArgs(**{**defaults, **kwargs})

    return make


def test_questions_that_may_have_no_answer(settings, tmp_path):
    run = settings(0.5)
    summary = finetune_answer(run)
    assert summary["metric"] == "best_f1"
    preset = os.path.join(run.output, "preset")
    best = tmp_path / "run" / f"seed-{summary['best_seed']}"
    predictions = json.loads((best / "predictions.json").read_text())
    odds = json.loads((best / "null_odds.json").read_text())
    validation = read_questions(run.validation)
    assert list(predictions) == list(odds) == validation["id"].tolist()
    # The threshold is the one that is kept, and does what it says.
    model = UniLMv2QuestionAnswerer.from_preset(preset)
    threshold = model.null_threshold
    for key, text in predictions.items():
        assert (text == "") == (odds[key] > threshold)
    answers = model.answer(
        validation["question"].tolist(), validation["context"].tolist()
    )
    assert [answer["text"] for answer in answers] == list(predictions.values())
    # At the threshold, the scores are the best ones.
    scores = evaluate(preset, run.validation, output=str(tmp_path / "again"))
    assert scores["f1"] == pytest.approx(summary["maximum"])
    lines = (tmp_path / "again" / "answers.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["question"] == validation["question"][0]


def test_questions_that_all_have_answers(settings, tmp_path):
    run = settings(0.0, test=str(tmp_path / "validation.json"))
    summary = finetune_answer(run)
    assert summary["metric"] == "f1"
    model = UniLMv2QuestionAnswerer.from_preset(tmp_path / "run" / "preset")
    assert model.null_threshold is None
    assert summary["final"][run.test]["f1"] == pytest.approx(summary["maximum"])
    assert (tmp_path / "run" / "test" / "predictions.json").exists()


def test_the_first_step_is_known(settings):
    """Rows that are trained on point at the answer, token by token."""
    run = settings(0.3)
    adapter = AnswerAdapter(run)
    vocabulary = adapter.tokenizer.get_vocabulary()
    (batch,) = adapter.training_dataset(1, seed=0, start_step=0)
    x, y = batch
    assert x["token_ids"].shape[1] <= 24
    texts = set()
    for ids, start, end in zip(x["token_ids"], y["start"], y["end"]):
        tokens = [vocabulary[int(i)] for i in ids[int(start) : int(end) + 1]]
        texts.add(" ".join(tokens))
    assert texts <= {*PLACES, "[CLS]"} and len(texts) > 1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sequence_length": 6}, "sequence_length=6"),
        ({"doc_stride": 0}, "doc_stride=0"),
        ({"data": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_settings_that_will_not_do(settings, change, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        finetune_answer(settings(0.0, **change))
