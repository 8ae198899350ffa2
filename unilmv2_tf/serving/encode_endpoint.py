"""The signatures `encode` and `encode_ids`."""

import tensorflow as tf

from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.serving.endpoint import Endpoint
from unilmv2_tf.serving.endpoint import check_range

_POOLINGS = ("mean", "cls")


class Encode(Endpoint):
    """Text in, vectors out.

        encode      text                (batch,)                string
        encode_ids  token_ids, segment_ids,
                    padding_mask        (batch, n)              int32
                    -> sentence_vector  (batch, hidden_dim)     float32
                       token_vectors    (batch, n, hidden_dim)  float32
                       padding_mask     (batch, n)              int32

    A text is read as `[CLS] text [SEP]`. Vectors of padding are 0. From text,
    `n` is the length of the longest text of the batch, or a bucket above it.

    Args:
        task: any task with a preprocessor: its backbone and its tokenizer are
            used. It is not changed.
        pooling: `"mean"`, the mean of the vectors of all tokens, or `"cls"`,
            the vector of `[CLS]`, as the sentence vector. Defaults to
            `"mean"`.
        sequence_length: int. The longest text in tokens. Defaults to `None`,
            the positions of the backbone.
        buckets: see `Endpoint`. Defaults to `"auto"`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> from unilmv2_tf import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor, UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> endpoint = Encode(UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8),
    ...     UniLMv2Seq2SeqLMPreprocessor(tokenizer)))
    >>> endpoint.describe()["hidden_dim"]
    8
    """

    name = "encode"
    text_signatures = {"encode": ("text",)}
    per_token_outputs = ("token_vectors", "padding_mask")
    runs_on_litert = True

    def __init__(
        self, task, pooling="mean", sequence_length=None, buckets="auto"
    ):
        positions = task.backbone.max_sequence_length
        if sequence_length is None:
            sequence_length = positions
        check_range("sequence_length", sequence_length, 5, positions)
        if pooling not in _POOLINGS:
            raise ValueError(
                f"`pooling` must be one of {', '.join(_POOLINGS)}. Received: "
                f"pooling={pooling!r}"
            )
        super().__init__(task, sequence_length, buckets)
        self.pooling = pooling
        self.preprocessor = UniLMv2TextClassifierPreprocessor(
            self.tokenizer, sequence_length=sequence_length
        )

    def compute(self, rows):
        rows = self.shorten(rows)
        # LiteRT has no `[..., None]` on tensors of dynamic shape.
        padding_mask = tf.expand_dims(rows["padding_mask"], -1)
        is_token = tf.cast(padding_mask > 0, tf.float32)
        vectors = self.task.backbone(rows, training=False)
        vectors = tf.cast(vectors, tf.float32) * is_token
        if self.pooling == "cls":
            sentence_vector = vectors[:, 0]
        else:
            sentence_vector = tf.math.divide_no_nan(
                tf.reduce_sum(vectors, axis=1), tf.reduce_sum(is_token, axis=1)
            )
        return {
            "sentence_vector": sentence_vector,
            "token_vectors": vectors,
            "padding_mask": tf.cast(rows["padding_mask"], tf.int32),
        }

    def describe(self):
        return {
            **super().describe(),
            "hidden_dim": self.task.backbone.hidden_dim,
            "pooling": self.pooling,
        }
