"""Questions with passages in memory: reading, scoring and writing answers."""

import dataclasses
import json
import os

import numpy as np

from unilmv2_tf.datasets import load_questions
from unilmv2_tf.evaluation import score_squad
from unilmv2_tf.filesystem import write_text

_QUESTIONS_AT_ONCE = 1024


@dataclasses.dataclass
class Questions:
    """Questions as columns.

    Args:
        ids: list of strings.
        questions: list of strings.
        contexts: list of strings.
        answer_texts: list of lists of strings, empty where there is none.
        answer_starts: list of lists of ints, characters of the context.
    """

    ids: list
    questions: list
    contexts: list
    answer_texts: list
    answer_starts: list

    def __len__(self):
        return len(self.ids)

    @property
    def has_unanswerable(self):
        """Whether the answer to some is that there is none."""
        return not all(self.answer_texts)

    def take(self, places):
        """Some of the questions.

        Args:
            places: ints.

        Returns:
            `Questions`.
        """
        return Questions(
            **{
                field.name: [getattr(self, field.name)[i] for i in places]
                for field in dataclasses.fields(self)
            }
        )

    def parts(self, size=_QUESTIONS_AT_ONCE):
        """Cuts them up.

        Args:
            size: int. How many questions a part has at most.

        Yields:
            `Questions`.
        """
        for start in range(0, len(self), size):
            yield self.take(range(start, min(start + size, len(self))))


def read(source, split=None):
    """Reads questions into memory.

    Args:
        source: string, see `unilmv2_tf.datasets.load_questions`.
        split: string. Defaults to `None`.

    Returns:
        `Questions`.

    Raises:
        ValueError: if the source cannot be read.
    """
    columns = {field.name: [] for field in dataclasses.fields(Questions)}
    for record in load_questions(source, split).as_numpy_iterator():
        columns["ids"].append(record["id"].decode())
        columns["questions"].append(record["question"].decode())
        columns["contexts"].append(record["context"].decode())
        texts = [text.decode() for text in record["answer_texts"].tolist()]
        columns["answer_texts"].append(texts)
        columns["answer_starts"].append(record["answer_starts"].tolist())
    return Questions(**columns)


def training_rows(questions, preprocessor):
    """All windows of all passages, with the places of the first answers.

    Args:
        questions: `Questions`.
        preprocessor: a `UniLMv2QuestionAnswererPreprocessor`.

    Returns:
        A dict of int arrays, a row for each window: `token_ids`,
        `segment_ids`, `padding_mask`, `start` and `end`.

    Raises:
        ValueError: if an answer is not where it should be.
    """
    parts = []
    for part in questions.parts():
        rows = preprocessor.windows(
            {"question": part.questions, "context": part.contexts},
            {
                "answer_text": [
                    (texts or [""])[0] for texts in part.answer_texts
                ],
                "answer_start": [
                    (starts or [-1])[0] for starts in part.answer_starts
                ],
            },
        )
        # Zeros and ones fill most of it; there may be hundreds of thousands.
        small = {"segment_ids": np.int8, "padding_mask": np.int8}
        parts.append(
            {
                key: np.asarray(rows[key]).astype(small.get(key, np.int32))
                for key in (
                    "token_ids",
                    "segment_ids",
                    "padding_mask",
                    "start",
                    "end",
                )
            }
        )
    return {
        key: np.concatenate([part[key] for part in parts]) for key in parts[0]
    }


def predict(model, questions, batch_size, max_answer_length):
    """Lets a model answer.

    Args:
        model: a `UniLMv2QuestionAnswerer` with a preprocessor. Its threshold
            for no answer is left to the scores.
        questions: `Questions`.
        batch_size: int. Rows that are computed at once.
        max_answer_length: int, in tokens.

    Returns:
        `Answers`.
    """
    threshold, model.null_threshold = model.null_threshold, None
    try:
        answers = []
        for part in questions.parts():
            answers += model.answer(
                part.questions,
                part.contexts,
                max_answer_length=max_answer_length,
                batch_size=batch_size,
            )
    finally:
        model.null_threshold = threshold
    return Answers(questions, answers, threshold)


class Answers:
    """What a model answered.

    Args:
        questions: `Questions`.
        answers: list of dicts, one for each, with `text`, `score`,
            `null_score`, `start` and `end`.
        threshold: float. Where the score of no answer is larger by more than
            this, the answer is that there is none; `None` for always a text.
    """

    can_be_scored = True

    def __init__(self, questions, answers, threshold=None):
        self.questions, self.answers = questions, answers
        self.threshold = threshold
        self.null_odds = {
            key: answer["null_score"] - answer["score"]
            for key, answer in zip(questions.ids, answers)
        }

    def texts(self):
        """The answers by the ids of their questions.

        Returns:
            A dict of strings, "" for no answer.
        """
        return {
            key: ""
            if self.threshold is not None
            and self.null_odds[key] > self.threshold
            else answer["text"]
            for key, answer in zip(self.questions.ids, self.answers)
        }

    def scores(self):
        """Exact match and F1, from 0 to 100, and more for SQuAD 2.0.

        Returns:
            A dict from metric to float.
        """
        has_odds = self.questions.has_unanswerable and self.threshold is None
        scores = score_squad(
            self.texts(),
            self._references(),
            self.null_odds if has_odds else None,
        )
        return {
            name: score
            for name, score in scores.items()
            if not name.endswith("total")
        }

    def _references(self):
        return dict(zip(self.questions.ids, self.questions.answer_texts))

    def write(self, folder):
        """Writes `predictions.json`, as the benchmark takes it, and more.

        Args:
            folder: string. `null_odds.json` has the evidence for no answer,
                `answers.jsonl` the questions, answers, scores and places.
        """
        os.makedirs(folder, exist_ok=True)
        for name, values in (
            ("predictions.json", self.texts()),
            ("null_odds.json", self.null_odds),
        ):
            text = json.dumps(values, ensure_ascii=False, indent=0) + "\n"
            write_text(os.path.join(folder, name), text)
        lines = [
            json.dumps(
                {"id": key, "question": question, **answer, "gold": gold},
                ensure_ascii=False,
            )
            for key, question, answer, gold in zip(
                self.questions.ids,
                self.questions.questions,
                self.answers,
                self.questions.answer_texts,
            )
        ]
        path = os.path.join(folder, "answers.jsonl")
        write_text(path, "\n".join(lines) + "\n")
