"""What fine-tuning has to know of a task, and what all tasks share."""

import os

from unilmv2_tf.datasets.batching import seeded_batches
from unilmv2_tf.models.presets import hub_errors
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.preprocessing import UniLMv2Tokenizer


class TaskAdapter:
    """The examples of a fine-tuning, and models, batches and scores for them.

    A subclass sets `command`, `task_cls` and `metric`, which selects the best
    weights, and defines `read(source, split)`, `describe()` (lines for the
    user), `make_model()`, `compile(model, optimizer)`, `columns` and `lengths`
    (a row for each training example), `rows_of(seed)` (a function from a batch
    of columns to what `fit` takes) and `predict(model, examples)`.
    """

    metrics = None
    train = None

    def __init__(self, args):
        self.args = args
        self.tokenizer = load_tokenizer(args)
        splits = (
            ("train", "validation") if args.validation is None else [None] * 2
        )
        train = self.read(args.data, splits[0], **self.read_options())
        self.train = train.sample(args.num_examples)
        self.held_out = self.read(
            args.validation or args.data, splits[1], **self.read_options()
        )
        self.predictions = None

    def read_options(self):
        """Further arguments of `read`."""
        names = ("task", "quoting", "skip_misfits")
        values = {name: getattr(self.args, name, None) for name in names}
        return {name: x for name, x in values.items() if x is not None}

    def facts(self):
        """What determines the result, besides the arguments."""
        return {
            "examples": len(self.train),
            "fingerprint": self.train.fingerprint(),
        }

    def model_arguments(self):
        """Arguments of `from_preset` besides the preset."""
        arguments = {"dtype": self.args.precision, **self.args.backbone}
        if not is_preset_location(self.args.preset):
            arguments["vocabulary_size"] = self.tokenizer.vocabulary_size()
            arguments["load_weights"] = False
        return arguments

    def training_dataset(self, num_steps, seed, start_step):
        """The batches from a step on, each a function of seed and step."""
        batches = seeded_batches(
            self.columns,
            self.lengths,
            self.args.batch_size,
            num_steps,
            seed,
            start_step,
            self.args.accumulation_steps,
        )
        return batches.map(
            self.rows_of(seed), num_parallel_calls=2, deterministic=True
        )

    def evaluate(self, model):
        """A dict of the scores of the held-out examples."""
        self.predictions = self.predict(model, self.held_out)
        return self.predictions.scores(self.metrics)

    def metric_notes(self):
        """What metrics compare, where their names do not say it."""
        return {}

    def finish(self, preset, output):
        """Writes the best model's predictions; scores those that can be."""
        sources, scores = self.final_sources(), {}
        model = self.task_cls.from_preset(preset) if sources else None
        for source, (name, *options) in sources.items():
            predictions = self.predict(
                model, self.read(source, **self.read_options())
            )
            path = os.path.join(output, name)
            if options:
                predictions.write_submission(path, *options)
            else:
                predictions.write(path)
            if predictions.can_be_scored:
                scores[source] = predictions.scores(self.metrics)
        return scores

    def final_sources(self):
        """Sources -> folder; or file, and whether a submission has names."""
        return {} if self.args.test is None else {self.args.test: ("test",)}


def load_tokenizer(args):
    """The tokenizer of the preset folder, or of `vocabulary` with a size."""
    if is_preset_location(args.preset):
        if args.vocabulary is not None:
            raise ValueError(
                "`vocabulary` must be left out with a preset folder, which has "
                f"its own. Received: vocabulary={args.vocabulary}, preset="
                f"{args.preset}"
            )
        with hub_errors(args.preset):
            tokenizer = UniLMv2Tokenizer.from_preset(args.preset)
    elif args.vocabulary is None:
        raise ValueError(
            "`vocabulary` is needed with a built-in size: a file that `unilmv2 "
            f"vocabulary` wrote. Received: preset={args.preset}. A preset "
            "folder has its own vocabulary."
        )
    else:
        tokenizer = UniLMv2Tokenizer(args.vocabulary, args.lowercase)
    if args.special_tokens_in_strings is not None:
        tokenizer.special_tokens_in_strings = args.special_tokens_in_strings
    return tokenizer
