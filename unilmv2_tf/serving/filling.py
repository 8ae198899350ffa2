"""The signatures `fill` and `fill_ids`."""

import numpy as np
import tensorflow as tf

from unilmv2_tf.preprocessing.packing import assemble_rows
from unilmv2_tf.serving.inputs import default_buckets
from unilmv2_tf.serving.inputs import readable
from unilmv2_tf.serving.inputs import shortened
from unilmv2_tf.serving.inputs import traced_once
from unilmv2_tf.serving.inputs import with_a_row
from unilmv2_tf.serving.inputs import without_server_padding

MASK = "[MASK]"


class Fill:
    """Text with gaps in, words for them out.

        fill      text                    (batch,)           string
                  -> candidates           (batch, gaps, k)   string
                     probabilities        (batch, gaps, k)   float32
        fill_ids  token_ids, segment_ids,
                  padding_mask            (batch, n)         int32
                  -> candidate_ids        (batch, gaps, k)   int32
                     probabilities        (batch, gaps, k)   float32

    A gap is written `[MASK]`, anywhere in the text: `"The [MASK] fox."`. A
    candidate is one WordPiece. There are as many gaps as in the text with the
    most, `max_gaps` at most, from left to right; where a text has fewer, its
    candidates are `""` (or 0) and their probabilities 0.

    Args:
        task: a `UniLMv2PseudoMaskedLM` or `UniLMv2Seq2SeqLM` with a
            preprocessor: both have the head.
        num_candidates: int. How many candidates each gap gets, `k`. Defaults
            to `5`.
        max_gaps: int. Defaults to `16`.
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
    >>> endpoint = Fill(UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8),
    ...     UniLMv2Seq2SeqLMPreprocessor(tokenizer)), num_candidates=2)
    >>> endpoint.rows_of(["the [MASK]fox"])["token_ids"][0, :6].tolist()
    [2, 5, 4, 6, 3, 0]
    """

    name = "fill"
    id_inputs = ("token_ids", "segment_ids", "padding_mask")
    is_deterministic = True

    def __init__(
        self,
        task,
        num_candidates=5,
        max_gaps=16,
        sequence_length=None,
        buckets="auto",
    ):
        tokenizer = task.preprocessor.tokenizer
        positions = task.backbone.max_sequence_length
        if sequence_length is None:
            sequence_length = positions
        for name, value, least, most in (
            ("num_candidates", num_candidates, 1, tokenizer.vocabulary_size()),
            ("max_gaps", max_gaps, 1, positions),
            ("sequence_length", sequence_length, 3, positions),
        ):
            if not least <= value <= most:
                raise ValueError(
                    f"`{name}` must be in [{least}, {most}]. Received: "
                    f"{name}={value}"
                )
        self.task = task
        self.tokenizer = tokenizer
        self.num_candidates = num_candidates
        self.max_gaps = max_gaps
        self.sequence_length = sequence_length
        self.buckets = (
            default_buckets(sequence_length) if buckets == "auto" else buckets
        )
        self._candidates = traced_once(self._computed, 3)

    @property
    def text_signatures(self):
        """Signatures that take strings: name -> function and input names."""
        return {"fill": (self.from_text, ("text",))}

    @property
    def id_signatures(self):
        """Signatures that take integers: name -> function and input names."""
        return {"fill_ids": (self.from_ids, self.id_inputs)}

    def from_text(self, text):
        """The signature `fill`."""
        return with_a_row(self._from_text, text=text)

    def from_ids(self, token_ids, segment_ids, padding_mask):
        """The signature `fill_ids`."""
        return with_a_row(
            self._from_ids,
            token_ids=token_ids,
            segment_ids=segment_ids,
            padding_mask=padding_mask,
        )

    def _from_text(self, text):
        rows = self._rows(readable(text))
        found = self._candidates(*(rows[name] for name in self.id_inputs))
        words = tf.gather(
            tf.constant(self.tokenizer.get_vocabulary()),
            found["candidate_ids"],
        )
        return {
            "candidates": tf.where(found["probabilities"] > 0, words, ""),
            "probabilities": found["probabilities"],
        }

    def _from_ids(self, token_ids, segment_ids, padding_mask):
        padding_mask = without_server_padding(
            token_ids, padding_mask, self.tokenizer.cls_token_id
        )
        return self._candidates(token_ids, segment_ids, padding_mask)

    def _rows(self, texts):
        """`[CLS] text [SEP]`, where `[MASK]` stands for itself."""
        parts = tf.strings.split(texts, MASK)
        pieces = self.tokenizer(parts.flat_values)
        # A gap follows each part, and the last one of each text is too much.
        gaps = tf.fill(
            [pieces.nrows(), 1],
            tf.cast(self.tokenizer.mask_token_id, pieces.dtype),
        )
        tokens = parts.with_flat_values(tf.concat([pieces, gaps], axis=1))
        tokens = tokens.merge_dims(1, 2)[:, :-1]
        tokens = tokens[:, : self.sequence_length - 2]
        num_tokens = tokens.row_lengths()
        return assemble_rows(
            tokens.to_tensor(), num_tokens, num_tokens,
            self.tokenizer, self.sequence_length,
        )  # fmt: skip

    def _computed(self, *rows):
        rows = dict(zip(self.id_inputs, rows))
        rows = shortened(rows, "padding_mask", self.buckets)
        is_gap = (rows["token_ids"] == self.tokenizer.mask_token_id) & (
            rows["padding_mask"] > 0
        )
        places = tf.ragged.boolean_mask(
            tf.range(tf.shape(is_gap)[1]) + tf.zeros_like(rows["token_ids"]),
            is_gap,
        )[:, : self.max_gaps]
        is_used = tf.sequence_mask(places.row_lengths())[..., tf.newaxis]
        hidden_states = tf.gather(
            self.task.backbone(rows, training=False),
            places.to_tensor(),
            batch_dims=1,
        )
        logits = self.task.language_model_head(hidden_states)
        probabilities, token_ids = tf.math.top_k(
            tf.nn.softmax(tf.cast(logits, tf.float32)), self.num_candidates
        )
        return {
            "candidate_ids": tf.where(is_used, token_ids, 0),
            "probabilities": tf.where(is_used, probabilities, 0.0),
        }

    def rows_of(self, text):
        """What `fill_ids` is given for texts, a dict of arrays.

        The texts are taken apart in Python, not by the code that is exported.
        """
        parts = [one.split(MASK) for one in text]
        flat = tf.constant([part for one in parts for part in one], tf.string)
        # Op by op, KerasHub would tokenize a megabyte in Python.
        pieces = iter(tf.function(self.tokenizer)(flat).to_list())

        length = self.sequence_length
        rows = {
            name: np.zeros((len(text), length), "int32")
            for name in self.id_inputs
        }
        for row, one in enumerate(parts):
            tokens = []
            for _ in one:
                tokens += [*next(pieces), self.tokenizer.mask_token_id]
            tokens = tokens[:-1][: length - 2]
            tokens = [
                self.tokenizer.cls_token_id,
                *tokens,
                self.tokenizer.sep_token_id,
            ]
            rows["token_ids"][row] = self.tokenizer.pad_token_id
            rows["token_ids"][row, : len(tokens)] = tokens
            rows["padding_mask"][row, : len(tokens)] = 1
        return rows

    def live_from_text(self, text):
        """What backbone and head give, without any of the above.

        Args:
            text: list of strings.

        Returns:
            A dict of arrays and lists, as the signature returns it.
        """
        found = self.live_from_ids(text)
        vocabulary = np.array(self.tokenizer.get_vocabulary(), object)
        is_used = found["probabilities"] > 0
        return {
            "candidates": np.where(
                is_used, vocabulary[found["candidate_ids"]], ""
            ).tolist(),
            "probabilities": found["probabilities"],
        }

    def live_from_ids(self, text):
        """The same for `fill_ids`, of rows that are made of texts."""
        rows = self.rows_of(text)
        hidden_states = self.task.backbone(rows, training=False)
        is_gap = rows["token_ids"] == self.tokenizer.mask_token_id
        num_gaps = min(is_gap.sum(axis=1).max(), self.max_gaps)
        shape = (len(text), num_gaps, self.num_candidates)
        ids, probabilities = (
            np.zeros(shape, "int32"),
            np.zeros(shape, "float32"),
        )
        for row in range(len(text)):
            for gap, place in enumerate(np.flatnonzero(is_gap[row])[:num_gaps]):
                logits = self.task.language_model_head(
                    hidden_states[row : row + 1, place : place + 1]
                )
                logits = np.asarray(logits, "float64")[0, 0]
                share = np.exp(logits - logits.max())
                share /= share.sum()
                best = np.argsort(-share, kind="stable")[: shape[2]]
                ids[row, gap], probabilities[row, gap] = best, share[best]
        return {"candidate_ids": ids, "probabilities": probabilities}

    def describe(self):
        """What a client may want to know, a dict for JSON."""
        return {
            "sequence_length": self.sequence_length,
            "mask": MASK,
            "num_candidates": self.num_candidates,
            "max_gaps": self.max_gaps,
            "buckets": self.buckets,
        }
