"""Fine-tuning to answer questions with spans of passages."""

import functools

import numpy as np
import tensorflow as tf

from unilmv2_tf.evaluation.examples import read_questions
from unilmv2_tf.evaluation.predictions import ROW_KEYS
from unilmv2_tf.evaluation.predictions import answer_questions
from unilmv2_tf.evaluation.predictions import crop
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
from unilmv2_tf.training.task_adapter import TaskAdapter


class AnswerAdapter(TaskAdapter):
    """`UniLMv2QuestionAnswerer` on questions in SQuAD's format."""

    command = "answer"
    task_cls = UniLMv2QuestionAnswerer
    read = staticmethod(read_questions)

    def __init__(self, args):
        super().__init__(args)
        # A mistake in the lengths shows now, not after an hour.
        self.preprocessor = UniLMv2QuestionAnswererPreprocessor(
            self.tokenizer,
            sequence_length=args.sequence_length,
            doc_stride=args.doc_stride,
            max_question_length=args.max_question_length,
        )
        self.may_be_unanswerable = not all(self.held_out["answer_texts"])
        self.metric = "best_f1" if self.may_be_unanswerable else "f1"

    @functools.cached_property
    def columns(self):
        """All windows of the training passages, with the first answers."""
        # Hundreds of thousands of rows, mostly of zeros and ones.
        dtypes = {"segment_ids": np.int8, "padding_mask": np.int8}
        parts = []
        for part in self.train.parts():
            x = {key: part[key].tolist() for key in ("question", "context")}
            y = {
                "answer_text": [(x or [""])[0] for x in part["answer_texts"]],
                "answer_start": [(x or [-1])[0] for x in part["answer_starts"]],
            }
            rows = self.preprocessor.windows(x, y)
            parts.append(
                {
                    key: np.asarray(rows[key]).astype(dtypes.get(key, np.int32))
                    for key in (*ROW_KEYS, "start", "end")
                }
            )
        return {
            key: np.concatenate([part[key] for part in parts])
            for key in parts[0]
        }

    @property
    def lengths(self):
        return self.columns["padding_mask"].sum(axis=1)

    def describe(self):
        found = np.mean(self.columns["start"] > 0)
        yield (
            f"{len(self.train):,} questions for training in "
            f"{len(self.lengths):,} windows, {found:.1%} with the answer; "
            f"{len(self.held_out):,} questions for validation"
        )

    def make_model(self):
        return UniLMv2QuestionAnswerer.from_preset(
            self.args.preset,
            preprocessor=self.preprocessor,
            **self.model_arguments(),
        )

    def compile(self, model, optimizer):
        model.compile(optimizer=optimizer)

    def rows_of(self, seed):
        del seed

        def to_rows(batch):
            batch = {key: tf.cast(row, tf.int32) for key, row in batch.items()}
            y = {key: batch[key] for key in ("start", "end")}
            if self.args.strategy == "tpu":
                # A TPU needs static shapes.
                return {key: batch[key] for key in ROW_KEYS}, y
            return crop(batch), y

        return to_rows

    def evaluate(self, model):
        # The threshold for "no answer" that is best here stays in the model.
        model.null_threshold = None
        scores = super().evaluate(model)
        if self.may_be_unanswerable:
            model.null_threshold = scores["best_f1_threshold"]
            self.predictions.threshold = scores["best_f1_threshold"]
        return scores

    def predict(self, model, examples):
        return answer_questions(
            model,
            examples,
            self.args.evaluation_batch_size,
            self.args.max_answer_length,
        )
