import functools
import hashlib

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets import seeded_batches
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
from unilmv2_tf.training.finetuning import questions
from unilmv2_tf.training.finetuning.model import model_arguments
from unilmv2_tf.training.finetuning.problem import Problem
from unilmv2_tf.training.finetuning.rows import crop


class Answering(Problem):
    """What a fine-tuning has to know of questions.

    Args:
        settings: an `AnswerSettings`.

    Raises:
        ValueError: if the questions cannot be read, or an answer is not where
            it should be.

    Reference:
        Bao et al., 2020, section 3.4.
    """

    command = "answer"
    task_cls = UniLMv2QuestionAnswerer
    read = staticmethod(questions.read)

    def __init__(self, settings):
        super().__init__(settings)
        # Found out now, and not after an hour.
        self.preprocessor = UniLMv2QuestionAnswererPreprocessor(
            self.tokenizer,
            sequence_length=settings.sequence_length,
            doc_stride=settings.doc_stride,
            max_question_length=settings.max_question_length,
        )
        self.metric = "best_f1" if self.held_out.has_unanswerable else "f1"

    @functools.cached_property
    def rows(self):
        """The windows that are trained on."""
        return questions.training_rows(self.train, self.preprocessor)

    @property
    def num_rows(self):
        return len(self.rows["start"])

    def facts(self):
        """What determines the result, beside the settings."""
        digest = hashlib.sha256()
        for column in self.rows.values():
            digest.update(np.ascontiguousarray(column).tobytes())
        return {
            "examples": len(self.train),
            "windows": self.num_rows,
            "fingerprint": digest.hexdigest()[:16],
        }

    def description(self):
        """Lines that tell a person what is trained on."""
        found = np.mean(self.rows["start"] > 0)
        yield (
            f"{len(self.train):,} questions for training in {self.num_rows:,} "
            f"windows, {found:.1%} with the answer; {len(self.held_out):,} "
            "questions for validation"
        )

    def make_model(self):
        """The model, with a head that has learned nothing."""
        return UniLMv2QuestionAnswerer.from_preset(
            self.settings.preset,
            preprocessor=self.preprocessor,
            **model_arguments(self.settings, self.tokenizer),
        )

    def compile(self, model, optimizer):
        """Compiles the model for training."""
        model.compile(optimizer=optimizer)

    def training_dataset(self, preprocessor, num_steps, seed, start_step):
        """The batches of all steps from one on, each a function of its step."""
        del preprocessor
        batches = seeded_batches(
            self.rows,
            self.rows["padding_mask"].sum(axis=1),
            self.settings.batch_size,
            num_steps,
            seed,
            start_step,
            self.settings.accumulation_steps,
        )

        def to_rows(batch):
            batch = {key: tf.cast(row, tf.int32) for key, row in batch.items()}
            y = {key: batch[key] for key in ("start", "end")}
            if self.settings.strategy == "tpu":
                # Which wants to know all shapes.
                keys = ("token_ids", "segment_ids", "padding_mask")
                return {key: batch[key] for key in keys}, y
            return crop(batch, y)

        return batches.map(to_rows, num_parallel_calls=2, deterministic=True)

    def evaluate(self, model):
        """Scores of the held-out questions; the answers are kept.

        The threshold for no answer that is best for them is kept in the model.

        Args:
            model: a `UniLMv2QuestionAnswerer`.

        Returns:
            A dict from the name of a metric to its value.
        """
        model.null_threshold = None
        scores = super().evaluate(model)
        if self.held_out.has_unanswerable:
            model.null_threshold = scores["best_f1_threshold"]
            self.predictions.threshold = scores["best_f1_threshold"]
        return scores

    def predict(self, model, examples):
        """Answers questions.

        Args:
            model: a `UniLMv2QuestionAnswerer`.
            examples: `Questions`.

        Returns:
            `Answers`.
        """
        return questions.predict(
            model,
            examples,
            self.settings.evaluation_batch_size,
            self.settings.max_answer_length,
        )

    def scores(self, predictions):
        """Scores of answers, see `Answers.scores`."""
        return predictions.scores()
