import keras
import keras_hub
import numpy as np
from keras import ops

from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.backbone import unilmv2_kernel_initializer
from unilmv2_tf.models.task import UniLMv2Task
from unilmv2_tf.models.task import check_rows_fit
from unilmv2_tf.preprocessing.fit_datasets import check_texts
from unilmv2_tf.preprocessing.fit_datasets import window_batches
from unilmv2_tf.preprocessing.question_answerer_preprocessor import (
    UniLMv2QuestionAnswererPreprocessor,
)

_MASKED = -1e9
# Limits of what is answered at once, to bound memory.
_EXAMPLES_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 250_000


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2QuestionAnswerer(UniLMv2Task, keras_hub.models.Task):
    """Answers questions with a span of a passage.

    A dense layer gives each token two logits, one for the start of the answer
    and one for its end. `[CLS]` represents that the window has no answer.

    With a preprocessor, `fit` and `evaluate` take raw strings and use all
    windows of all passages; without one they take integers.

    Args:
        backbone: A `UniLMv2Backbone`.
        preprocessor: A `UniLMv2QuestionAnswererPreprocessor`, or `None` for
            integer inputs. Defaults to `None`.
        null_threshold: float. `answer` returns no answer if the null score
            exceeds the best answer's score by more than this. It is saved with
            the task. Defaults to `None`: `answer` always returns an answer.
        **kwargs: See `keras_hub.models.Task`.

    Call arguments:
        inputs: A dict of int tensors of shape `(batch, n)`: `token_ids`,
            `segment_ids` and `padding_mask`.

    Returns:
        A dict of `start` and `end`, logits of shape `(batch, n)`, -1e9 on
        padding.

    Raises:
        ValueError: If the preprocessor's rows exceed the positions of the
            backbone.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2QuestionAnswerer
    >>> from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "quick",
    ...      "fox", "who", "jumped", "?", "."])
    >>> answerer = UniLMv2QuestionAnswerer(
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False,
    ...         vocabulary_size=tokenizer.vocabulary_size()),
    ...     UniLMv2QuestionAnswererPreprocessor(
    ...         tokenizer, sequence_length=16, max_question_length=4))
    >>> x = {"question": ["Who jumped?"], "context": ["The quick fox jumped."]}
    >>> y = {"answer_text": ["quick fox"], "answer_start": [4]}
    >>> history = answerer.fit(x, y, verbose=0)
    >>> answer = answerer.answer("Who jumped?", "The quick fox jumped.")
    >>> answer["text"] == "The quick fox jumped."[answer["start"]:answer["end"]]
    True

    Reference:
        Bao et al., 2020, section 3.4 and table 9; Devlin et al., 2019,
        sections 4.2 and 4.3.
    """

    preprocessor_cls = UniLMv2QuestionAnswererPreprocessor
    head_layers = ("span_dense",)

    def __init__(
        self,
        backbone: UniLMv2Backbone,
        preprocessor: UniLMv2QuestionAnswererPreprocessor | None = None,
        null_threshold: float | None = None,
        **kwargs,
    ):
        check_rows_fit(backbone, preprocessor)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.span_dense = keras.layers.Dense(
            2,
            kernel_initializer=unilmv2_kernel_initializer(),
            dtype=backbone.dtype_policy,
            name="span_dense",
        )

        # === Functional Model ===
        inputs = backbone.input
        logits = self.span_dense(backbone.output)
        # Float16 has no number as low as `_MASKED`.
        dtype = keras.backend.result_type(logits.dtype, "float32")
        is_token = ops.expand_dims(inputs["padding_mask"] > 0, -1)
        logits = ops.where(is_token, ops.cast(logits, dtype), _MASKED)
        outputs = {"start": logits[..., 0], "end": logits[..., 1]}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.null_threshold = null_threshold

    @classmethod
    def default_preprocessor(cls, tokenizer, max_sequence_length):
        length = min(384, max_sequence_length)
        return cls.preprocessor_cls(
            tokenizer,
            sequence_length=length,
            doc_stride=max(1, min(128, length // 3)),
            max_question_length=max(1, min(64, length // 4)),
        )

    def training_defaults(self):
        """AdamW, and the mean of the cross entropies of start and end."""
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy
        return {
            "optimizer": keras.optimizers.AdamW(2e-5, weight_decay=0.01),
            "loss": {"start": loss, "end": loss},
            "loss_weights": {"start": 0.5, "end": 0.5},
            "weighted_metrics": {
                name: [accuracy("accuracy")] for name in ("start", "end")
            },
        }

    def preprocess_samples(self, x, y=None, sample_weight=None):
        if isinstance(x, dict) and "token_ids" in x:
            return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        return super().preprocess_samples(x, y, sample_weight)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        validation_data=None,
        **kwargs,
    ):
        """Trains on all windows, shuffled, or on integers.

        Args:
            x: The inputs of the preprocessor, batched if `x` is a dataset; or
                integers, see the call arguments.
            y: The answers, as the preprocessor takes them; or, with integers,
                a dict of `start` and `end`, indices of shape `(batch,)`.
            batch_size: int. The number of windows in a step, for raw strings
                also if `x` is a dataset. Defaults to `32`.
            sample_weight: Optional floats, one for each example.
            validation_data: A tuple of `x` and `y`, or a dataset.
            **kwargs: See `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If an answer is not at its `answer_start`. In a dataset
                such examples are left out.
        """
        data = self._as_windows(x, y, sample_weight, batch_size, shuffle=True)
        if data[0] is not x:
            kwargs["shuffle"] = False
            if kwargs.pop("validation_split", None):
                raise ValueError(
                    "`validation_split` must not be given with raw strings. "
                    "Pass `validation_data=(x, y)`."
                )
        held_out = validation_data
        if not isinstance(held_out, (tuple, list)):
            held_out = (held_out,)
        windows, *_ = self._as_windows(*held_out)
        if windows is not held_out[0]:
            validation_data = windows
        x, y, sample_weight, batch_size = data
        return super().fit(
            x, y, batch_size, sample_weight, validation_data, **kwargs
        )

    def evaluate(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """As `keras.Model.evaluate`, with the arguments of `fit`."""
        x, y, sample_weight, batch_size = self._as_windows(
            x, y, sample_weight, batch_size
        )
        return super().evaluate(x, y, batch_size, sample_weight, **kwargs)

    def predict(self, x=None, batch_size=None, **kwargs):
        """The logits of all windows. See `answer` for answers."""
        x, _, _, batch_size = self._as_windows(x, batch_size=batch_size)
        return super().predict(x, batch_size, **kwargs)

    def _as_windows(
        self, x, y=None, sample_weight=None, batch_size=None, shuffle=False
    ):
        """Raw strings as a dataset of all windows; integers unchanged."""
        windows = None
        if self.preprocessor is not None and x is not None:
            windows = window_batches(
                self.preprocessor,
                x,
                y,
                sample_weight,
                batch_size or 32,
                shuffle,
            )
        if windows is None:
            return x, y, sample_weight, batch_size
        return windows, None, None, None

    def answer(
        self,
        question: str | list[str],
        context: str | list[str],
        n_best: int = 1,
        max_answer_length: int = 30,
        batch_size: int = 32,
        progress=None,
    ):
        """Answers questions from raw strings.

        Args:
            question: string or list of strings.
            context: string or list of the same number of strings, the
                passages. They may have any length.
            n_best: int. Answers to each question. Defaults to `1`.
            max_answer_length: int. In tokens. Defaults to `30`.
            batch_size: int. Windows computed at once. Defaults to `32`.
            progress: Function that is called with the number of answered and
                of all questions. Defaults to `None`.

        Returns:
            A dict: `text`, which is `context[start:end]`; `score`, the sum of
            the logits of its start and end; `probability`, the share of
            `exp(score)` in the sum over all possible answers and none; `start`
            and `end`, in characters; `null_score`, the score of no answer.
            With `n_best` above 1 a list of dicts, best first, fewer if the
            passage has fewer. For lists a list of these, in their order.

            No answer is a text of `""` with `start` and `end` -1 and `score`
            equal to `null_score`. It comes first if the null score exceeds the
            best score by more than `null_threshold`, or if the passage has no
            answer at all, like an empty one.

        Raises:
            ValueError: If there is no preprocessor, the numbers of questions
                and passages differ, or a question has no word.
        """
        if self.preprocessor is None:
            raise ValueError(
                "`answer()` needs a `preprocessor`, given to the constructor. "
                "Received: preprocessor=None"
            )
        is_single = isinstance(question, str)
        if is_single != isinstance(context, str):
            raise ValueError(
                "`question` and `context` must be two strings or two lists. "
                f"Received: {type(question).__name__} and "
                f"{type(context).__name__}. Repeat the passage for several "
                "questions."
            )
        questions, contexts = (
            [texts] if is_single else list(texts)
            for texts in (question, context)
        )
        check_texts(questions, "question")
        check_texts(contexts, "context")
        for text in (*questions, *contexts):
            if not isinstance(text, str):
                raise ValueError(
                    "`question` and `context` must hold strings. Received: "
                    f"{text!r:.60} of type {type(text).__name__}"
                )
        if len(questions) != len(contexts):
            raise ValueError(
                "`question` and `context` must be of the same length. "
                f"Received: {len(questions)} and {len(contexts)}"
            )
        answers = []
        for part in _parts(contexts):
            answers += self._answer_part(
                questions[part],
                contexts[part],
                n_best,
                max_answer_length,
                batch_size,
            )
            if progress is not None:
                progress(len(answers), len(questions))
        if n_best == 1:
            answers = [found[0] for found in answers]
        return answers[0] if is_single else answers

    def _answer_part(
        self, questions, contexts, n_best, max_answer_length, batch_size
    ):
        rows = self.preprocessor.windows(
            {"question": questions, "context": contexts}
        )
        _check_questions(questions, rows)
        found = self.preprocessor.best_answers(
            contexts,
            rows,
            self._logits(rows, batch_size),
            n_best,
            max_answer_length,
        )
        del found["text"]
        columns = [np.asarray(values).tolist() for values in found.values()]
        return [
            _list_answers(
                context, dict(zip(found, values)), self.null_threshold
            )[:n_best]
            for context, *values in zip(contexts, *columns)
        ]

    def _logits(self, rows, batch_size):
        logits = {
            name: np.full(rows["token_ids"].shape, _MASKED, "float32")
            for name in self.output
        }
        start = 0
        for outputs in self.predict_rows(rows, batch_size):
            stop = start + len(outputs["start"])
            for name, values in outputs.items():
                logits[name][start:stop, : values.shape[1]] = values
            start = stop
        return logits

    def get_config(self):
        config = super().get_config()
        config["null_threshold"] = self.null_threshold
        return config


def _parts(contexts):
    """Slices with a bounded number of passages and characters."""
    start = size = 0
    for stop, context in enumerate(contexts):
        size += len(context)
        if stop > start and (
            size > _CHARACTERS_AT_ONCE or stop - start == _EXAMPLES_AT_ONCE
        ):
            yield slice(start, stop)
            start, size = stop, len(context)
    if start < len(contexts):
        yield slice(start, len(contexts))


def _check_questions(questions, rows):
    # Before the passage a row has [CLS], the question and [SEP].
    is_first = np.asarray(rows["padding_mask"] > rows["segment_ids"])
    is_empty = is_first.sum(axis=1) == 2
    if is_empty.any():
        index = int(np.asarray(rows["example_index"])[is_empty][0])
        raise ValueError(
            "`question` must hold a word at least. Received: "
            f"{questions[index]!r}, which has no token"
        )


def _list_answers(context, found, null_threshold):
    """The answers of a passage as dicts, best first, or none before them."""
    null_score = found["null_score"]

    def answer(start, end, score, probability):
        return {
            "text": context[start:end] if start >= 0 else "",
            "score": score,
            "probability": probability,
            "start": start,
            "end": end,
            "null_score": null_score,
        }

    names = ("start", "end", "score", "probability")
    spans = zip(*(found[name] for name in names))
    answers = [answer(*span) for span in spans if span[0] >= 0]
    if answers and (
        null_threshold is None
        or null_score - answers[0]["score"] <= null_threshold
    ):
        return answers
    return [answer(-1, -1, null_score, found["null_probability"]), *answers]
