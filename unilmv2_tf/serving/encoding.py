"""The signatures `encode` and `encode_ids`."""

import numpy as np
import tensorflow as tf

from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.serving.inputs import default_buckets
from unilmv2_tf.serving.inputs import readable
from unilmv2_tf.serving.inputs import shortened
from unilmv2_tf.serving.inputs import traced_once
from unilmv2_tf.serving.inputs import with_a_row
from unilmv2_tf.serving.inputs import without_server_padding

POOLINGS = ("mean", "cls")


class Encode:
    """Text in, vectors out.

        encode      text                (batch,)             string
        encode_ids  token_ids, segment_ids,
                    padding_mask        (batch, n)           int32
                    -> sentence_vector  (batch, hidden_dim)     float32
                       token_vectors    (batch, n, hidden_dim)  float32
                       padding_mask     (batch, n)              int32

    A text is read as `[CLS] text [SEP]`. The sentence vector is the mean of
    the vectors of all its tokens, or the one of `[CLS]`. Vectors of padding
    are 0; from text, `n` is as long as the longest of the batch needs.

    Args:
        task: any task with a preprocessor, of which the backbone and the
            tokenizer are taken.
        pooling: `"mean"` or `"cls"`. Defaults to `"mean"`.
        sequence_length: int. The longest text in tokens. Defaults to `None`:
            the positions of the backbone.
        buckets: tuple of ints, or `None` to pad every text to the full length.
            Defaults to `"auto"`, see `default_buckets`.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> endpoint = Encode(UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8),
    ...     UniLMv2Seq2SeqLMPreprocessor(tokenizer)))
    >>> vectors = endpoint.live_from_text(["the fox"])
    >>> vectors["sentence_vector"].shape, vectors["token_vectors"].shape
    ((1, 8), (1, 4, 8))
    """

    name = "encode"
    id_inputs = ("token_ids", "segment_ids", "padding_mask")
    is_deterministic = True

    def __init__(
        self, task, pooling="mean", sequence_length=None, buckets="auto"
    ):
        if pooling not in POOLINGS:
            raise ValueError(
                f"`pooling` must be one of {', '.join(POOLINGS)}. Received: "
                f"pooling={pooling!r}"
            )
        positions = task.backbone.max_sequence_length
        if sequence_length is None:
            sequence_length = positions
        if not 5 <= sequence_length <= positions:
            raise ValueError(
                "`sequence_length` must be at least 5, and at most the "
                f"{positions} positions of the backbone. Received: "
                f"sequence_length={sequence_length}"
            )
        self.task = task
        self.backbone = task.backbone
        self.pooling = pooling
        self.preprocessor = UniLMv2TextClassifierPreprocessor(
            task.preprocessor.tokenizer, sequence_length=sequence_length
        )
        self.buckets = (
            default_buckets(sequence_length) if buckets == "auto" else buckets
        )
        self._vectors = traced_once(self._computed, 3)

    @property
    def text_signatures(self):
        """Signatures that take strings: name -> function and input names."""
        return {"encode": (self.from_text, ("text",))}

    @property
    def id_signatures(self):
        """Signatures that take integers: name -> function and input names."""
        return {"encode_ids": (self.from_ids, self.id_inputs)}

    def from_text(self, text):
        """The signature `encode`."""
        return with_a_row(self._from_text, text=text)

    def from_ids(self, token_ids, segment_ids, padding_mask):
        """The signature `encode_ids`."""
        return with_a_row(
            self._from_ids,
            token_ids=token_ids,
            segment_ids=segment_ids,
            padding_mask=padding_mask,
        )

    def _from_text(self, text):
        rows = self.preprocessor({"text": readable(text)})
        return self._vectors(*(rows[name] for name in self.id_inputs))

    def _from_ids(self, token_ids, segment_ids, padding_mask):
        padding_mask = without_server_padding(
            token_ids, padding_mask, self.preprocessor.tokenizer.cls_token_id
        )
        num_columns = tf.shape(token_ids)[1] - 1
        outputs = self._vectors(token_ids, segment_ids, padding_mask)
        # A bucket may hold the column that was added.
        return {
            name: x if name == "sentence_vector" else x[:, :num_columns]
            for name, x in outputs.items()
        }

    def lite(self, token_ids, segment_ids, padding_mask):
        """The signature `encode_ids` of a device, which nobody pads."""
        return self._computed(token_ids, segment_ids, padding_mask)

    def _computed(self, *rows):
        rows = dict(zip(self.id_inputs, rows))
        rows = shortened(rows, "padding_mask", self.buckets)
        vectors = tf.cast(self.backbone(rows, training=False), tf.float32)
        is_token = tf.expand_dims(rows["padding_mask"] > 0, -1)
        is_token = tf.cast(is_token, tf.float32)
        vectors *= is_token
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

    def rows_of(self, text):
        """What `encode_ids` is given for texts, a dict of arrays."""
        rows = self.preprocessor(list(text))
        return {name: np.asarray(rows[name]) for name in self.id_inputs}

    def live_from_text(self, text):
        """What the backbone itself gives, without any of the above.

        Args:
            text: list of strings.

        Returns:
            A dict of arrays, as the signature returns it.
        """
        rows = self.rows_of(text)
        vectors = np.asarray(self.backbone(rows, training=False), "float32")
        mask = rows["padding_mask"]
        width = mask.sum(axis=1).max()
        vectors, mask = vectors[:, :width], mask[:, :width]
        vectors = np.where(mask[..., None] > 0, vectors, 0)
        if self.pooling == "cls":
            sentence_vector = vectors[:, 0]
        else:
            sentence_vector = vectors.sum(axis=1) / mask.sum(
                axis=1, keepdims=True
            )
        return {
            "sentence_vector": sentence_vector.astype("float32"),
            "token_vectors": vectors,
            "padding_mask": mask,
        }

    def live_from_ids(self, text):
        """The same for `encode_ids`, of rows that are made of texts."""
        return self.live_from_text(text)

    def describe(self):
        """What a client may want to know, a dict for JSON."""
        return {
            "sequence_length": self.preprocessor.sequence_length,
            "hidden_dim": self.backbone.hidden_dim,
            "pooling": self.pooling,
            "buckets": self.buckets,
        }
