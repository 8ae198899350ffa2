import orbit
import tensorflow as tf

from unilmv2_tf.training.pretraining.train_step import StepSums


class PretrainingTrainer(orbit.AbstractTrainer):
    """Runs updates in the graph, many in one call.

    Args:
        strategy: a `tf.distribute.Strategy`.
        step: a `TrainStep`, made in the strategy's scope.
        dataset: a distributed dataset of batches.
        global_step: int64 `tf.Variable`. How many updates were done.
        stop: bool `tf.Variable`. If it becomes true, the loop ends after the
            step at hand.
    """

    def __init__(self, strategy, step, dataset, global_step, stop):
        self.strategy = strategy
        self.step = step
        self.global_step = global_step
        self._iterator = iter(dataset)
        self._stop = stop

    def train(self, num_steps):
        """Does a number of updates, or fewer if it was asked to stop.

        Args:
            num_steps: int32 scalar.

        Returns:
            A dict of floats: the mean losses and accuracies of these steps.
        """
        sums = self._loop(self._iterator, num_steps)
        return self.step.sums.means(sums.numpy())

    @tf.function
    def _loop(self, iterator, num_steps):
        sums = tf.zeros([self.step.sums.size])
        done = tf.constant(0)
        while done < num_steps and not self._stop:
            of_replicas = self.strategy.run(
                self.step,
                args=(next(iterator), self.global_step.read_value()),
            )
            sums += self.strategy.reduce(
                tf.distribute.ReduceOp.SUM, of_replicas, axis=None
            )
            self.global_step.assign_add(1)
            done += 1
        return sums


class PretrainingEvaluator(orbit.AbstractEvaluator):
    """Losses and accuracies on held-out rows with fixed masks.

    Args:
        strategy: a `tf.distribute.Strategy`.
        task: a `UniLMv2PseudoMaskedLM`.
        dataset: a distributed dataset of batches, one pass.
        jit_compile: bool. Whether XLA compiles the forward pass. Defaults to
            `False`.
    """

    def __init__(self, strategy, task, dataset, jit_compile=False):
        self.strategy = strategy
        self.task = task
        self.sums = StepSums(task.objectives)
        self._dataset = dataset
        self._sums_of_share = tf.function(
            self._share, jit_compile=jit_compile or None
        )

    def evaluate(self, num_steps):
        """Goes through the held-out rows once.

        Args:
            num_steps: not used: the dataset ends.

        Returns:
            A dict of floats, the names begin with `val_`.
        """
        del num_steps
        sums = self._loop(iter(self._dataset))
        means = self.sums.means(sums.numpy())
        return {f"val_{name}": value for name, value in means.items()}

    def _share(self, batch):
        x, y, sample_weight = batch
        return self.sums(self.task(x, training=False), y, sample_weight)

    @tf.function
    def _loop(self, iterator):
        sums = tf.zeros([self.sums.size])
        for batch in iterator:
            sums += self.strategy.reduce(
                tf.distribute.ReduceOp.SUM,
                self.strategy.run(self._sums_of_share, args=(batch,)),
                axis=None,
            )
        return sums
