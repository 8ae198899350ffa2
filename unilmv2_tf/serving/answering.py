"""The signatures `answer` and `answer_ids`."""

import numpy as np
import tensorflow as tf

from unilmv2_tf.serving.inputs import default_buckets
from unilmv2_tf.serving.inputs import readable
from unilmv2_tf.serving.inputs import shortened
from unilmv2_tf.serving.inputs import traced_once
from unilmv2_tf.serving.inputs import with_a_row
from unilmv2_tf.serving.inputs import without_server_padding

# What the logits of padding are, and the score of no answer at all.
_MASKED = -1e9
# Windows that are computed at once: the memory of a long passage is bounded.
_WINDOWS_AT_ONCE = 32
_OUTPUTS = ("answer", "start", "end", "score", "probability")


class Answer:
    """Questions and passages in, answers out.

        answer      question, context              (batch,)    string
                    -> answer                      (batch,)    string
                       start, end                  (batch,)    int32
                       score, probability          (batch,)    float32
                       null_score                  (batch,)    float32
        answer_ids  token_ids, segment_ids,
                    padding_mask                   (batch, n)  int32
                    -> start_logits, end_logits    (batch, n)  float32

    `start` and `end` count the characters of the passage; no answer is `""`
    with -1. With `n_best` above 1 all but `null_score` have an axis more after
    the first, best first; a passage with fewer answers ends in `""`, -1, a
    score of -1e9 and a probability of 0. A passage may have any length: it is
    computed in windows, 32 at once.

    Args:
        task: a `UniLMv2QuestionAnswerer` with a preprocessor.
        n_best: int. How many answers each question gets. Defaults to `1`.
        max_answer_length: int. The longest answer in tokens. Defaults to
            `30`.
        buckets: tuple of ints, or `None` to pad every window to the full
            length. Defaults to `"auto"`, see `default_buckets`.

    Raises:
        ValueError: if `n_best` or `max_answer_length` is below 1.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2QuestionAnswerer
    >>> from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> endpoint = Answer(UniLMv2QuestionAnswerer(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8, max_sequence_length=16),
    ...     UniLMv2QuestionAnswererPreprocessor(
    ...         tokenizer, sequence_length=16, max_question_length=4)))
    >>> endpoint.text_signatures["answer"][1]
    ('question', 'context')
    """

    name = "answer"
    id_inputs = ("token_ids", "segment_ids", "padding_mask")
    is_deterministic = True

    def __init__(self, task, n_best=1, max_answer_length=30, buckets="auto"):
        for name, value in (
            ("n_best", n_best),
            ("max_answer_length", max_answer_length),
        ):
            if value < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: {name}={value}"
                )
        self.task = task
        self.preprocessor = task.preprocessor
        self.n_best = n_best
        self.max_answer_length = max_answer_length
        length = self.preprocessor.sequence_length
        self.buckets = default_buckets(length) if buckets == "auto" else buckets
        self._logits = traced_once(self._computed, 3)

    @property
    def text_signatures(self):
        """Signatures that take strings: name -> function and input names."""
        return {"answer": (self.from_text, ("question", "context"))}

    @property
    def id_signatures(self):
        """Signatures that take integers: name -> function and input names."""
        return {"answer_ids": (self.from_ids, self.id_inputs)}

    def from_text(self, question, context):
        """The signature `answer`."""
        return with_a_row(self._from_text, question=question, context=context)

    def from_ids(self, token_ids, segment_ids, padding_mask):
        """The signature `answer_ids`."""
        num_columns = tf.shape(token_ids)[1]
        logits = with_a_row(
            self._from_ids,
            token_ids=token_ids,
            segment_ids=segment_ids,
            padding_mask=padding_mask,
        )
        return {
            name: values[:, :num_columns] for name, values in logits.items()
        }

    def _from_text(self, question, context):
        context = readable(context)
        rows = self.preprocessor.windows(
            {"question": readable(question), "context": context}
        )
        found = self.preprocessor.best_answers(
            context,
            rows,
            self._logits_by_parts(rows),
            self.n_best,
            self.max_answer_length,
        )
        return self._with_no_answers(found)

    def _from_ids(self, token_ids, segment_ids, padding_mask):
        padding_mask = without_server_padding(
            token_ids, padding_mask, self.preprocessor.tokenizer.cls_token_id
        )
        start, end = self._logits(token_ids, segment_ids, padding_mask)
        return {"start_logits": start, "end_logits": end}

    def _computed(self, *rows):
        """Logits of rows, computed at their width, padded to the given one."""
        rows = dict(zip(self.id_inputs, rows))
        length = tf.shape(rows["token_ids"])[1]
        rows = shortened(rows, "padding_mask", self.buckets)
        logits = self.task(rows, training=False)
        missing = length - tf.shape(rows["token_ids"])[1]
        return tuple(
            tf.pad(
                tf.cast(logits[name], tf.float32),
                [[0, 0], [0, missing]],
                constant_values=_MASKED,
            )
            for name in ("start", "end")
        )

    def _logits_by_parts(self, rows):
        rows = [rows[name] for name in self.id_inputs]
        num_rows = tf.shape(rows[0])[0]
        length = self.preprocessor.sequence_length
        parts = [
            tf.TensorArray(
                tf.float32,
                size=0,
                dynamic_size=True,
                infer_shape=False,
                element_shape=[None, length],
            )
            for _ in range(2)
        ]

        def body(number, start, end):
            part = slice(
                number * _WINDOWS_AT_ONCE, (number + 1) * _WINDOWS_AT_ONCE
            )
            logits = [
                tf.ensure_shape(values, [None, length])
                for values in self._logits(*(row[part] for row in rows))
            ]
            return (
                number + 1,
                start.write(number, logits[0]),
                end.write(number, logits[1]),
            )

        _, start, end = tf.while_loop(
            lambda number, start, end: number * _WINDOWS_AT_ONCE < num_rows,
            body,
            (tf.constant(0), *parts),
            # One part after the other, or memory would not be bounded.
            parallel_iterations=1,
        )
        start, end = (
            tf.ensure_shape(array.concat(), [None, length])
            for array in (start, end)
        )
        return {"start": start, "end": end}

    def _with_no_answers(self, found):
        """Puts having no answer first, where the task's threshold says so."""
        null_score = found["null_score"]
        is_none = found["start"][:, 0] < 0
        if self.task.null_threshold is not None:
            is_none |= (
                null_score - found["score"][:, 0] > self.task.null_threshold
            )
        none = {
            "answer": tf.fill(tf.shape(null_score), ""),
            "start": tf.fill(tf.shape(null_score), -1),
            "end": tf.fill(tf.shape(null_score), -1),
            "score": null_score,
            "probability": found["null_probability"],
        }
        found = {"answer": found["text"], **found}
        outputs = {}
        for name in _OUTPUTS:
            values = tf.where(
                is_none[:, tf.newaxis],
                tf.concat(
                    [none[name][:, tf.newaxis], found[name][:, :-1]], axis=1
                ),
                found[name],
            )
            outputs[name] = values[:, 0] if self.n_best == 1 else values
        return {**outputs, "null_score": null_score}

    def rows_of(self, question, context):
        """What `answer_ids` is given for texts, a dict of arrays."""
        rows = self.preprocessor.windows(
            {"question": list(question), "context": list(context)}
        )
        return {name: np.asarray(rows[name]) for name in self.id_inputs}

    def live_from_text(self, question, context):
        """What the task itself answers, without any of the above.

        Args:
            question: list of strings.
            context: list of strings.

        Returns:
            A dict of arrays and lists, as the signature returns it.
        """
        found = self.task.answer(
            list(question),
            list(context),
            n_best=self.n_best,
            max_answer_length=self.max_answer_length,
        )
        if self.n_best == 1:
            found = [[answer] for answer in found]
        nothing = {
            "text": "", "start": -1, "end": -1, "score": _MASKED,
            "probability": 0.0,
        }  # fmt: skip
        null_scores = [answers[0]["null_score"] for answers in found]
        found = [
            [*answers, *[nothing] * (self.n_best - len(answers))]
            for answers in found
        ]
        columns = {
            name: np.array(
                [[answer[key] for answer in answers] for answers in found],
                dtype,
            )
            for name, key, dtype in (
                ("answer", "text", object),
                ("start", "start", "int32"),
                ("end", "end", "int32"),
                ("score", "score", "float32"),
                ("probability", "probability", "float32"),
            )
        }
        if self.n_best == 1:
            columns = {name: values[:, 0] for name, values in columns.items()}
        columns["answer"] = columns["answer"].tolist()
        return {**columns, "null_score": np.array(null_scores, "float32")}

    def live_from_ids(self, question, context):
        """The same for `answer_ids`, of rows that are made of texts."""
        logits = self.task(self.rows_of(question, context), training=False)
        return {
            f"{name}_logits": np.asarray(logits[name], "float32")
            for name in ("start", "end")
        }

    def describe(self):
        """What a client may want to know, a dict for JSON."""
        return {
            "sequence_length": self.preprocessor.sequence_length,
            "doc_stride": self.preprocessor.doc_stride,
            "max_question_length": self.preprocessor.max_question_length,
            "n_best": self.n_best,
            "max_answer_length": self.max_answer_length,
            "null_threshold": self.task.null_threshold,
            "buckets": self.buckets,
        }
