"""Fine-tuning to generate text from text."""

import functools
import sys

import numpy as np
import tensorflow as tf

from unilmv2_tf.evaluation import describe_metrics
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.evaluation.examples import approximate_lengths
from unilmv2_tf.evaluation.examples import read_pairs
from unilmv2_tf.evaluation.predictions import generate_texts
from unilmv2_tf.evaluation.predictions import longest
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf.samplers import BeamSearchSampler
from unilmv2_tf.training.task_adapter import TaskAdapter

# Fast ones, scored in every evaluation.
_METRICS = ("rougeL", "rouge1", "rouge2", "bleu4", "exact_match")
# Enough to estimate a share; all of a large corpus would take minutes.
_MAX_MEASURED = 20_000


class Seq2SeqAdapter(TaskAdapter):
    """`UniLMv2Seq2SeqLM` on pairs of texts."""

    command = "seq2seq"
    task_cls = UniLMv2Seq2SeqLM
    read = staticmethod(read_pairs)

    def __init__(self, args):
        self.metric = args.metric
        # A mistake in the metric or sampler shows now, not after an epoch.
        score_texts(["a"], ["a"], [args.metric])
        others = filter(_is_installed, _METRICS)
        self.metrics = tuple(dict.fromkeys((args.metric, *others)))
        super().__init__(args)
        self.sampler = args.sampler_args().make_sampler(
            BeamSearchSampler(), self.tokenizer
        )
        self.num_held_out = len(self.held_out)
        self.held_out = self.held_out.spread(args.evaluation_examples)

    def describe(self):
        yield (
            f"{len(self.train):,} pairs for training, {self.num_held_out:,} "
            f"for validation, {len(self.held_out):,} of them scored"
        )
        for name, examples in (
            ("training", self.train),
            ("validation", self.held_out),
        ):
            if examples.num_skipped:
                yield (
                    f"{examples.num_skipped:,} pairs for {name} have no "
                    "target, and are left out"
                )
        seen = self.train.spread(_MAX_MEASURED)
        for name, column, length, num_special in (
            ("sources", "encoder_text", self.args.source_length, 2),
            ("targets", "decoder_text", self.args.target_length, 1),
        ):
            limit = length - num_special
            number = _count_longer(seen[column], self.tokenizer, limit)
            yield (
                f"{number:,} of {len(seen):,} {name} ({number / len(seen):.1%})"
                f" are longer than {length} tokens, and truncated"
            )

    def make_model(self):
        return UniLMv2Seq2SeqLM.from_preset(
            self.args.preset,
            preprocessor=self._preprocessor(self.args.seed),
            **self.model_arguments(),
        )

    def _preprocessor(self, seed):
        args = self.args
        return UniLMv2Seq2SeqLMPreprocessor(
            self.tokenizer,
            encoder_sequence_length=args.source_length,
            decoder_sequence_length=args.target_length,
            target_mask_rate=args.target_mask_rate,
            truncation_side=args.truncation_side,
            seed=seed,
        )

    def compile(self, model, optimizer):
        model.compile(
            optimizer=optimizer,
            label_smoothing=self.args.label_smoothing,
            sampler=self.sampler,
        )

    @property
    def columns(self):
        return self.train.columns

    @functools.cached_property
    def lengths(self):
        columns = self.train["encoder_text"], self.train["decoder_text"]
        return np.stack([approximate_lengths(x) for x in columns], axis=1)

    def rows_of(self, seed):
        # Other tokens are masked with each seed and in each epoch.
        preprocessor = self._preprocessor(seed)

        def to_rows(batch):
            x, y, sample_weight = preprocessor(batch)
            if self.args.strategy == "tpu":
                # A TPU needs static shapes.
                return x, y, sample_weight
            source = longest(x["encoder_padding_mask"])
            target = longest(x["decoder_padding_mask"])
            x = {
                key: rows[:, : source if key.startswith("encoder") else target]
                for key, rows in x.items()
            }
            return x, y[:, :target], sample_weight[:, :target]

        return to_rows

    def predict(self, model, examples):
        return generate_texts(
            model,
            examples,
            self.args.evaluation_batch_size,
            # Two progress bars would overwrite each other.
            is_shown=not sys.stderr.isatty(),
        )

    def metric_notes(self):
        return describe_metrics(self.metrics)


def _is_installed(metric):
    """Whether the libraries of a metric, an extra, are installed."""
    try:
        score_texts(["a"], ["a"], [metric])
    except ImportError:
        return False
    return True


def _count_longer(texts, tokenizer, limit):
    """The number of texts with more tokens than a limit."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def count(part):
        is_longer = tokenizer(part).row_lengths() > limit
        return tf.reduce_sum(tf.cast(is_longer, tf.int32))

    return sum(
        int(count(tf.constant(texts[start : start + 1024])))
        for start in range(0, len(texts), 1024)
    )
