"""The signatures `encode` and `encode_ids`."""

import tensorflow as tf

from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.serving.endpoint import Endpoint

_POOLINGS = ("mean", "cls")


class Encode(Endpoint):
    """Text in, vectors out.

        encode      text                (batch,)                string
        encode_ids  token_ids, segment_ids,
                    padding_mask        (batch, n)              int32
                    -> sentence_vector  (batch, hidden_dim)     float32
                       token_vectors    (batch, n, hidden_dim)  float32
                       padding_mask     (batch, n)              int32

    A text is read as `[CLS] text [SEP]`, cut at the positions of the backbone.
    Vectors of padding are 0. From text, `n` is the length of the longest text
    of the batch, or a bucket above it.

    Args:
        task: any task with a preprocessor: its backbone and its tokenizer are
            used. It is not changed.
        pooling: `"mean"`, the mean of the vectors of all tokens, or `"cls"`,
            the vector of `[CLS]`, as the sentence vector. Defaults to
            `"mean"`.
        buckets: see `Endpoint`. Defaults to `"auto"`.

    Raises:
        ValueError: if `pooling` is another word.

    Example:

        task = UniLMv2Seq2SeqLM.from_preset("summaries/preset")
        export_model(Encode(task, pooling="cls"), "models/vectors")
    """

    name = "encode"
    text_signatures = {"encode": ("text",)}
    per_token_outputs = ("token_vectors", "padding_mask")
    runs_on_litert = True

    def __init__(self, task, pooling="mean", buckets="auto"):
        if pooling not in _POOLINGS:
            raise ValueError(
                f"`pooling` must be one of {', '.join(_POOLINGS)}. Received: "
                f"pooling={pooling!r}"
            )
        length = task.backbone.max_sequence_length
        super().__init__(task, length, buckets)
        self.pooling = pooling
        self.preprocessor = UniLMv2TextClassifierPreprocessor(
            self.tokenizer, sequence_length=length
        )

    def compute(self, rows):
        rows = self.shorten(rows)
        # LiteRT has no `[..., None]` on tensors of dynamic shape.
        padding_mask = tf.expand_dims(rows["padding_mask"], -1)
        is_token = tf.cast(padding_mask > 0, tf.float32)
        vectors = self.task.backbone(rows, training=False)
        vectors = tf.cast(vectors, tf.float32) * is_token
        sentence_vector = vectors[:, 0]
        if self.pooling == "mean":
            sentence_vector = tf.math.divide_no_nan(
                tf.reduce_sum(vectors, axis=1), tf.reduce_sum(is_token, axis=1)
            )
        return {
            "sentence_vector": sentence_vector,
            "token_vectors": vectors,
            "padding_mask": tf.cast(rows["padding_mask"], tf.int32),
        }
