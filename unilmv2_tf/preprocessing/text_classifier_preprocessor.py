import keras
import keras_hub
from keras import ops

from unilmv2_tf.preprocessing.graph import graph_preprocessing
from unilmv2_tf.preprocessing.labels import check_label_names
from unilmv2_tf.preprocessing.labels import label_ids
from unilmv2_tf.preprocessing.libraries import tf
from unilmv2_tf.preprocessing.rows import assemble_rows
from unilmv2_tf.preprocessing.rows import batched
from unilmv2_tf.preprocessing.rows import unbatched
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2TextClassifierPreprocessor(
    keras_hub.models.TextClassifierPreprocessor
):
    """Turns texts, or pairs of texts, into rows for classification.

    A text becomes `[CLS] A [SEP]`, a pair `[CLS] A [SEP] B [SEP]`. A pair that
    is too long loses tokens at the end of its longer text until both fit; of
    texts of one length the second loses the first token. With the tokens
    `7 8 9 10` and `5 6`, in rows of eight:

        token_ids     2 7 8 9 3 5 6 3        2 is [CLS], 3 [SEP]
        segment_ids   0 0 0 0 0 1 1 1
        padding_mask  1 1 1 1 1 1 1 1

    A text without tokens is allowed: alone it becomes `[CLS] [SEP]`, as the
    first of a pair `[CLS] [SEP] B [SEP]`, as the second `[CLS] A [SEP]`.

    Args:
        tokenizer: a `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows, special tokens included.
            Defaults to `512`.
        label_names: list of strings, the classes in the order of their ids.
            With them, labels may be strings. Defaults to `None`.
        **kwargs: see `keras.layers.Layer`.

    Call arguments:
        x: texts, pairs of texts as a tuple of two (a lone tuple is a pair, not
            a text and its label), or a dict: `text`, or `text_a` and `text_b`;
            other keys are ignored. One example or a batch.
        y: names of classes, which become int32 ids, or numbers, which pass as
            they are. Defaults to `None`.
        sample_weight: passed on. Defaults to `None`.

    Returns:
        A dict of `token_ids`, `segment_ids` and `padding_mask`, int32 tensors
        of shape `(batch, sequence_length)`; with `y`, a tuple of it and the
        labels, and with `sample_weight` also those.

    Raises:
        ValueError: if an argument is out of range, `x` is none of the above,
            or a label is not one of the names (inside `tf.data`, an
            `InvalidArgumentError` with the same text).

    Example:

    >>> from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> preprocessor = UniLMv2TextClassifierPreprocessor(
    ...     tokenizer, sequence_length=8, label_names=["no", "yes"])
    >>> x, y = preprocessor((["the fox"], ["fox"]), ["yes"])
    >>> x["token_ids"].numpy().tolist(), y.numpy().tolist()
    ([[2, 5, 6, 3, 6, 3, 0, 0]], [1])

    Reference:
        Bao et al., 2020, section 3.4; Devlin et al., 2019, section 4.1.
    """

    tokenizer_cls = UniLMv2Tokenizer

    def __init__(
        self, tokenizer, sequence_length=512, label_names=None, **kwargs
    ):
        if "truncate" in kwargs:
            raise TypeError(
                "`UniLMv2TextClassifierPreprocessor` has no argument "
                "`truncate`: the longer text of a pair loses tokens."
            )
        if sequence_length < 5:
            raise ValueError(
                "`sequence_length` must be at least 5: a pair of tokens and "
                "three special ones. Received: "
                f"sequence_length={sequence_length}"
            )
        super().__init__(tokenizer, sequence_length=sequence_length, **kwargs)
        self.label_names = label_names

    @property
    def label_names(self):
        """List of the names of the classes, or `None`."""
        return None if self._label_names is None else [*self._label_names]

    @label_names.setter
    def label_names(self, label_names):
        self._label_names = check_label_names(label_names)

    def build(self, input_shape):
        self.built = True

    def __call__(self, x, y=None, sample_weight=None):
        # KerasHub would take a lone pair of texts for a text and its label.
        return super().__call__(x, y=y, sample_weight=sample_weight)

    def call(self, x, y=None, sample_weight=None):
        rows = self._rows(_segments(x))
        labels = None if y is None else self.label_ids(y)
        return keras.utils.pack_x_y_sample_weight(rows, labels, sample_weight)

    def label_ids(self, y):
        """Turns labels into what a model is trained on.

        Args:
            y: names of classes, or numbers; one or a batch.

        Returns:
            A tensor of the same shape: int32 ids for names; numbers as they
            are.

        Raises:
            ValueError: if there are names, but not among `label_names`.

        Example:

        >>> from unilmv2_tf.preprocessing import (
        ...     UniLMv2TextClassifierPreprocessor, UniLMv2Tokenizer)
        >>> preprocessor = UniLMv2TextClassifierPreprocessor(
        ...     UniLMv2Tokenizer(
        ...         ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]),
        ...     label_names=["no", "yes"])
        >>> preprocessor.label_ids(["yes", "no", "yes"]).numpy().tolist()
        [1, 0, 1]
        """
        if isinstance(y, tf.Tensor):
            labels = y
        else:
            if ops.is_tensor(y):
                return y
            labels = tf.convert_to_tensor(y)
        if labels.dtype == tf.string:
            if self._label_names is None:
                raise ValueError(
                    "`y` must be numbers if the preprocessor has no "
                    f"`label_names`. Received: y={y}. Give it the names of the "
                    "classes: "
                    "UniLMv2TextClassifierPreprocessor(..., label_names=[...])."
                )
            with tf.device("cpu"):
                labels = label_ids(labels, self._label_names)
        if not tf.executing_eagerly() or (
            keras.backend.backend() == "tensorflow"
        ):
            return labels
        return ops.convert_to_tensor(labels.numpy())

    @graph_preprocessing
    def _rows(self, segments):
        segments, is_single = batched(segments)
        if "text" in segments:
            token_ids = self.tokenizer(segments["text"])
            token_ids = token_ids[:, : self.sequence_length - 2]
            num_tokens = num_first = token_ids.row_lengths()
            token_ids = token_ids.to_tensor()
        else:
            token_ids, num_tokens, num_first = _joined(
                self.tokenizer(segments["text_a"]),
                self.tokenizer(segments["text_b"]),
                self.sequence_length,
            )
        rows = assemble_rows(
            token_ids, num_tokens, num_first,
            self.tokenizer, self.sequence_length,
        )  # fmt: skip
        return unbatched(rows) if is_single else rows

    def get_config(self):
        config = super().get_config()
        # An option of KerasHub's packer, which is not used here.
        del config["truncate"]
        config["label_names"] = self.label_names
        return config


def _segments(x):
    """A dict of `text`, or of `text_a` and `text_b`."""
    if isinstance(x, tuple):
        if len(x) not in (1, 2):
            raise ValueError(
                "`x` must be texts or a tuple of two texts or batches of "
                f"texts. Received: a tuple of {len(x)}. A batch of texts is a "
                "list."
            )
        return dict(zip(("text_a", "text_b") if len(x) == 2 else ("text",), x))
    if not isinstance(x, dict):
        return {"text": x}
    for keys in (("text_a", "text_b"), ("text",)):
        if set(keys) <= set(x):
            return {key: x[key] for key in keys}
    raise ValueError(
        "`x` must have the key `text`, or `text_a` and `text_b`. Received: "
        f"keys {', '.join(sorted(x))}"
    )


def _joined(first, second, sequence_length):
    """Both texts of each pair one after the other, cut to what fits."""
    num_second = tf.cast(second.row_lengths(), tf.int32)
    # A second text brings a third special token.
    room = sequence_length - 2 - tf.cast(num_second > 0, tf.int32)
    num_first = tf.minimum(
        tf.cast(first.row_lengths(), tf.int32),
        tf.maximum(room - num_second, (room + 1) // 2),
    )
    num_second = tf.minimum(num_second, room - num_first)

    first = first[:, :sequence_length].to_tensor()
    second = second[:, :sequence_length].to_tensor()
    width = tf.shape(first)[1]
    num_tokens = num_first + num_second
    place = tf.range(tf.reduce_max(tf.concat([[0], num_tokens], axis=0)))
    in_second = place >= num_first[:, tf.newaxis]
    source = tf.where(
        in_second, place - num_first[:, tf.newaxis] + width, place
    )
    texts = tf.concat([first, second], axis=1)
    # Slots after the last token of a row point anywhere.
    source = tf.minimum(source, tf.shape(texts)[1] - 1)
    return tf.gather(texts, source, batch_dims=1), num_tokens, num_first
