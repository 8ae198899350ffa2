import os

from unilmv2_tf.training.finetuning.examples import read_both
from unilmv2_tf.training.finetuning.examples import take
from unilmv2_tf.training.finetuning.model import load_tokenizer


class Problem:
    """What a fine-tuning has to know of its kind of examples.

    `FinetuningRun` asks a problem for models, batches and scores. The classes
    derived from this one set `command`, `task_cls`, `metric` (what tells the
    best weights) and the methods that stand for their kind: `read`, `facts`,
    `description`, `make_model`, `compile`, `training_dataset`, `predict`, and
    `scores`.

    Args:
        settings: a `FinetuningSettings`.

    Raises:
        ValueError: if the examples cannot be read.
    """

    def __init__(self, settings):
        self.settings = settings
        self.tokenizer = load_tokenizer(settings)
        train, self.held_out = read_both(settings, self.read)
        self.train = take(train, settings.num_examples)
        self.predictions = None

    @property
    def num_rows(self):
        """How many rows a pass over the training examples has."""
        return len(self.train)

    def evaluate(self, model):
        """Scores of the held-out examples; the predictions are kept.

        Args:
            model: a task.

        Returns:
            A dict from the name of a metric to its value.
        """
        self.predictions = self.predict(model, self.held_out)
        return self.scores(self.predictions)

    def metric_notes(self):
        """What metrics compare, where their names don't say it.

        Returns:
            A dict of strings.
        """
        return {}

    def write_predictions(self, folder):
        """Writes the predictions of the last evaluation.

        Args:
            folder: string.
        """
        self.predictions.write(folder)

    def finish(self, model_folder, output):
        """Predicts what the best model is asked for in the end.

        Args:
            model_folder: string. The preset of the best model.
            output: string. Where predictions go.

        Returns:
            A dict from sources to their scores, of those that can be scored.
        """
        sources = self.final_sources()
        if not sources:
            return {}
        model = self.task_cls.from_preset(model_folder)
        scores = {}
        for source, place in sources.items():
            predictions = self.predict(model, self.read(source))
            self.write_final(predictions, place, output)
            if predictions.can_be_scored:
                scores[source] = self.scores(predictions)
        return scores

    def final_sources(self):
        """What is predicted in the end, and where that goes.

        Returns:
            A dict from sources to what `write_final` takes.
        """
        return (
            {} if self.settings.test is None else {self.settings.test: "test"}
        )

    def write_final(self, predictions, place, output):
        """Writes predictions that were asked for in the end.

        Args:
            predictions: what `predict` returned.
            place: string. The name of a folder.
            output: string. The folder that it goes into.
        """
        predictions.write(os.path.join(output, place))
