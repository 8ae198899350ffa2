import json
import os
import shutil

import absl.logging
import keras

from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.run_settings import check_same_settings
from unilmv2_tf.run_settings import recorded_settings
from unilmv2_tf.training.arguments import check_replicas
from unilmv2_tf.training.finetuning.report import write_card
from unilmv2_tf.training.finetuning.report import write_report
from unilmv2_tf.training.fitting import fit_resumably
from unilmv2_tf.training.fitting import preprocessor_set_to
from unilmv2_tf.training.optimizer import FitAdamW
from unilmv2_tf.training.optimizer import layer_rate_scales
from unilmv2_tf.training.optimizer import make_optimizer
from unilmv2_tf.training.strategies import make_strategy


class FinetuningRun:
    """A fine-tuning over one or several seeds, from settings to scores.

    1. The strategy, before anything uses TensorFlow's devices.
    2. The examples: what is wrong with them is said before a model is built.
    3. For each seed: the model, its training with evaluations, and the best
       weights; what an earlier call has done is not done again.
    4. The report over all seeds, and the model of the best one.

    Args:
        settings: a `FinetuningSettings`.
        make_problem: function from settings to a
            `unilmv2_tf.training.finetuning.problem.Problem`.

    Raises:
        ValueError: if settings, examples and output folder do not go together.
        OSError: if the output folder cannot be written.
    """

    def __init__(self, settings, make_problem):
        absl.logging.set_verbosity(absl.logging.ERROR)
        self.settings = settings
        os.makedirs(settings.output, exist_ok=True)
        self.strategy = make_strategy(
            settings.strategy, settings.devices, settings.tpu
        )
        check_replicas(settings, self.strategy.num_replicas_in_sync)
        self.problem = make_problem(settings)
        check_same_settings(
            settings.output,
            {**recorded_settings(settings), **self.problem.facts()},
        )
        num_updates = settings.epochs * self.problem.num_rows
        self.num_updates = max(num_updates // settings.batch_size, 1)

    def run(self):
        """Trains with each seed, and writes the report.

        Returns:
            A dict: what is in `results.json`.

        Raises:
            Stopped: if a signal ended it, after the state was saved.
        """
        settings = self.settings
        for line in self.problem.description():
            self._say(line)
        results = []
        for seed in range(settings.seed, settings.seed + settings.seeds):
            results.append(self._trained(seed))
        best = max(results, key=lambda result: result["best"]["score"])
        source = os.path.join(self._folder(best["seed"]), "preset")
        target = os.path.join(settings.output, "preset")
        with replacing(target) as temporary:
            shutil.copytree(source, temporary)
        final_scores = self.problem.finish(target, settings.output)
        summary = write_report(self.problem, settings, results, final_scores)
        write_card(target, settings, summary)
        self._say(f"done: the model is in {target}")
        return summary

    def _folder(self, seed):
        return os.path.join(self.settings.output, f"seed-{seed}")

    def _trained(self, seed):
        path = os.path.join(self._folder(seed), "result.json")
        if not os.path.exists(path):
            result = SeedRun(self, seed, self._folder(seed)).train()
            write_text(path, json.dumps(result, indent=2) + "\n")
            # The best weights are enough from here on.
            shutil.rmtree(os.path.join(self._folder(seed), "checkpoints"))
            keras.backend.clear_session()
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        self._say(
            f"seed {seed}: {self.problem.metric} "
            f"{result['best']['score']:.4f} after {result['best']['epoch']:g} "
            "epochs"
        )
        return result

    def _say(self, text):
        print(f"fine-tuning: {text}", flush=True)


class SeedRun:
    """The training with one seed.

    Args:
        run: the `FinetuningRun` that it belongs to.
        seed: int.
        folder: string. Where its checkpoints, history and best weights go.
    """

    def __init__(self, run, seed, folder):
        self.problem, self.settings = run.problem, run.settings
        self.seed, self.folder = seed, folder
        # Keras counts each part of a batch as a step.
        self.parts = self.settings.accumulation_steps
        self.num_steps = run.num_updates * self.parts
        self.steps_per_epoch = self.num_steps / self.settings.epochs
        keras.utils.set_random_seed(seed)
        with run.strategy.scope():
            self.model = self.problem.make_model()
            if self.settings.lora_rank:
                self.model.backbone.enable_lora(self.settings.lora_rank)
            optimizer = self._optimizer(run.num_updates)
            self.problem.compile(self.model, optimizer)
            # Its variables belong to the replicas, too.
            optimizer.build(self.model.trainable_variables)
        self.preprocessor = self.model.preprocessor

    def _optimizer(self, num_updates):
        settings = self.settings
        return make_optimizer(
            settings,
            num_updates,
            round(settings.warmup_ratio * num_updates),
            FitAdamW,
            self.parts,
            rate_scales=(
                layer_rate_scales(self.model, settings.layer_decay)
                if settings.layer_decay
                else None
            ),
        )

    def train(self):
        """Trains, or goes on.

        Returns:
            A dict of `seed`, `best` (`score`, `epoch`, `step` and all
            `scores` there) and `curve`, pairs of epoch and score.
        """
        settings = self.settings
        rows_per_step = settings.batch_size // self.parts
        per_evaluation = self.steps_per_epoch / settings.evaluations_per_epoch
        # Texts become rows in the dataset itself, which cuts padding off.
        with preprocessor_set_to(self.model, None):
            history = fit_resumably(
                self.model,
                lambda step: self.problem.training_dataset(
                    self.preprocessor, self.num_steps, self.seed, step
                ),
                self.num_steps,
                self.folder,
                label=f"fine-tuning, seed {self.seed}",
                examples_per_step=rows_per_step,
                steps_per_save=settings.checkpoint_interval * self.parts,
                evaluate=self._evaluate,
                steps_per_evaluation=max(round(per_evaluation), 1),
                stop_at_step=(
                    settings.stop_at_step and settings.stop_at_step * self.parts
                ),
            )
        return self._result(history)

    def _evaluate(self, step, history):
        with preprocessor_set_to(self.model, self.preprocessor):
            scores = self.problem.evaluate(self.model)
            figures = {f"val_{name}": value for name, value in scores.items()}
            earlier = [row for row in history if row["step"] < step]
            earlier = [row for row in earlier if self._key in row]
            best = max(earlier, key=self._score_of, default=None)
            if best is None or figures[self._key] > best[self._key]:
                self._keep_best()
                return figures, False
        patience = self.settings.patience
        since = sum(row["step"] > best["step"] for row in earlier) + 1
        return figures, patience is not None and since >= patience

    @property
    def _key(self):
        return f"val_{self.problem.metric}"

    def _score_of(self, row):
        return row[self._key]

    def _keep_best(self):
        self.problem.write_predictions(self.folder)
        with replacing(os.path.join(self.folder, "preset")) as temporary:
            self.model.save_to_preset(temporary)

    def _result(self, history):
        evaluated = [row for row in history if self._key in row]
        best = max(evaluated, key=self._score_of)
        return {
            "seed": self.seed,
            "best": {
                "score": best[self._key],
                "step": best["step"] // self.parts,
                "epoch": round(best["step"] / self.steps_per_epoch, 3),
                "scores": {
                    name.removeprefix("val_"): value
                    for name, value in best.items()
                    if name.startswith("val_")
                },
            },
            "curve": [
                (
                    round(row["step"] / self.steps_per_epoch, 3),
                    row[self._key],
                )
                for row in evaluated
            ],
        }
