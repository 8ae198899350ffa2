import keras
import keras_hub
import numpy as np

from unilmv2_tf.preprocessing.offsets import tokens_with_offsets
from unilmv2_tf.preprocessing.tensorflow_graph import GraphPreprocessor
from unilmv2_tf.preprocessing.tensorflow_graph import batched
from unilmv2_tf.preprocessing.tensorflow_graph import graph_preprocessing
from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.windows import answer_characters
from unilmv2_tf.preprocessing.windows import answer_tokens
from unilmv2_tf.preprocessing.windows import best_spans
from unilmv2_tf.preprocessing.windows import check_answers
from unilmv2_tf.preprocessing.windows import label_windows
from unilmv2_tf.preprocessing.windows import sliding_windows

_MODEL_KEYS = ("token_ids", "segment_ids", "padding_mask")
_SPAN_KEYS = (
    "token_starts",
    "token_ends",
    "example_index",
    "window_start",
    "passage_length",
)


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2QuestionAnswererPreprocessor(
    GraphPreprocessor, keras_hub.models.Preprocessor
):
    """Turns questions and passages into rows, and logits into answers.

    A row is `[CLS] question [SEP] passage [SEP]`. A long passage gets several
    rows, overlapping windows that are all used in training and prediction. With
    the question `7`, the passage `10 11 12 13 14 15 16`, the answer `14 15` and
    rows of nine tokens:

        token_ids      2  7  3 10 11 12 13 14  3     start 0, end 0
                       2  7  3 12 13 14 15 16  3     start 5, end 6

    Where a row doesn't hold the whole answer, or there is none, the label is
    the position of `[CLS]`. Answers are located in characters (code points) of
    the passage as it was passed in, `text == context[start:end]`, and widened
    to whole tokens. An answer that is not at its location, or has no token,
    raises an error when this layer is called eagerly; a `tf.data` pipeline
    drops the example.

    Args:
        tokenizer: A `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows. Defaults to `384`.
        doc_stride: int. The number of tokens between the starts of two windows,
            at most the length of a window. Defaults to `128`.
        max_question_length: int. Longer questions are truncated. Defaults to
            `64`.
        **kwargs: See `keras_hub.models.Preprocessor`.

    Call arguments:
        x: A dict of strings `question` and `context`, one example or a batch.
        y: Optional dict of `answer_text` and `answer_start`, an int, or of the
            ints `answer_start` and `answer_end`. An empty text, or -1 as the
            start, means that there is no answer.
        sample_weight: Optional floats, one for each example.

    Returns:
        The rows of all examples, one after the other: a dict of `token_ids`,
        `segment_ids` and `padding_mask`, int32 of shape
        `(rows, sequence_length)`; with `y` a tuple of it, of a dict of `start`
        and `end`, int32 of shape `(rows,)`, and of the weights if given.

    Raises:
        ValueError: if an argument is out of range, or an answer doesn't fit
            its passage.

    Example:

    >>> from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox", "who",
    ...      "jumped", "?"])
    >>> preprocessor = UniLMv2QuestionAnswererPreprocessor(
    ...     tokenizer, sequence_length=10, max_question_length=3)
    >>> x, y = preprocessor(
    ...     {"question": ["Who jumped?"], "context": ["The fox jumped"]},
    ...     {"answer_text": ["fox"], "answer_start": [4]})
    >>> x["token_ids"].numpy().tolist()
    [[2, 7, 8, 9, 3, 5, 6, 8, 3, 0]]
    >>> y["start"].numpy().tolist(), y["end"].numpy().tolist()
    ([6], [6])

    Reference:
        Bao et al., 2020, section 3.4; Devlin et al., 2019, section 4.2.
    """

    tokenizer_cls = UniLMv2Tokenizer
    _config_names = ("sequence_length", "doc_stride", "max_question_length")

    def __init__(
        self,
        tokenizer,
        sequence_length: int = 384,
        doc_stride: int = 128,
        max_question_length: int = 64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_positive(
            doc_stride=doc_stride, max_question_length=max_question_length
        )
        if sequence_length < max_question_length + 4:
            raise ValueError(
                "`sequence_length` must leave room for a token of the passage "
                "beside the longest question and three special tokens: at "
                f"least {max_question_length + 4} with max_question_length="
                f"{max_question_length}. Received: sequence_length="
                f"{sequence_length}. Make it longer, or questions shorter."
            )
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self.doc_stride = doc_stride
        self.max_question_length = max_question_length

    def call(self, x, y=None, sample_weight=None):
        rows = self._checked_windows(x, y, sample_weight)
        inputs = {key: rows[key] for key in _MODEL_KEYS}
        if y is None:
            return inputs
        labels = {key: rows[key] for key in ("start", "end")}
        return keras.utils.pack_x_y_sample_weight(
            inputs, labels, rows.get("sample_weight")
        )

    def windows(self, x, y=None):
        """Makes the rows, with what `best_answers` needs.

        Args:
            x, y: See the call arguments.

        Returns:
            A dict of int32 tensors, all windows of all examples in order:
            `token_ids`, `segment_ids`, `padding_mask`, and `token_starts` and
            `token_ends`, the characters of each passage token, -1 elsewhere,
            of shape `(rows, sequence_length)`; `example_index`,
            `window_start` (the index of the window's first token in the
            passage) and `passage_length`, in tokens, of shape `(rows,)`. With
            `y` also `start` and `end`, positions of shape `(rows,)`.

        Raises:
            ValueError: if an answer doesn't fit its passage, called eagerly.
        """
        return self._checked_windows(x, y, None)

    def _checked_windows(self, x, y, sample_weight):
        rows, misfits = self._windows((x, y, sample_weight))
        if y is not None and tf.executing_eagerly():
            check_answers(x, y, np.asarray(misfits))
        return rows

    @graph_preprocessing
    def _windows(self, inputs):
        x, y, sample_weight = inputs
        x, _ = batched(x)
        questions = self.tokenizer(x["question"])[:, : self.max_question_length]
        passages = tokens_with_offsets(self.tokenizer, x["context"])
        rows = sliding_windows(
            questions,
            passages,
            self.tokenizer,
            self.sequence_length,
            self.doc_stride,
        )
        if y is None:
            return rows, tf.zeros(tf.shape(x["context"]), tf.bool)
        y = {key: tf.reshape(value, [-1]) for key, value in y.items()}
        first, end, is_misfit = answer_characters(x["context"], y)
        first, last, has_no_token = answer_tokens(passages, first, end)
        is_misfit |= has_no_token
        rows.update(label_windows(rows, first, last))
        if sample_weight is not None:
            weights = tf.reshape(tf.cast(sample_weight, tf.float32), [-1])
            rows["sample_weight"] = tf.gather(weights, rows["example_index"])
        fits = tf.where(~tf.gather(is_misfit, rows["example_index"]))[:, 0]
        rows = {key: tf.gather(row, fits) for key, row in rows.items()}
        return rows, is_misfit

    def best_answers(
        self,
        context,
        rows,
        logits,
        n_best: int = 1,
        max_answer_length: int = 30,
    ):
        """Finds the best answers to questions, as TensorFlow graph code.

        Args:
            context: The strings that were given to `windows`.
            rows: The dict that `windows` returned.
            logits: A dict of `start` and `end`, floats of shape
                `(rows, sequence_length)`.
            n_best: int. The number of answers for each question. Defaults to
                `1`.
            max_answer_length: int. The longest answer in tokens. Defaults to
                `30`.

        Returns:
            A dict of tensors of shape `(batch, n_best)`, best first: `text`,
            which is `context[start:end]`; `score`, the sum of two logits;
            `probability`, the softmax of the scores of all possible answers and
            of none; `start` and `end`, in characters. Where a passage has fewer
            answers, these are an empty text, -1e9, and -1. `null_score` and
            `null_probability`, of shape `(batch,)`, are those of no answer, in
            the window where they are lowest.

        Raises:
            ValueError: if `n_best` or `max_answer_length` is not positive.
        """
        _check_positive(n_best=n_best, max_answer_length=max_answer_length)
        rows = {key: row for key, row in rows.items() if key in _SPAN_KEYS}
        return self._best_answers(
            (context, rows, logits),
            n_best=n_best,
            max_answer_length=max_answer_length,
        )

    @graph_preprocessing
    def _best_answers(self, inputs, *, n_best, max_answer_length):
        context, rows, logits = inputs
        context = tf.reshape(context, [-1, 1])
        spans = best_spans(
            rows,
            logits["start"],
            logits["end"],
            tf.size(context),
            self.doc_stride,
            n_best,
            max_answer_length,
        )
        text = tf.strings.substr(
            tf.repeat(context, n_best, axis=1),
            tf.maximum(spans["start"], 0),
            spans["end"] - spans["start"],
            unit="UTF8_CHAR",
        )
        return {"text": text, **spans}


def _check_positive(**values):
    for name, value in values.items():
        if value < 1:
            raise ValueError(
                f"`{name}` must be at least 1. Received: {name}={value}"
            )
