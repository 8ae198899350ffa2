"""Pre-training on TensorFlow: devices, input, the compiled loop, the state."""

import absl.logging
import tensorflow as tf

from unilmv2_tf.datasets import masked_batches
from unilmv2_tf.datasets.shard_reading import evaluation_batches
from unilmv2_tf.training.optimizer import make_optimizer
from unilmv2_tf.training.strategies import is_chief
from unilmv2_tf.training.strategies import is_multiworker
from unilmv2_tf.training.strategies import make_strategy
from unilmv2_tf.training.strategies import sum_over_replicas
from unilmv2_tf.training.train_step import StepSums
from unilmv2_tf.training.train_step import TrainStep
from unilmv2_tf.training.training_state import Checkpoints
from unilmv2_tf.training.training_state import seed_states

# What TensorFlow raises when another worker ends or cannot be reached.
WORKER_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class TensorFlowEngine:
    """Trains on a strategy: `build`, `restore`, `start_input`, then `train`."""

    def __init__(self, args):
        absl.logging.set_verbosity(absl.logging.ERROR)
        if args.deterministic:
            tf.config.experimental.enable_op_determinism()
        self.args = args
        self.strategy = make_strategy(args.strategy, args.devices, args.tpu)
        self.num_replicas = self.strategy.num_replicas_in_sync
        self.is_chief = is_chief(self.strategy)
        # Workers that wait for each other must not stop by themselves.
        self.can_stop_alone = not is_multiworker(self.strategy)
        self.jit_compile = args.jit_compile
        if self.jit_compile is None:
            # A TPU compiles in any case, and on a CPU XLA is slower.
            self.jit_compile = bool(tf.config.list_physical_devices("GPU"))
        with tf.device("CPU:0"):
            self._stop = tf.Variable(False, trainable=False)

    def build(self, make_task):
        """Makes the task and its optimizer on the devices."""
        args = self.args
        # Outside of the scope: each process counts for itself.
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        with self.strategy.scope():
            self.task = make_task()
            optimizer = make_optimizer(args, args.num_steps, args.warmup_steps)
            optimizer.build(self.task.trainable_variables)
            self._update = TrainStep(
                self.task,
                optimizer,
                args.accumulation_steps,
                self.jit_compile,
                args.seed,
            )
        self._sums = StepSums(self.task.objectives)
        self._evaluation_sums = tf.function(
            self._evaluate_share, jit_compile=self.jit_compile or None
        )
        self.checkpoints = Checkpoints(
            args.output,
            {
                "step": self._step,
                "weights": [v.value for v in self.task.weights],
                "optimizer": [v.value for v in optimizer.variables],
                "dropout_seeds": [v.value for v in seed_states(self.task)],
            },
            args.keep,
            self.is_chief,
        )

    def restore(self):
        """Restores the latest checkpoint; returns its step, or 0."""
        step = self.checkpoints.restore()
        total = sum_over_replicas(self.strategy, tf.constant(step, tf.int64))
        if int(total) != step * self.num_replicas:
            raise ValueError(
                "All workers must read the same checkpoints: `output` must be "
                "a folder that they share. Received: output="
                f"{self.args.output}, step {step} here, another one elsewhere."
            )
        return step

    def start_input(self, shards, preprocessor, step):
        """Starts the batches of training at a step."""
        args = self.args
        size = args.batch_size // self.num_replicas

        def training(context):
            batches = masked_batches(
                shards,
                "train",
                preprocessor,
                args.batch_size,
                seed=args.seed,
                start_step=step,
                num_workers=context.num_input_pipelines,
                worker=context.input_pipeline_id,
            )
            return batches.rebatch(size, drop_remainder=True).prefetch(2)

        distribute = self.strategy.distribute_datasets_from_function
        self._training = iter(distribute(training))
        self.held_out = None
        if "validation" in shards.shards:
            self.held_out = self._held_out_batches(shards, preprocessor)

    def _held_out_batches(self, shards, preprocessor):
        args = self.args
        num_rows = shards.num_rows("validation")
        if args.evaluation_rows:
            num_rows = min(num_rows, args.evaluation_rows)
        # At most as many at once as in training, where gradients need memory
        # too, and no more than there are.
        size = min(
            args.batch_size // self.num_replicas // args.accumulation_steps,
            -(-num_rows // self.num_replicas),
        )

        def held_out(context):
            batches = evaluation_batches(
                shards,
                "validation",
                preprocessor,
                size * self.num_replicas,
                num_rows,
            )
            local = size * self.num_replicas // context.num_input_pipelines
            first = context.input_pipeline_id * local
            batches = batches.map(
                lambda *batch: tf.nest.map_structure(
                    lambda x: x[first : first + local], batch
                )
            )
            return batches.rebatch(size, drop_remainder=True).prefetch(2)

        return self.strategy.distribute_datasets_from_function(held_out)

    @property
    def is_stopping(self):
        """Whether `stop` was called."""
        return bool(self._stop)

    def stop(self):
        """Makes `train` return after the update at hand; from any thread."""
        self._stop.assign(True)

    def train(self, num_steps):
        """Runs updates in one call of the graph, fewer if `stop` is called.

        Returns how many, and their mean losses and accuracies.
        """
        before = int(self._step.numpy())
        sums = self._train_loop(self._training, tf.constant(num_steps))
        # The only transfer from the devices in all of these updates.
        means = self._sums.means(sums.numpy())
        return int(self._step.numpy()) - before, means

    @tf.function
    def _train_loop(self, iterator, num_steps):
        sums = tf.zeros([self._sums.size])
        done = tf.constant(0)
        while done < num_steps and not self._stop:
            of_replicas = self.strategy.run(
                self._update, args=(next(iterator), self._step.read_value())
            )
            sums += self.strategy.reduce(
                tf.distribute.ReduceOp.SUM, of_replicas, axis=None
            )
            self._step.assign_add(1)
            done += 1
        return sums

    def evaluate(self):
        """A dict of the mean losses and accuracies on the held-out rows."""
        sums = self._evaluation_loop(iter(self.held_out))
        means = self._sums.means(sums.numpy())
        return {f"val_{name}": value for name, value in means.items()}

    @tf.function
    def _evaluation_loop(self, iterator):
        sums = tf.zeros([self._sums.size])
        for batch in iterator:
            sums += self.strategy.reduce(
                tf.distribute.ReduceOp.SUM,
                self.strategy.run(self._evaluation_sums, args=(batch,)),
                axis=None,
            )
        return sums

    def _evaluate_share(self, batch):
        x, y, sample_weight = batch
        return self._sums(self.task(x, training=False), y, sample_weight)

    def any_worker(self, condition):
        """Whether a condition holds for any worker; all must ask."""
        if self.can_stop_alone:
            return bool(condition)
        value = tf.constant(int(condition), tf.int64)
        return int(sum_over_replicas(self.strategy, value)) > 0
