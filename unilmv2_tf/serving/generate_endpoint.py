"""The signatures `generate` and `generate_ids`."""

import copy
import functools

import keras_hub
import tensorflow as tf

from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.samplers import BeamSearchSampler
from unilmv2_tf.samplers import get_sampler
from unilmv2_tf.serving.endpoint import Endpoint
from unilmv2_tf.serving.endpoint import used_widths


class Generate(Endpoint):
    """Text in, generated text out.

        generate      text                     (batch,)    string
                      -> generated_text        (batch,)    string
                         score                 (batch,)    float32
        generate_ids  encoder_token_ids        (batch, n)  int32
                      encoder_padding_mask     (batch, n)  int32
                      -> decoder_token_ids     (batch, m)  int32
                         decoder_padding_mask  (batch, m)  int32
                         score                 (batch,)    float32

    With a sampler that returns several sequences the outputs have a second
    axis, best first. `m` is `max_length`. The score is the one by which the
    beam search ranks (log-probability over length penalty); for other samplers
    it is the sum of the log-probabilities of the tokens, in nats.

    Args:
        task: a `UniLMv2Seq2SeqLM` with a preprocessor. It is not changed.
        max_length: int. The longest target, with its `[SEP]`. Defaults to
            `None`, the `decoder_sequence_length` of the preprocessor.
        sampler: a `BeamSearchSampler`, any KerasHub sampler that chooses token
            by token, or its name. Defaults to `None`, the task's own.
        buckets: see `Endpoint`. Defaults to `"auto"`.

    Raises:
        ValueError: if the sampler cannot be exported, or `max_length` is below
            1 or leaves no positions for the source.

    Example:

        task = UniLMv2Seq2SeqLM.from_preset("summaries/preset")
        export_model(Generate(task, max_length=20), "models/summaries")
    """

    name = "generate"
    tasks = (UniLMv2Seq2SeqLM,)
    default_for = UniLMv2Seq2SeqLM
    text_signatures = {"generate": ("text",)}
    id_inputs = ("encoder_token_ids", "encoder_padding_mask")

    def __init__(self, task, max_length=None, sampler=None, buckets="auto"):
        length = getattr(task.preprocessor, "encoder_sequence_length", None)
        super().__init__(task, length, buckets)
        positions = task.backbone.max_sequence_length
        if max_length is None:
            max_length = self.preprocessor.decoder_sequence_length
        if not 1 <= max_length <= positions - self.sequence_length:
            raise ValueError(
                "`max_length` must be at least 1, and with the preprocessor's "
                f"encoder_sequence_length={self.sequence_length} at most the "
                f"{positions} positions of the backbone. Received: "
                f"max_length={max_length}"
            )
        self.max_length = int(max_length)
        self.sampler = get_sampler(task.sampler if sampler is None else sampler)
        self.is_deterministic = isinstance(
            self.sampler, (BeamSearchSampler, keras_hub.samplers.GreedySampler)
        )
        self._scored_sampler = _scored_sampler(self.sampler)

    def rows(self, text):
        rows = self.preprocessor.generate_preprocess(
            text, decoder_sequence_length=self.max_length
        )
        return {name: rows[name] for name in self.id_inputs}

    def compute(self, rows):
        longest = self.task.backbone.max_sequence_length - self.max_length
        # Beyond the table of positions, a GPU would read zeros.
        check = tf.debugging.assert_less_equal(
            used_widths(rows["encoder_padding_mask"]),
            longest,
            f"`encoder_token_ids` must be (batch, n) with n <= {longest}",
        )
        with tf.control_dependencies([check] if check else []):
            rows = {name: row[:, :longest] for name, row in rows.items()}
        rows = self.shorten(rows)
        shape = [tf.shape(rows["encoder_token_ids"])[0], self.max_length]
        pad = self.tokenizer.pad_token_id
        own, self.task.sampler = self.task.sampler, self._scored_sampler
        try:
            outputs = self.task.generate_step(
                {
                    **rows,
                    "decoder_token_ids": tf.fill(shape, pad),
                    "decoder_padding_mask": tf.zeros(shape, tf.int32),
                },
                stop_token_ids=(self.tokenizer.end_token_id,),
            )
        finally:
            self.task.sampler = own
        names = ("decoder_token_ids", "decoder_padding_mask")
        return {
            **{name: tf.cast(outputs[name], tf.int32) for name in names},
            "score": tf.cast(outputs["scores"], tf.float32),
        }

    def as_text(self, outputs):
        token_ids = outputs["decoder_token_ids"]
        flat = [-1, self.max_length]
        texts = self.preprocessor.detokenize_in_graph(
            tf.reshape(token_ids, flat),
            tf.reshape(outputs["decoder_padding_mask"], flat),
        )
        return {
            "generated_text": tf.reshape(texts, tf.shape(token_ids)[:-1]),
            "score": outputs["score"],
        }

    def describe(self):
        described = {
            "class": type(self.sampler).__name__,
            "config": self.sampler.get_config(),
        }
        return {**super().describe(), "sampler": described}


def _scored_sampler(sampler):
    """A copy of a sampler that returns sequences and their scores."""
    if isinstance(sampler, BeamSearchSampler):
        sampler = copy.copy(sampler)
        sampler.return_scores = True
        return sampler
    if type(sampler).__call__ is not keras_hub.samplers.Sampler.__call__:
        raise ValueError(
            "An exported `sampler` must be a BeamSearchSampler, or choose "
            "token by token (greedy, random, top_k, top_p, or a subclass of "
            "keras_hub.samplers.Sampler with `get_next_token`). Received: "
            f"sampler of type {type(sampler).__name__}, which has a loop of "
            "its own. Pass `sampler=BeamSearchSampler(num_beams=...)`."
        )
    return functools.partial(_choose_token_by_token, sampler)


def _choose_token_by_token(
    sampler, next, prompt, cache, index, stop_token_ids, **kwargs
):
    """Runs a KerasHub sampler without XLA and sums the log-probabilities."""
    # KerasHub's own loop writes tokens with an operation that TensorFlow
    # compiles by XLA wherever it runs, which servers may lack. An export
    # forces no prefix.
    (stop_token_id,) = stop_token_ids
    length = tf.shape(prompt)[1]

    def body(index, prompt, cache, scores, has_ended):
        logits, _, cache = next(prompt, cache, index)
        probabilities = sampler.compute_probabilities(logits)
        tokens = tf.cast(sampler.get_next_token(probabilities), tf.int32)
        # The distribution before top-k or top-p cut it.
        log_probs = tf.nn.log_softmax(
            tf.cast(logits, tf.float32) / sampler.temperature
        )
        log_probs = tf.gather(log_probs, tokens, batch_dims=1)
        scores += tf.where(has_ended, 0.0, log_probs)
        is_new = tf.range(length) == index
        prompt = tf.where(is_new, tokens[:, tf.newaxis], prompt)
        has_ended |= tokens == stop_token_id
        return index + 1, prompt, cache, scores, has_ended

    zeros = tf.zeros_like(prompt[:, 0])
    _, prompt, _, scores, _ = tf.while_loop(
        lambda index, prompt, cache, scores, has_ended: (
            ~tf.reduce_all(has_ended)
        ),
        body,
        (
            tf.constant(index),
            prompt,
            cache,
            tf.cast(zeros, tf.float32),
            tf.cast(zeros, tf.bool),
        ),
        maximum_iterations=length,
    )
    return {"decoder_token_ids": prompt, "scores": scores}
