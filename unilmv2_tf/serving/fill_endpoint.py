"""The signatures `fill` and `fill_ids`."""

import tensorflow as tf

from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.preprocessing.packing import assemble_rows
from unilmv2_tf.serving.endpoint import Endpoint
from unilmv2_tf.serving.endpoint import check_range

MASK = "[MASK]"
# Bounds the memory of a request.
_MAX_GAPS = 16


class Fill(Endpoint):
    """Text with gaps in, words for them out.

        fill      text                    (batch,)           string
                  -> candidates           (batch, gaps, k)   string
                     probabilities        (batch, gaps, k)   float32
        fill_ids  token_ids, segment_ids,
                  padding_mask            (batch, n)         int32
                  -> candidate_ids        (batch, gaps, k)   int32
                     probabilities        (batch, gaps, k)   float32

    A gap is written `[MASK]`, anywhere in the text: `"The [MASK] fox."`. A
    candidate is one WordPiece. `gaps` is the number of gaps in the text with
    the most, at most 16, from left to right. Where a text has fewer, its
    candidates are `""` (or 0) and their probabilities 0.

    Args:
        task: a `UniLMv2PseudoMaskedLM` or `UniLMv2Seq2SeqLM` with a
            preprocessor. It is not changed.
        num_candidates: int. The number of candidates for each gap, `k`.
            Defaults to `5`.
        buckets: see `Endpoint`. Defaults to `"auto"`.

    Raises:
        ValueError: if `num_candidates` is out of range.

    Example:

        task = UniLMv2PseudoMaskedLM.from_preset("pretrained/preset")
        export_model(Fill(task, num_candidates=3), "models/words")
    """

    name = "fill"
    tasks = (UniLMv2PseudoMaskedLM, UniLMv2Seq2SeqLM)
    default_for = UniLMv2PseudoMaskedLM
    text_signatures = {"fill": ("text",)}
    examples = {"text": "The quick brown [MASK] jumps over the lazy dog."}

    def __init__(self, task, num_candidates=5, buckets="auto"):
        super().__init__(task, task.backbone.max_sequence_length, buckets)
        size = self.tokenizer.vocabulary_size()
        check_range("num_candidates", num_candidates, 1, size)
        self.num_candidates = num_candidates

    def rows(self, text):
        parts = tf.strings.split(text, MASK)
        pieces = self.tokenizer(parts.flat_values)
        # A gap follows each part; the last one of each text is dropped.
        mask = tf.cast(self.tokenizer.mask_token_id, pieces.dtype)
        pieces = tf.concat([pieces, tf.fill([pieces.nrows(), 1], mask)], axis=1)
        tokens = parts.with_flat_values(pieces).merge_dims(1, 2)[:, :-1]
        tokens = tokens[:, : self.sequence_length - 2]
        num_tokens = tokens.row_lengths()
        return assemble_rows(
            tokens.to_tensor(), num_tokens, num_tokens,
            self.tokenizer, self.sequence_length,
        )  # fmt: skip

    def compute(self, rows):
        rows = self.shorten(rows)
        is_gap = (rows["token_ids"] == self.tokenizer.mask_token_id) & (
            rows["padding_mask"] > 0
        )
        columns = tf.math.cumsum(tf.ones_like(rows["token_ids"]), axis=1) - 1
        gaps = tf.ragged.boolean_mask(columns, is_gap)[:, :_MAX_GAPS]
        is_used = tf.sequence_mask(gaps.row_lengths())[..., tf.newaxis]
        hidden_states = tf.gather(
            self.task.backbone(rows, training=False),
            gaps.to_tensor(),
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

    def as_text(self, outputs):
        words = tf.gather(
            tf.constant(self.tokenizer.get_vocabulary()),
            outputs["candidate_ids"],
        )
        return {
            "candidates": tf.where(outputs["probabilities"] > 0, words, ""),
            "probabilities": outputs["probabilities"],
        }

    def probes(self, inputs, plain, hostile):
        texts = plain + hostile
        return {"text": [text.replace(b" ", b" [MASK] ", 1) for text in texts]}
