"""The model that answers, and how it is asked."""

import tensorflow as tf

from unilmv2_tf.inference.samplers import make_sampler
from unilmv2_tf.inference.samplers import restart
from unilmv2_tf.inference.samplers import split_words
from unilmv2_tf.inference.samplers import token_ids_of
from unilmv2_tf.inference.sources import source_text
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.training.finetuning.model import load_task


def load_generator(preset, precision=None):
    """Loads a model that generates text from text.

    Args:
        preset: string. The folder of a `UniLMv2Seq2SeqLM`.
        precision: string. The dtype policy. Defaults to `None`, that of the
            preset.

    Returns:
        A `UniLMv2Seq2SeqLM` with a preprocessor.

    Raises:
        ValueError: if the preset holds something else.
    """
    arguments = {} if precision is None else {"dtype": precision}
    model = load_task(preset, **arguments)
    if not isinstance(model, UniLMv2Seq2SeqLM):
        raise ValueError(
            "`preset` must hold a UniLMv2Seq2SeqLM. Received: preset="
            f"{preset}, a {type(model).__name__}. Fine-tune one from it with "
            "UniLMv2Seq2SeqLM.from_preset"
        )
    if model.preprocessor is None:
        raise ValueError(
            "`preset` must hold a preprocessor. Received: preset="
            f"{preset}, of a model that takes integers"
        )
    return model


class Generator:
    """Answers sources, as flags say.

    Args:
        model: a `UniLMv2Seq2SeqLM` with a preprocessor. It is compiled anew.
        prefix: string. How every text begins. Defaults to `""`.
        max_length: int. The longest text in tokens, its end included. Defaults
            to `None`, that of the preprocessor.
        batch_size: int. Defaults to `32`.
        ignored_tokens: see `split_words`. Tokens that may repeat. Defaults to
            `None`.
        forbidden_words: see `split_words`. What no text has. Defaults to
            `None`.
        sampler: string. Defaults to `None`, that of the model.
        **options: arguments of the sampler, see `make_sampler`.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        model,
        prefix="",
        max_length=None,
        batch_size=32,
        ignored_tokens=None,
        forbidden_words=None,
        sampler=None,
        **options,
    ):
        self.model = model
        self.prefix = prefix
        self.max_length = max_length
        self.batch_size = batch_size
        self.num_cut = 0
        tokenizer = model.preprocessor.tokenizer
        if ignored_tokens is not None:
            options["ignored_token_ids"] = sum(
                _ids_of_each("ignored_tokens", ignored_tokens, tokenizer), ()
            )
        if forbidden_words is not None:
            options["forbidden_token_ids"] = _ids_of_each(
                "forbidden_words", forbidden_words, tokenizer
            )
        self.sampler = make_sampler(model.sampler, sampler, **options)
        self._check_lengths(tokenizer)
        model.compile(sampler=self.sampler)
        longest = model.preprocessor.encoder_sequence_length - 2

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
        def count_longer(texts):
            is_longer = tokenizer(texts).row_lengths() > longest
            return tf.reduce_sum(tf.cast(is_longer, tf.int32))

        self._count_longer = count_longer

    @property
    def num_texts(self):
        """How many texts there are for each source."""
        return getattr(self.sampler, "num_return_sequences", 1)

    def __call__(self, records, index):
        """Answers some sources.

        Args:
            records: list of dicts with `src`.
            index: int. The number of the first of them.

        Returns:
            A list of as many lists of pairs of text and score, best first; the
            score is `None` if there is one text.
        """
        self.count_cut(records)
        restart(self.sampler, index)
        sources = [source_text(record) for record in records]
        return self._answer(sources) if sources else []

    def count_cut(self, records):
        """Adds to `num_cut` the sources that are longer than a row.

        Args:
            records: list of dicts with `src`.
        """
        texts = [source_text(record) for record in records]
        self.num_cut += int(self._count_longer(texts))

    def _answer(self, sources):
        outputs = self.model.generate(
            {
                "encoder_text": sources,
                "decoder_text": [self.prefix] * len(sources),
            },
            max_length=self.max_length,
            batch_size=self.batch_size,
        )
        if not isinstance(outputs, dict):
            return [[(text, None)] for text in outputs]
        return [
            [(text, float(score)) for text, score in zip(texts, scores)]
            for texts, scores in zip(
                outputs["generated_text"], outputs["scores"]
            )
        ]

    def _check_lengths(self, tokenizer):
        longest = self.max_length
        if longest is None:
            longest = self.model.preprocessor.decoder_sequence_length
        length = len(tokenizer(self.prefix))
        if length >= longest:
            raise ValueError(
                "`prefix` must leave room for a text. Received: prefix="
                f"{self.prefix!r}, {length} tokens, of at most {longest}"
            )
        shortest = getattr(self.sampler, "min_length", 0)
        if shortest >= longest:
            raise ValueError(
                "`min_length` must leave room for the end of a text. Received: "
                f"min_length={shortest}, and at most {longest} tokens "
                "(`max_length`)"
            )


def _ids_of_each(flag, words, tokenizer):
    return tuple(
        token_ids_of(word, tokenizer, flag) for word in split_words(words)
    )
