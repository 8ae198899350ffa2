"""The signatures `generate` and `generate_ids`."""

import contextlib

import keras_hub
import numpy as np
import tensorflow as tf

from unilmv2_tf.samplers import BeamSearchSampler
from unilmv2_tf.serving.inputs import default_buckets
from unilmv2_tf.serving.inputs import readable
from unilmv2_tf.serving.inputs import shortened
from unilmv2_tf.serving.inputs import traced_once
from unilmv2_tf.serving.inputs import used_widths
from unilmv2_tf.serving.inputs import with_a_row
from unilmv2_tf.serving.inputs import without_server_padding
from unilmv2_tf.serving.samplers import scored_sampler


class Generate:
    """Text in, generated text out.

        generate      text                     (batch,)    string
                      -> generated_text        (batch,)    string
                         score                 (batch,)    float32
        generate_ids  encoder_token_ids        (batch, n)  int32
                      encoder_padding_mask     (batch, n)  int32
                      -> decoder_token_ids     (batch, m)  int32
                         decoder_padding_mask  (batch, m)  int32
                         score                 (batch,)    float32

    With a sampler that returns several sequences the outputs have an axis more
    after the first, best first. `m` is `max_length`. The score is that by
    which the beam search ranks (log-probability over length penalty); of other
    samplers it is the sum of the log-probabilities of the tokens.

    Args:
        task: a `UniLMv2Seq2SeqLM` with a preprocessor. It is not changed.
        max_length: int. The longest target, with its `[SEP]`. Defaults to
            `None`, the `decoder_sequence_length` of the preprocessor.
        sampler: a `BeamSearchSampler`, any sampler that chooses token by
            token, or its name. Defaults to `None`, the task's own.
        buckets: tuple of ints, or `None` to pad every source to the full
            length. Defaults to `"auto"`, see `default_buckets`.

    Raises:
        ValueError: if the sampler cannot be exported, or `max_length` is below
            1 or leaves no positions for the source.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
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
    id_inputs = ("encoder_token_ids", "encoder_padding_mask")

    def __init__(self, task, max_length=None, sampler=None, buckets="auto"):
        self.task = task
        self.preprocessor = task.preprocessor
        self.max_length = _checked_length(task, max_length)
        self.sampler = scored_sampler(
            task.sampler if sampler is None else sampler
        )
        length = self.preprocessor.encoder_sequence_length
        self.buckets = default_buckets(length) if buckets == "auto" else buckets
        self._generate = traced_once(self._generated, 2)

    @property
    def text_signatures(self):
        """Signatures that take strings: name -> function and input names."""
        return {"generate": (self.from_text, ("text",))}

    @property
    def id_signatures(self):
        """Signatures that take integers: name -> function and input names."""
        return {"generate_ids": (self.from_ids, self.id_inputs)}

    @property
    def is_deterministic(self):
        """Whether the same text has the same answer each time."""
        sampler = getattr(self.sampler, "sampler", self.sampler)
        return isinstance(
            sampler, (BeamSearchSampler, keras_hub.samplers.GreedySampler)
        )

    def from_text(self, text):
        """The signature `generate`."""
        return with_a_row(self._from_text, text=text)

    def from_ids(self, encoder_token_ids, encoder_padding_mask):
        """The signature `generate_ids`."""
        return with_a_row(
            self._from_ids,
            encoder_token_ids=encoder_token_ids,
            encoder_padding_mask=encoder_padding_mask,
        )

    def _from_text(self, text):
        rows = self.preprocessor.generate_preprocess(
            readable(text), sequence_length=self.max_length
        )
        outputs = self._generate(*(rows[name] for name in self.id_inputs))
        token_ids = outputs["decoder_token_ids"]
        shape = tf.shape(token_ids)
        texts = self.preprocessor.detokenize_in_graph(
            tf.reshape(token_ids, [-1, self.max_length]),
            tf.reshape(outputs["decoder_padding_mask"], [-1, self.max_length]),
        )
        return {
            "generated_text": tf.reshape(texts, shape[:-1]),
            "score": outputs["score"],
        }

    def _from_ids(self, encoder_token_ids, encoder_padding_mask):
        tokenizer = self.preprocessor.tokenizer
        encoder_padding_mask = without_server_padding(
            encoder_token_ids, encoder_padding_mask, tokenizer.cls_token_id
        )
        longest = self.task.backbone.max_sequence_length - self.max_length
        # Past the table a GPU would read zeros, and say nothing.
        check = tf.debugging.assert_less_equal(
            used_widths(encoder_padding_mask),
            longest,
            f"`encoder_token_ids` must be (batch, n) with n <= {longest}",
        )
        with tf.control_dependencies([check]):
            return self._generate(
                encoder_token_ids[:, :longest],
                encoder_padding_mask[:, :longest],
            )

    def _generated(self, encoder_token_ids, encoder_padding_mask):
        source = shortened(
            dict(
                zip(self.id_inputs, (encoder_token_ids, encoder_padding_mask))
            ),
            "encoder_padding_mask",
            self.buckets,
        )
        tokenizer = self.preprocessor.tokenizer
        shape = [tf.shape(encoder_token_ids)[0], self.max_length]
        with using_sampler(self.task, self.sampler):
            outputs = self.task.generate_step(
                {
                    **source,
                    "decoder_token_ids": tf.fill(shape, tokenizer.pad_token_id),
                    "decoder_padding_mask": tf.zeros(shape, tf.int32),
                },
                stop_token_ids=(tokenizer.end_token_id,),
            )
        names = ("decoder_token_ids", "decoder_padding_mask")
        return {
            **{name: tf.cast(outputs[name], tf.int32) for name in names},
            "score": tf.cast(outputs["scores"], tf.float32),
        }

    def rows_of(self, text):
        """What `generate_ids` is given for texts, a dict of arrays."""
        rows = self.preprocessor.generate_preprocess(
            list(text), sequence_length=self.max_length
        )
        return {name: np.asarray(rows[name]) for name in self.id_inputs}

    def live_from_text(self, text):
        """What the task itself answers, without any of the above.

        Args:
            text: list of strings.

        Returns:
            A dict of arrays and lists, as the signature returns it.
        """
        outputs = self._live_rows(text)
        texts = self.preprocessor.generate_postprocess(outputs)
        if isinstance(texts, dict):
            texts = texts["generated_text"]
        return {
            "generated_text": texts,
            "score": np.asarray(outputs["scores"], "float32"),
        }

    def live_from_ids(self, text):
        """The same for `generate_ids`, of rows that are made of texts."""
        outputs = self._live_rows(text)
        return {
            "decoder_token_ids": np.asarray(outputs["decoder_token_ids"]),
            "decoder_padding_mask": np.asarray(
                outputs["decoder_padding_mask"]
            ).astype("int32"),
            "score": np.asarray(outputs["scores"], "float32"),
        }

    def _live_rows(self, text):
        rows = self.preprocessor.generate_preprocess(
            list(text), sequence_length=self.max_length
        )
        with using_sampler(self.task, self.sampler):
            outputs = self.task.generate_step(
                rows,
                stop_token_ids=(self.preprocessor.tokenizer.end_token_id,),
            )
        outputs.setdefault("log_probs", outputs["scores"])
        return outputs

    def describe(self):
        """What a client may want to know, a dict for JSON."""
        sampler = getattr(self.sampler, "sampler", self.sampler)
        return {
            "encoder_sequence_length": (
                self.preprocessor.encoder_sequence_length
            ),
            "max_length": self.max_length,
            "buckets": self.buckets,
            "sampler": {
                "class": type(sampler).__name__,
                "config": sampler.get_config(),
            },
        }


@contextlib.contextmanager
def using_sampler(task, sampler):
    """Lends a task another sampler.

    Args:
        task: a `UniLMv2Seq2SeqLM`.
        sampler: a sampler.
    """
    own = task.sampler
    task.sampler = sampler
    try:
        yield
    finally:
        task.sampler = own


def _checked_length(task, max_length):
    if max_length is None:
        max_length = task.preprocessor.decoder_sequence_length
    positions = task.backbone.max_sequence_length
    source_length = task.preprocessor.encoder_sequence_length
    if not 1 <= max_length <= positions - source_length:
        raise ValueError(
            "`max_length` must be at least 1, and with the preprocessor's "
            f"encoder_sequence_length={source_length} at most the "
            f"{positions} positions of the backbone. Received: "
            f"max_length={max_length}"
        )
    return int(max_length)
