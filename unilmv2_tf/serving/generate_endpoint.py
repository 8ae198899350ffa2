"""The signatures `generate` and `generate_ids`."""

import copy

import keras_hub
import tensorflow as tf
from keras import ops

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

    >>> from unilmv2_tf import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor, UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> endpoint = Generate(UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone(7, 1, 1, 8, 8, max_sequence_length=16),
    ...     UniLMv2Seq2SeqLMPreprocessor(
    ...         tokenizer, encoder_sequence_length=8,
    ...         decoder_sequence_length=4)))
    >>> endpoint.buckets, endpoint.max_length
    ((8,), 4)
    """

    name = "generate"
    tasks = (UniLMv2Seq2SeqLM,)
    default_for = UniLMv2Seq2SeqLM
    text_signatures = {"generate": ("text",)}
    id_inputs = ("encoder_token_ids", "encoder_padding_mask")
    length_name = "encoder_sequence_length"

    def __init__(self, task, max_length=None, sampler=None, buckets="auto"):
        super().__init__(task, buckets=buckets)
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
        return {
            **super().describe(),
            "max_length": self.max_length,
            "sampler": {
                "class": type(self.sampler).__name__,
                "config": self.sampler.get_config(),
            },
        }


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
    return StepwiseSampler(sampler)


class StepwiseSampler:
    """Runs a KerasHub sampler without XLA and sums the log-probabilities.

    KerasHub's own loop writes tokens with an operation that TensorFlow compiles
    by XLA wherever it runs, which servers may lack. The score counts the tokens
    up to and including the stop token, at the sampler's temperature, before
    top-k or top-p cut the distribution.

    >>> import keras_hub
    >>> import numpy as np
    >>> def next(prompt, cache, index):
    ...     return np.log([[0.1, 0.3, 0.6]]).astype("float32"), None, cache
    >>> sampler = StepwiseSampler(keras_hub.samplers.GreedySampler())
    >>> outputs = sampler(next, np.zeros((1, 2), "int32"))
    >>> np.array(outputs["decoder_token_ids"]).tolist()
    [[2, 2]]
    >>> round(float(outputs["scores"][0]), 3)  # 2 log 0.6
    -1.022
    """

    def __init__(self, sampler):
        self.sampler = sampler

    @property
    def variables(self):
        return self.sampler.variables

    def __call__(
        self,
        next,
        prompt,
        cache=None,
        index=0,
        mask=None,
        stop_token_ids=None,
        model=None,
        **kwargs,
    ):
        prompt = ops.convert_to_tensor(prompt)
        length = ops.shape(prompt)[1]
        if mask is None:
            mask = ops.zeros_like(prompt, dtype="bool")
        scores = ops.zeros_like(prompt[:, 0], dtype="float32")
        has_ended = ops.zeros_like(prompt[:, 0], dtype="bool")

        def cond(prompt, cache, scores, has_ended, index):
            return ops.logical_not(ops.all(has_ended))

        def body(prompt, cache, scores, has_ended, index):
            logits, _, cache = next(prompt, cache, index)
            tokens, log_probs = self._choose(logits)
            forced = ops.take(mask, index[None], axis=1)[:, 0]
            prefix = ops.take(prompt, index[None], axis=1)[:, 0]
            tokens = ops.where(forced, prefix, ops.cast(tokens, prompt.dtype))
            is_silent = ops.logical_or(forced, has_ended)
            scores = scores + ops.where(is_silent, 0.0, log_probs)
            for stop_token_id in stop_token_ids or ():
                is_stop = ops.logical_and(tokens == stop_token_id, ~forced)
                has_ended = ops.logical_or(has_ended, is_stop)
            is_new = ops.arange(length) == index
            prompt = ops.where(is_new, tokens[:, None], prompt)
            return prompt, cache, scores, has_ended, index + 1

        index = ops.cast(index, "int32")
        cache = () if cache is None else cache
        prompt, _, scores, _, _ = ops.while_loop(
            cond,
            body,
            (prompt, cache, scores, has_ended, index),
            maximum_iterations=length - index,
        )
        return {"decoder_token_ids": prompt, "scores": scores}

    def _choose(self, logits):
        probabilities = self.sampler.compute_probabilities(logits)
        tokens = self.sampler.get_next_token(probabilities)
        tokens = ops.cast(tokens, "int32")
        log_probs = ops.log_softmax(
            ops.cast(logits, "float32") / self.sampler.temperature, axis=-1
        )
        chosen = ops.take_along_axis(log_probs, tokens[:, None], axis=1)
        return tokens, chosen[:, 0]
