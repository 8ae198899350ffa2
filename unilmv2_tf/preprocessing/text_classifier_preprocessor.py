import keras
import keras_hub
from keras import ops

from unilmv2_tf.preprocessing.packing import assemble_rows
from unilmv2_tf.preprocessing.tensorflow_graph import GraphPreprocessor
from unilmv2_tf.preprocessing.tensorflow_graph import batched
from unilmv2_tf.preprocessing.tensorflow_graph import graph_preprocessing
from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import to_backend
from unilmv2_tf.preprocessing.tensorflow_graph import unbatched
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer

# Names of classes that an error message lists.
_NUM_SHOWN = 20


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2TextClassifierPreprocessor(
    GraphPreprocessor, keras_hub.models.TextClassifierPreprocessor
):
    """Turns texts, or pairs of texts, into rows for classification.

    A text becomes `[CLS] A [SEP]`, a pair `[CLS] A [SEP] B [SEP]`. With the
    tokens `7 8 9 10` and `5 6`, in rows of eight:

        token_ids     2 7 8 9 3 5 6 3        2 is [CLS], 3 [SEP]
        segment_ids   0 0 0 0 0 1 1 1
        padding_mask  1 1 1 1 1 1 1 1

    A text without tokens is allowed: alone it becomes `[CLS] [SEP]`, as the
    first of a pair `[CLS] [SEP] B [SEP]`, as the second `[CLS] A [SEP]`.

    Args:
        tokenizer: A `UniLMv2Tokenizer`.
        sequence_length: int. The length of the rows. Defaults to `512`.
        truncate: `"round_robin"` or `"waterfall"`. Which tokens of a long pair
            are kept: alternately one of each text, or those of the first text
            first. Defaults to `"round_robin"`.
        label_names: list of strings, the classes in the order of their ids.
            With them, labels may be strings. Defaults to `None`.
        **kwargs: See `keras.layers.Layer`.

    Call arguments:
        x: Texts, pairs of texts as a tuple of two (a lone tuple is a pair, not
            a text and its label), or a dict: `text`, or `text_a` and `text_b`;
            other keys are ignored. One example or a batch.
        y: Names of classes, which become int32 ids, or numbers. Defaults to
            `None`.
        sample_weight: Passed through. Defaults to `None`.

    Returns:
        A dict of `token_ids`, `segment_ids` and `padding_mask`, int32 tensors
        of shape `(batch, sequence_length)`; with `y` and `sample_weight`, a
        tuple with these.

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
    """

    tokenizer_cls = UniLMv2Tokenizer
    _config_names = ("label_names",)

    def __init__(
        self,
        tokenizer,
        sequence_length: int = 512,
        truncate: str = "round_robin",
        label_names: list[str] | None = None,
        **kwargs,
    ):
        if sequence_length < 5:
            raise ValueError(
                "`sequence_length` must be at least 5: a pair of tokens and "
                "three special ones. Received: "
                f"sequence_length={sequence_length}"
            )
        if truncate not in ("round_robin", "waterfall"):
            raise ValueError(
                "`truncate` must be 'round_robin' or 'waterfall'. Received: "
                f"truncate={truncate!r}"
            )
        super().__init__(
            tokenizer,
            sequence_length=sequence_length,
            truncate=truncate,
            **kwargs,
        )
        self.label_names = label_names

    @property
    def label_names(self) -> list[str] | None:
        """The names of the classes, or `None`."""
        return None if self._label_names is None else [*self._label_names]

    @label_names.setter
    def label_names(self, label_names):
        self._label_names = check_label_names(label_names)

    def __call__(self, x, y=None, sample_weight=None):
        # KerasHub would take a lone pair of texts for a text and its label.
        return super().__call__(x, y=y, sample_weight=sample_weight)

    def call(self, x, y=None, sample_weight=None):
        rows = self._rows(segments_of(x))
        labels = None if y is None else self.label_ids(y)
        return keras.utils.pack_x_y_sample_weight(rows, labels, sample_weight)

    def label_ids(self, y):
        """Maps names of classes to ids; numbers are passed through.

        Args:
            y: Names of classes, or numbers; one or a batch.

        Returns:
            A tensor of the same shape: int32 ids for names.

        Raises:
            ValueError: if there are names, but not among `label_names`.
        """
        labels = y
        if not isinstance(y, tf.Tensor):
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
                labels = _ids_of_names(labels, self._label_names)
        return to_backend(labels) if tf.executing_eagerly() else labels

    @graph_preprocessing
    def _rows(self, segments):
        segments, is_single = batched(segments)
        if "text" in segments:
            token_ids = self.tokenizer(segments["text"])
            token_ids = token_ids[:, : self.sequence_length - 2]
            num_tokens = num_first = token_ids.row_lengths()
            token_ids = token_ids.to_tensor()
        else:
            texts = (segments["text_a"], segments["text_b"])
            token_ids, num_tokens, num_first = _joined(
                *(self.tokenizer(x)[:, : self.sequence_length] for x in texts),
                self.sequence_length,
                self.truncate,
            )
        rows = assemble_rows(
            token_ids,
            num_tokens,
            num_first,
            self.tokenizer,
            self.sequence_length,
        )
        return unbatched(rows) if is_single else rows


def segments_of(x):
    """Returns a dict of `text`, or of `text_a` and `text_b`."""
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


def _joined(first, second, sequence_length, truncate):
    """Concatenates both texts of each pair, truncated to what fits."""
    num_first = tf.cast(first.row_lengths(), tf.int32)
    num_second = tf.cast(second.row_lengths(), tf.int32)
    # A second text brings a third special token.
    room = sequence_length - 2 - tf.cast(num_second > 0, tf.int32)
    if truncate == "round_robin":
        half = (room + 1) // 2
        num_first = tf.minimum(num_first, tf.maximum(room - num_second, half))
    else:
        num_first = tf.minimum(num_first, room)
    num_second = tf.minimum(num_second, room - num_first)

    joined = tf.concat(
        [_first_tokens(first, num_first), _first_tokens(second, num_second)],
        axis=1,
    )
    return joined.to_tensor(), num_first + num_second, num_first


def _first_tokens(token_ids, num_tokens):
    return tf.RaggedTensor.from_tensor(token_ids.to_tensor(), num_tokens)


def check_label_names(label_names):
    """Returns the names of the classes as a tuple, or `None`."""
    if label_names is None:
        return None
    names = () if isinstance(label_names, str) else tuple(label_names)
    if (
        len(set(names)) < 2
        or len(set(names)) < len(names)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(
            "`label_names` must be at least two different strings, in the "
            f"order of their ids. Received: label_names={label_names}. For "
            "regression leave it out."
        )
    return names


def _ids_of_names(labels, label_names):
    """Maps names of classes to int32 ids, in a graph or eagerly."""
    # A lookup table would have a state, which graphs and exports must track.
    is_label = labels[..., tf.newaxis] == tf.constant(label_names)
    is_known = tf.reduce_any(is_label, axis=-1)
    # A single label is a scalar, which has no boolean mask.
    unknown = tf.reshape(labels, [-1])[~tf.reshape(is_known, [-1])]
    before = "`y` must hold names of classes. Received: y="
    shown = ", ".join(label_names[:_NUM_SHOWN])
    if len(label_names) > _NUM_SHOWN:
        shown += f", ... ({len(label_names)} in all)"
    after = f". The names are: {shown}."
    if tf.executing_eagerly():
        if len(unknown):
            label = unknown[0].numpy().decode(errors="replace")
            raise ValueError(before + label + after)
        return tf.argmax(is_label, axis=-1, output_type=tf.int32)
    first = tf.strings.reduce_join(unknown[:1])
    check = tf.debugging.Assert(
        tf.reduce_all(is_known), [tf.strings.join([before, first, after])]
    )
    with tf.control_dependencies([check]):
        return tf.argmax(is_label, axis=-1, output_type=tf.int32)
