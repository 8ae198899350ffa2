import keras
import keras_hub
import numpy as np
from keras import ops

from unilmv2_tf.models.answers import list_answers
from unilmv2_tf.models.answers import parts_of
from unilmv2_tf.models.backbone import kernel_initializer
from unilmv2_tf.models.task import UniLMv2Task
from unilmv2_tf.models.task import check_rows_fit
from unilmv2_tf.preprocessing.fit_datasets import window_batches
from unilmv2_tf.preprocessing.question_answerer_preprocessor import (
    UniLMv2QuestionAnswererPreprocessor,
)

_MASKED = -1e9
# Rows are shortened to a multiple of this.
_WIDTH_STEP = 64


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2QuestionAnswerer(UniLMv2Task, keras_hub.models.Task):
    """Answers questions with a span of a passage.

    A dense layer gives each token two logits: for the answer to start, and to
    end there. `[CLS]` stands for there being no answer in the window.

    `fit` and `evaluate` take raw strings with a preprocessor, and look at all
    windows of all passages; without one they take integers.

    Args:
        backbone: a `UniLMv2Backbone`.
        preprocessor: a `UniLMv2QuestionAnswererPreprocessor`, or `None` to
            feed integers. Defaults to `None`.
        null_threshold: float. `answer` answers with no text if the null score
            exceeds the best answer's score by more than that. It is saved with
            the task. Defaults to `None`: `answer` always finds an answer.
        **kwargs: see `keras_hub.models.Task`.

    Call arguments:
        inputs: a dict of int tensors of shape `(batch, n)`: `token_ids`,
            `segment_ids` and `padding_mask`.

    Returns:
        A dict of `start` and `end`, logits of shape `(batch, n)`, -1e9 on
        padding.

    Raises:
        ValueError: if the preprocessor's rows exceed the positions of the
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

    def __init__(
        self, backbone, preprocessor=None, null_threshold=None, **kwargs
    ):
        check_rows_fit(backbone, preprocessor)
        self.null_threshold = null_threshold
        self.span_dense = keras.layers.Dense(
            2,
            kernel_initializer=kernel_initializer(),
            dtype=backbone.dtype_policy,
            name="span_dense",
        )
        super().__init__(backbone, preprocessor, **kwargs)

    def make_graph(self, backbone):
        logits = self.span_dense(backbone.output)
        # Half precision doesn't reach so far down.
        dtype = keras.backend.result_type(logits.dtype, "float32")
        is_token = ops.expand_dims(backbone.input["padding_mask"] > 0, -1)
        logits = ops.where(is_token, ops.cast(logits, dtype), _MASKED)
        return backbone.input, {"start": logits[..., 0], "end": logits[..., 1]}

    @classmethod
    def default_preprocessor(cls, tokenizer, max_sequence_length):
        length = min(384, max_sequence_length)
        return cls.preprocessor_cls(
            tokenizer,
            sequence_length=length,
            doc_stride=max(1, min(128, length // 3)),
            max_question_length=max(1, min(64, length // 4)),
        )

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        loss_weights="auto",
        weighted_metrics="auto",
        **kwargs,
    ):
        """Configures training.

        Args:
            optimizer: `"auto"` for AdamW with a learning rate of 2e-5, or an
                optimizer. Defaults to `"auto"`.
            loss: `"auto"` for the cross entropy of start and end, or a loss.
                Defaults to `"auto"`.
            loss_weights: `"auto"` for the mean of both. Defaults to `"auto"`.
            weighted_metrics: `"auto"` for the accuracy of start and of end.
                Defaults to `"auto"`.
            **kwargs: see `keras.Model.compile`.
        """
        names = ("start", "end")
        if optimizer == "auto":
            optimizer = keras.optimizers.AdamW(2e-5, weight_decay=0.01)
        if loss == "auto":
            loss = {
                name: keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True
                )
                for name in names
            }
        if loss_weights == "auto":
            loss_weights = dict.fromkeys(names, 0.5)
        if weighted_metrics == "auto":
            weighted_metrics = {
                name: [keras.metrics.SparseCategoricalAccuracy("accuracy")]
                for name in names
            }
        super().compile(
            optimizer=optimizer,
            loss=loss,
            loss_weights=loss_weights,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

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
            x: what the preprocessor takes, batched if it is a dataset; or
                integers, see the call arguments.
            y: the answers, as the preprocessor takes them; or, with integers,
                a dict of `start` and `end`, places of shape `(batch,)`.
            batch_size: int. How many windows each step takes; with raw strings
                also if `x` is a dataset. Defaults to `32`.
            sample_weight: optional floats, one for each example.
            validation_data: a tuple of `x` and `y`, or a dataset.
            **kwargs: see `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: if an answer is not where `y` says it is. In a dataset
                such examples are left out.
        """
        windows = self._windows_of(x, y, sample_weight, batch_size, True)
        if windows is not None:
            x, y, sample_weight, batch_size = windows, None, None, None
            kwargs["shuffle"] = False
            if kwargs.pop("validation_split", None):
                raise ValueError(
                    "`validation_split` must not be given with raw strings. "
                    "Pass `validation_data=(x, y)`."
                )
        if isinstance(validation_data, (tuple, list)):
            validation_windows = self._windows_of(*validation_data)
        else:
            validation_windows = self._windows_of(validation_data)
        return super().fit(
            x,
            y,
            batch_size,
            sample_weight,
            validation_data=(
                validation_data
                if validation_windows is None
                else validation_windows
            ),
            **kwargs,
        )

    def evaluate(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """Evaluates on all windows. See `fit` and `keras.Model.evaluate`.

        Args:
            x: see `fit`.
            y: see `fit`.
            batch_size: see `fit`.
            sample_weight: see `fit`.
            **kwargs: see `keras.Model.evaluate`.

        Returns:
            The loss and the metrics, means over windows.
        """
        windows = self._windows_of(x, y, sample_weight, batch_size)
        if windows is not None:
            x, y, sample_weight, batch_size = windows, None, None, None
        return super().evaluate(x, y, batch_size, sample_weight, **kwargs)

    def predict(self, x=None, batch_size=None, **kwargs):
        """Gives the logits of all windows. See `answer` for answers.

        Args:
            x: see `fit`.
            batch_size: see `fit`.
            **kwargs: see `keras.Model.predict`.

        Returns:
            A dict of `start` and `end`, arrays of shape
            `(rows, sequence_length)`.
        """
        windows = self._windows_of(x, batch_size=batch_size)
        if windows is not None:
            x, batch_size = windows, None
        return super().predict(x, batch_size, **kwargs)

    def _windows_of(
        self, x, y=None, sample_weight=None, batch_size=None, shuffle=False
    ):
        if self.preprocessor is None or x is None:
            return None
        return window_batches(
            self.preprocessor, x, y, sample_weight, batch_size or 32, shuffle
        )

    def answer(
        self,
        question,
        context,
        n_best=1,
        max_answer_length=30,
        batch_size=32,
        progress=None,
    ):
        """Answers questions from raw strings.

        Args:
            question: string or list of strings.
            context: string or list of as many strings, the passages. They may
                have any length.
            n_best: int. How many answers to give to each question. Defaults to
                `1`.
            max_answer_length: int. The longest answer in tokens. Defaults to
                `30`.
            batch_size: int. How many windows are computed at once. Defaults to
                `32`.
            progress: a function that is called with the number of questions
                that were answered, and of all. Defaults to `None`.

        Returns:
            A dict: `text`, which is `context[start:end]`; `score`, the sum of
            the logits of its start and end; `probability`, the share of
            `exp(score)` in the sum over all possible answers and none; `start`
            and `end`, in characters; `null_score`, what having no answer
            scores. With `n_best` above 1 a list of dicts, best first, fewer if
            the passage has fewer. For lists a list of these, in their order.

            Having no answer is a text of `""` with `start` and `end` -1 and
            `score` equal to `null_score`. It stands first if the null score
            exceeds the best score by more than `null_threshold`, or if there
            is nothing to find in the passage, as in an empty one.

        Raises:
            ValueError: if there is no preprocessor, or questions and passages
                are not alike.
        """
        if self.preprocessor is None:
            raise ValueError(
                "`answer()` needs a `preprocessor`, given to the constructor. "
                "Received: preprocessor=None"
            )
        is_single = isinstance(question, str)
        if is_single != isinstance(context, str):
            raise ValueError(
                "`question` and `context` must be two strings, or two lists. "
                f"Received: {type(question).__name__} and "
                f"{type(context).__name__}. Repeat the passage for each of "
                "several questions."
            )
        questions, contexts = (
            [texts] if is_single else list(texts)
            for texts in (question, context)
        )
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
        for part in parts_of(contexts):
            answers += self._answer_part(
                questions[part], contexts[part], n_best, max_answer_length,
                batch_size,
            )  # fmt: skip
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
        found = self.preprocessor.best_answers(
            contexts,
            rows,
            self._logits(rows, batch_size),
            n_best,
            max_answer_length,
        )
        found = {
            name: np.asarray(values)
            for name, values in found.items()
            if name != "text"
        }
        return [
            list_answers(
                context,
                {name: values[i] for name, values in found.items()},
                self.null_threshold,
            )[:n_best]
            for i, context in enumerate(contexts)
        ]

    def _logits(self, rows, batch_size):
        inputs = {name: np.asarray(rows[name]) for name in self.input}
        num_rows, length = inputs["token_ids"].shape
        logits = {
            name: np.full((num_rows, length), _MASKED, "float32")
            for name in self.output
        }
        for start in range(0, num_rows, batch_size):
            part = slice(start, start + batch_size)
            # Padding of all rows is not worth computing.
            used = int(inputs["padding_mask"][part].sum(axis=1).max())
            width = min(length, -(-used // _WIDTH_STEP) * _WIDTH_STEP)
            outputs = self.predict_on_batch(
                {name: values[part, :width] for name, values in inputs.items()}
            )
            for name, values in outputs.items():
                logits[name][part, :width] = values
        return logits

    def take_head_of_other(self, other, kwargs):
        if isinstance(other, UniLMv2QuestionAnswerer):
            self.span_dense.set_weights(other.span_dense.get_weights())

    def get_config(self):
        config = super().get_config()
        config["null_threshold"] = self.null_threshold
        return config
