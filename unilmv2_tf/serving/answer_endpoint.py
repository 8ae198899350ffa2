"""The signatures `answer` and `answer_ids`."""

import tensorflow as tf

from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.serving.endpoint import FOX
from unilmv2_tf.serving.endpoint import Endpoint
from unilmv2_tf.serving.endpoint import check_range

# The logits of padding, and the score where there is no answer.
_MASKED = -1e9
# Windows that are computed together: bounds the memory of a long passage.
_WINDOWS_AT_ONCE = 32
_QUESTIONS = [b"What jumps over the dog?", b"What does it return?", b"Which?"]
# Output of the signature -> key of an answer, value if there is none.
_OUTPUTS = {
    "answer": ("text", ""),
    "start": ("start", -1),
    "end": ("end", -1),
    "score": ("score", _MASKED),
    "probability": ("probability", 0.0),
}


class Answer(Endpoint):
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
    with -1. With `n_best` above 1 all outputs but `null_score` have a second
    axis, best first; a passage with fewer answers ends in `""`, -1, a score of
    -1e9 and a probability of 0. A passage may have any length: it is computed
    in windows, 32 at once.

    Args:
        task: a `UniLMv2QuestionAnswerer` with a preprocessor. It is not
            changed.
        n_best: int. The number of answers to each question. Defaults to `1`.
        max_answer_length: int. The longest answer in tokens. Defaults to
            `30`.
        buckets: see `Endpoint`. Defaults to `"auto"`.

    Raises:
        ValueError: if `n_best` or `max_answer_length` is below 1.

    Example:

        task = UniLMv2QuestionAnswerer.from_preset("squad/preset")
        export_model(Answer(task, n_best=3), "models/answers")
    """

    name = "answer"
    tasks = (UniLMv2QuestionAnswerer,)
    default_for = UniLMv2QuestionAnswerer
    text_signatures = {"answer": ("question", "context")}
    per_token_outputs = ("start_logits", "end_logits")
    examples = {"question": "What jumps?", "context": FOX}

    def __init__(self, task, n_best=1, max_answer_length=30, buckets="auto"):
        check_range("n_best", n_best, 1)
        check_range("max_answer_length", max_answer_length, 1)
        super().__init__(task, buckets=buckets)
        self.n_best = n_best
        self.max_answer_length = max_answer_length

    def rows(self, **texts):
        windows = self.preprocessor.windows(texts)
        return {name: windows[name] for name in self.id_inputs}

    def compute(self, rows):
        length = tf.shape(rows["token_ids"])[1]
        rows = self.shorten(rows)
        logits = self.task(rows, training=False)
        missing = length - tf.shape(rows["token_ids"])[1]
        return {
            f"{name}_logits": tf.pad(
                tf.cast(logits[name], tf.float32),
                [[0, 0], [0, missing]],
                constant_values=_MASKED,
            )
            for name in ("start", "end")
        }

    def outputs_of_texts(self, question, context):
        windows = self.preprocessor.windows(
            {"question": question, "context": context}
        )
        found = self.preprocessor.best_answers(
            context,
            windows,
            self._logits_by_parts(windows),
            self.n_best,
            self.max_answer_length,
        )
        null_score = found["null_score"]
        is_none = found["start"][:, 0] < 0
        if self.task.null_threshold is not None:
            gap = null_score - found["score"][:, 0]
            is_none |= gap > self.task.null_threshold
        first = {"score": null_score, "probability": found["null_probability"]}
        outputs = {"null_score": null_score}
        for name, (key, blank) in _OUTPUTS.items():
            # Having no answer comes first, where the threshold says so.
            values = found[key]
            none = first.get(name, tf.fill(tf.shape(null_score), blank))
            shifted = tf.concat([none[:, tf.newaxis], values[:, :-1]], axis=1)
            values = tf.where(is_none[:, tf.newaxis], shifted, values)
            outputs[name] = values[:, 0] if self.n_best == 1 else values
        return outputs

    def _logits_by_parts(self, windows):
        rows = {name: windows[name] for name in self.id_inputs}
        num_rows = tf.shape(rows["token_ids"])[0]

        def append(start, end):
            first = tf.shape(start)[0]
            last = first + _WINDOWS_AT_ONCE
            logits = self.traced_compute(
                {name: row[first:last] for name, row in rows.items()}
            )
            return (
                tf.concat([start, logits["start_logits"]], axis=0),
                tf.concat([end, logits["end_logits"]], axis=0),
            )

        start, end = tf.while_loop(
            lambda start, end: tf.shape(start)[0] < num_rows,
            append,
            2 * (tf.zeros([0, self.sequence_length]),),
            shape_invariants=2
            * (tf.TensorShape([None, self.sequence_length]),),
            # In parallel, the memory would not be bounded.
            parallel_iterations=1,
        )
        return {"start": start, "end": end}

    def probes(self, inputs, plain, hostile):
        questions = (_QUESTIONS * len(plain))[: len(plain)]
        # A megabyte of words has thousands of windows, an hour of a large
        # model: only the question is that long.
        contexts = [
            text[:2000] if text.count(b" ") > 100_000 else text
            for text in plain + hostile
        ]
        return {"question": questions + hostile, "context": contexts}

    def describe(self):
        names = ("doc_stride", "max_question_length")
        return {
            **super().describe(),
            **{name: getattr(self.preprocessor, name) for name in names},
            "null_threshold": self.task.null_threshold,
        }
