import contextlib
import dataclasses
import io
import os
import shutil
import time

import absl.logging
import keras
import orbit
import tensorflow as tf

from unilmv2_tf.checkpoints.model_card import write_model_card
from unilmv2_tf.datasets.packed import open_packed_folder
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.progress import Progress
from unilmv2_tf.training.history import History
from unilmv2_tf.training.pretraining import inputs
from unilmv2_tf.training.pretraining.flops import matmul_peak
from unilmv2_tf.training.pretraining.flops import row_sizes
from unilmv2_tf.training.pretraining.flops import training_flops
from unilmv2_tf.training.pretraining.model import check_positions
from unilmv2_tf.training.pretraining.model import make_preprocessor
from unilmv2_tf.training.pretraining.model import make_task
from unilmv2_tf.training.pretraining.train_step import TrainStep
from unilmv2_tf.training.pretraining.train_step import (
    reduced_gradient_optimizer,
)
from unilmv2_tf.training.pretraining.trainer import PretrainingEvaluator
from unilmv2_tf.training.pretraining.trainer import PretrainingTrainer
from unilmv2_tf.training.stopping import StopRequest
from unilmv2_tf.training.stopping import stop_variable
from unilmv2_tf.training.strategies import is_chief
from unilmv2_tf.training.strategies import is_multiworker
from unilmv2_tf.training.strategies import make_strategy
from unilmv2_tf.training.strategies import sum_over_replicas
from unilmv2_tf.training.training_state import Checkpoints
from unilmv2_tf.training.training_state import seed_states

VALIDATION = "validation"
_PEAK_DTYPES = {
    "float32": "float32",
    "mixed_bfloat16": "bfloat16",
    "mixed_float16": "float16",
}


class PretrainingRun:
    """A pre-training, from its settings to the preset in the end.

    1. What can be wrong with the settings, the shards and the output folder is
       found out before a device is used.
    2. The strategy, the model, its optimizer, the graph.
    3. The last checkpoint, if there is one; the data begin where it ends.
    4. Steps, evaluations, checkpoints.

    Args:
        settings: `PretrainingSettings`.

    Raises:
        ValueError: if settings, shards and output folder do not go together.
        OSError: if the output folder cannot be written.
    """

    def __init__(self, settings):
        absl.logging.set_verbosity(absl.logging.ERROR)
        self.settings = settings
        self.shards = open_packed_folder(settings.data)
        check_positions(settings, self.shards)
        os.makedirs(settings.output, exist_ok=True)
        if settings.deterministic:
            tf.config.experimental.enable_op_determinism()
        # Before anything else uses TensorFlow's devices.
        self.strategy = make_strategy(
            settings.strategy, settings.devices, settings.tpu
        )
        keras.utils.set_random_seed(settings.seed)
        self.preprocessor = make_preprocessor(settings, self.shards)
        settings.check_replicas(self.strategy.num_replicas_in_sync)
        self.is_chief = is_chief(self.strategy)
        if self.is_chief:
            settings.remember(self.shards)
        self._make_model()
        self._restore()

    def _make_model(self):
        settings = self.settings
        # Each process counts for itself.
        self.global_step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.rows_seen = tf.Variable(0, dtype=tf.int64, trainable=False)
        with self.strategy.scope():
            self.task = make_task(settings, self.shards, self.preprocessor)
            self.optimizer = reduced_gradient_optimizer(settings)
            self.optimizer.build(self.task.trainable_variables)
            self.step = TrainStep(
                self.task,
                self.optimizer,
                settings.accumulation_steps,
                self._jit_compile(),
                settings.seed,
            )
        self.checkpoints = Checkpoints(
            settings.output,
            {
                "step": self.global_step,
                "rows_seen": self.rows_seen,
                "weights": [v.value for v in self.task.weights],
                "optimizer": [v.value for v in self.optimizer.variables],
                "dropout_seeds": [v.value for v in seed_states(self.task)],
            },
            settings.keep,
            self.is_chief,
        )
        if self.is_chief:
            self._check_disk()

    def _check_disk(self):
        # The best one, and the one that is written before an old one goes.
        num_checkpoints = self.settings.keep + 2
        needed = num_checkpoints * self.checkpoints.size()
        free = shutil.disk_usage(self.settings.output).free
        if free < needed:
            raise OSError(
                f"There is too little room for {num_checkpoints} checkpoints "
                f"of {self.checkpoints.size() / 1e6:,.0f} MB in "
                f"{self.settings.output}: {free / 1e6:,.0f} MB are free, "
                f"{needed / 1e6:,.0f} MB are needed. Make room, choose another "
                "output, or keep fewer (--keep)"
            )

    def _jit_compile(self):
        if self.settings.jit_compile is not None:
            return self.settings.jit_compile
        # A TPU compiles in any case, and on a CPU XLA is slower.
        return bool(tf.config.list_physical_devices("GPU"))

    def _restore(self):
        settings = self.settings
        self.first_step = self.checkpoints.restore()
        self._check_workers_agree()
        position = self.first_step * settings.batch_size
        rows_seen = int(self.rows_seen.numpy())
        if self.first_step and rows_seen != position:
            raise ValueError(
                f"The checkpoint of step {self.first_step} in {settings.output}"
                f" is of {rows_seen} rows, and not of {position}: it was made "
                "with another `batch_size`."
            )
        self.history = History(settings.output, self.first_step)
        if self.first_step:
            self._say(f"goes on from step {self.first_step:,}")
        self.is_stopped = False

    def _check_workers_agree(self):
        """All workers must have read the same checkpoint."""
        total = sum_over_replicas(
            self.strategy, tf.constant(self.first_step, tf.int64)
        )
        expected = self.first_step * self.strategy.num_replicas_in_sync
        if int(total) != expected:
            raise ValueError(
                "All workers must read the same checkpoints: `output` must be "
                "a folder that they share. Received: output="
                f"{self.settings.output}, step {self.first_step} here and "
                "another one elsewhere."
            )

    def _controller(self):
        settings = self.settings
        self._stop = stop_variable()
        trainer = PretrainingTrainer(
            self.strategy,
            self.step,
            inputs.training_dataset(
                self.strategy,
                self.shards,
                self.preprocessor,
                settings,
                self.first_step,
            ),
            self.global_step,
            self._stop,
        )
        evaluator = None
        if VALIDATION in self.shards.shards:
            dataset = inputs.evaluation_dataset(
                self.strategy, self.shards, self.preprocessor, settings
            )
            evaluator = PretrainingEvaluator(
                self.strategy, self.task, dataset, self._jit_compile()
            )
        has_events = settings.tensorboard and self.is_chief
        return orbit.Controller(
            global_step=self.global_step,
            trainer=trainer,
            evaluator=evaluator,
            strategy=self.strategy,
            steps_per_loop=settings.steps_per_loop,
            train_actions=[self._keep_figures, self._break_off],
            eval_actions=[self._keep_figures],
            summary_dir=(
                os.path.join(settings.output, "tensorboard")
                if has_events
                else None
            ),
        )

    def _keep_figures(self, figures):
        self._figures = dict(figures)

    def _break_off(self, figures):
        del figures
        if self._stop:
            # Orbit would ask for the missing steps again and again.
            raise _Stopped

    def run(self):
        """Trains until the last step, or until it is asked to stop.

        Returns:
            True if the training is done, False if it was asked to stop.
        """
        settings = self.settings
        is_alone = not is_multiworker(self.strategy)
        with _quiet():
            controller = self._controller()
        if controller.evaluator is None:
            self._say("no validation split: nothing is evaluated")
        with (
            StopRequest(self._stop if is_alone else None) as request,
            self._progress() as progress,
        ):
            step = self.first_step
            while step < settings.num_steps and not self._is_asked(request):
                step = self._train_loop(controller, step, progress)
                is_last = step == settings.num_steps
                if (
                    controller.evaluator
                    and (is_last or step % settings.evaluation_interval == 0)
                    and not self._stop
                ):
                    self._evaluate(controller, step)
                if is_last or step % settings.checkpoint_interval == 0:
                    self._save(step)
                if step == settings.stop_at_step:
                    request.ask()
            if step < settings.num_steps:
                self._save(step)
        self.signal = request.signal
        if self.is_chief:
            self.history.draw()
        if step < settings.num_steps:
            return False
        self._save_preset()
        return True

    def _is_asked(self, request):
        is_asked = request.signal is not None
        if not is_multiworker(self.strategy):
            return is_asked
        # Workers stop together, if any of them was asked to.
        asked = tf.constant(int(is_asked), tf.int64)
        return int(sum_over_replicas(self.strategy, asked)) > 0

    def _next_stop(self, step):
        settings = self.settings
        intervals = (
            settings.steps_per_loop,
            settings.evaluation_interval,
            settings.checkpoint_interval,
        )
        stops = [(step // interval + 1) * interval for interval in intervals]
        stops.append(settings.num_steps)
        if settings.stop_at_step is not None and step < settings.stop_at_step:
            stops.append(settings.stop_at_step)
        return min(stops)

    def _train_loop(self, controller, step, progress):
        start = time.perf_counter()
        with _quiet(), contextlib.suppress(_Stopped):
            controller.train(self._next_stop(step))
        seconds = time.perf_counter() - start
        new_step = int(self.global_step.numpy())
        num_rows = (new_step - step) * self.settings.batch_size
        if num_rows:
            figures = {
                **self._figures,
                "examples_per_second": num_rows / seconds,
            }
            self.history.add(new_step, figures)
            progress.advance(
                self._shown(num_rows / seconds), steps=new_step - step
            )
        return new_step

    def _shown(self, rows_per_second):
        flops = rows_per_second * self.flops_per_row
        length = self.preprocessor.sequence_length
        shown = {
            "tokens/s": rows_per_second * length,
            "GFLOP/s": flops / 1e9,
            "of peak": flops / self.peak,
        }
        return {**shown, **self._figures}

    def _progress(self):
        settings = self.settings
        if self.is_chief:
            self.flops_per_row = training_flops(
                self.task.backbone,
                row_sizes(self.preprocessor),
                self.task.objectives,
            )
            # Devices that a CPU was split into share its peak.
            has_accelerators = bool(tf.config.list_logical_devices("GPU"))
            num_devices = (
                self.strategy.num_replicas_in_sync
                if has_accelerators or settings.strategy != "mirrored"
                else 1
            )
            self.peak = num_devices * matmul_peak(
                _PEAK_DTYPES[settings.precision]
            )
        else:
            self.flops_per_row, self.peak = 0, 1
        return Progress(
            "pre-training",
            settings.num_steps,
            self.first_step,
            settings.batch_size,
            is_shown=self.is_chief,
        )

    def _evaluate(self, controller, step):
        best = self.history.best()
        with _quiet():
            controller.evaluate()
        self.history.add(step, self._figures)
        if self.is_chief:
            self.history.draw()
        if self._figures["val_loss"] < best:
            self._set_position(step)
            self.checkpoints.save_best(step)

    def _set_position(self, step):
        self.rows_seen.assign(step * self.settings.batch_size)

    def _save(self, step):
        self._set_position(step)
        if self.is_chief:
            # The history first: what lies beyond the checkpoint is dropped
            # when it is read again.
            self.history.write()
        self.checkpoints.save(step)

    def _save_preset(self):
        path = os.path.join(self.settings.output, "preset")
        if self.is_chief:
            with replacing(path) as temporary:
                self.task.save_to_preset(temporary)
                self._write_card(temporary)
            self._say(f"done: the model is in {path}")

    def _write_card(self, folder):
        settings = dataclasses.asdict(self.settings)
        data = os.path.basename(os.path.normpath(settings.pop("data")))
        del settings["output"]
        evaluated = [row for row in self.history.rows if "val_loss" in row]
        write_model_card(
            folder,
            training_data=f"The shards `{data}`.",
            recipe={
                name: value
                for name, value in settings.items()
                if value is not None
            },
            scores={
                name: round(value, 4)
                for name, value in (evaluated or [{}])[-1].items()
                if name.startswith("val_")
            },
        )

    def _say(self, text):
        if self.is_chief:
            print(f"pre-training: {text}", flush=True)


class _Stopped(Exception):
    """The loop ended before its last step."""


@contextlib.contextmanager
def _quiet():
    """Orbit prints what the progress line says already."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
