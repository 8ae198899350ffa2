import sys

from unilmv2_tf.datasets import seeded_batches
from unilmv2_tf.evaluation import describe_metrics
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf.samplers import BeamSearchSampler
from unilmv2_tf.samplers import SamplerArgs
from unilmv2_tf.training.finetuning import pairs
from unilmv2_tf.training.finetuning.model import model_arguments
from unilmv2_tf.training.finetuning.problem import Problem
from unilmv2_tf.training.finetuning.rows import crop_pairs

# Fast ones; the one that tells the best weights comes first.
_METRICS = ("rougeL", "rouge1", "rouge2", "bleu4", "exact_match")


class SequenceToSequence(Problem):
    """What a fine-tuning has to know of pairs of texts.

    Args:
        settings: a `Seq2SeqSettings`.

    Raises:
        ValueError: if the pairs cannot be read, or the metric is unknown or
            needs files that are not there.

    Reference:
        Bao et al., 2020, section 3.4 and table 10.
    """

    command = "seq2seq"
    task_cls = UniLMv2Seq2SeqLM
    read = staticmethod(pairs.read)

    def __init__(self, settings):
        self.metric = settings.metric
        self.metrics = tuple(dict.fromkeys((settings.metric, *_METRICS)))
        # Says now what is wrong with the metric, and not after an epoch.
        score_texts(["a"], ["a"], self.metrics)
        super().__init__(settings)
        self.sampler = SamplerArgs(
            num_beams=settings.num_beams,
            length_penalty=settings.length_penalty,
            min_length=settings.min_length,
            no_repeat_ngram_size=settings.no_repeat_ngram_size,
            ignored_tokens=settings.ignored_tokens,
        ).make_sampler(BeamSearchSampler(), self.tokenizer)
        self.num_held_out = len(self.held_out)
        self.held_out = self.held_out.spread(settings.evaluation_examples)

    def facts(self):
        """What determines the result, beside the settings."""
        return {
            "examples": len(self.train),
            "fingerprint": self.train.fingerprint(),
        }

    def description(self):
        """Lines that tell a person what is trained on."""
        yield (
            f"{len(self.train):,} pairs for training, {self.num_held_out:,} "
            f"for validation, {len(self.held_out):,} of which are scored"
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
        lengths = self.settings.source_length, self.settings.target_length
        seen, *cut = pairs.shares_cut(self.train, self.tokenizer, *lengths)
        for name, number, length in zip(("sources", "targets"), cut, lengths):
            yield (
                f"{number:,} of {seen:,} {name} ({number / seen:.1%}) are "
                f"longer than {length} tokens, and cut"
            )

    def make_model(self):
        """The model; with a pre-trained preset it has a head that is, too."""
        return UniLMv2Seq2SeqLM.from_preset(
            self.settings.preset,
            preprocessor=self._preprocessor(self.settings.seed),
            **model_arguments(self.settings, self.tokenizer),
        )

    def _preprocessor(self, seed):
        settings = self.settings
        return UniLMv2Seq2SeqLMPreprocessor(
            self.tokenizer,
            encoder_sequence_length=settings.source_length,
            decoder_sequence_length=settings.target_length,
            target_mask_rate=settings.target_mask_rate,
            truncation_side=settings.truncation_side,
            seed=seed,
        )

    def compile(self, model, optimizer):
        """Compiles the model for training and for generation."""
        settings = self.settings
        model.compile(
            optimizer=optimizer,
            label_smoothing=settings.label_smoothing,
            sampler=self.sampler,
        )

    def training_dataset(self, preprocessor, num_steps, seed, start_step):
        """The batches of all steps from one on, each a function of its step."""
        del preprocessor
        # What is masked differs from seed to seed and from pass to pass.
        preprocessor = self._preprocessor(seed)
        batches = seeded_batches(
            {
                "encoder_text": self.train.sources,
                "decoder_text": self.train.targets,
            },
            self.train.lengths(),
            self.settings.batch_size,
            num_steps,
            seed,
            start_step,
            self.settings.accumulation_steps,
        )

        def to_rows(batch):
            rows = preprocessor(batch)
            # A TPU wants to know all shapes.
            return (
                rows if self.settings.strategy == "tpu" else crop_pairs(*rows)
            )

        return batches.map(to_rows, num_parallel_calls=2, deterministic=True)

    def predict(self, model, examples):
        """Generates texts.

        Args:
            model: a `UniLMv2Seq2SeqLM`.
            examples: `Pairs`.

        Returns:
            `GeneratedTexts`.
        """
        return pairs.predict(
            model,
            examples,
            self.settings.evaluation_batch_size,
            # A bar would be drawn over that of the training.
            is_shown=not sys.stderr.isatty(),
        )

    def scores(self, predictions):
        """Scores of texts, see `GeneratedTexts.scores`."""
        return predictions.scores(self.metrics)

    def metric_notes(self):
        """What metrics compare, see `describe_metrics`."""
        return describe_metrics(self.metrics)
