"""One update of pre-training, as each replica computes its share of it."""

import tensorflow as tf

from unilmv2_tf.training.training_state import seed_states

# A forward pass draws at most this often from one seed generator.
DRAWS = 16


class TrainStep:
    """One update of the weights.

    The loss is the mean over the masked tokens of the whole batch, of all
    replicas: sums are divided by a number that they have agreed on before. So
    neither the number of replicas nor the number of micro-batches changes the
    result.

    Dropout is a function of the seed, the step, the micro-batch and the
    replica, so that a resumed training draws what it would have drawn.

    Nothing in it handles text, reads a file or calls Python: XLA can compile
    all of it.

    Called with a batch `(x, y, sample_weight)` of the replica's rows and the
    number of updates before, an int64 scalar, it updates the weights and
    returns the sums of these rows, see `StepSums`.

    Reference:
        Bao et al., 2020, equations 3 to 7.
    """

    def __init__(
        self,
        task,
        optimizer,
        accumulation_steps=1,
        jit_compile=False,
        seed=0,
    ):
        self.task = task
        self.optimizer = optimizer
        self.accumulation_steps = accumulation_steps
        self.seed = seed
        self.sums = StepSums(task.objectives)
        self._seed_states = seed_states(task)
        self._gradients_of_share = (
            tf.function(self._share, jit_compile=True)
            if jit_compile
            else self._share
        )

    def __call__(self, batch, step):
        replica = tf.distribute.get_replica_context()
        num_replicas = replica.num_replicas_in_sync
        num_tokens = tf.reduce_sum(batch[2])
        if num_replicas > 1:
            num_tokens = replica.all_reduce(
                tf.distribute.ReduceOp.SUM, num_tokens
            )
        # A dropout stream for each micro-batch of each replica.
        first_stream = (
            step * num_replicas
            + tf.cast(replica.replica_id_in_sync_group, tf.int64)
        ) * self.accumulation_steps
        gradients, sums = self._gradients_of_share(
            batch, tf.maximum(num_tokens, 1.0), first_stream
        )
        if num_replicas > 1:
            gradients = replica.all_reduce(
                tf.distribute.ReduceOp.SUM, gradients
            )
        self.optimizer.apply(gradients, self.task.trainable_variables)
        return sums

    def _share(self, batch, num_tokens, first_stream):
        parts = self.accumulation_steps
        if parts == 1:
            return self._part(batch, num_tokens, first_stream)
        batch = tf.nest.map_structure(
            lambda x: tf.reshape(x, [parts, x.shape[0] // parts, *x.shape[1:]]),
            batch,
        )

        def add(part, totals):
            share = tf.nest.map_structure(lambda x: x[part], batch)
            stream = first_stream + tf.cast(part, tf.int64)
            more = self._part(share, num_tokens, stream)
            return part + 1, tf.nest.map_structure(tf.add, totals, more)

        zeros = (
            [tf.zeros(v.shape, v.dtype) for v in self.task.trainable_variables],
            tf.zeros([self.sums.size]),
        )
        _, totals = tf.while_loop(
            lambda part, _: part < parts, add, (tf.constant(0), zeros)
        )
        return totals

    def _part(self, batch, num_tokens, stream):
        self._set_seeds(stream)
        x, y, sample_weight = batch
        with tf.GradientTape() as tape:
            sums = self.sums(self.task(x, training=True), y, sample_weight)
            loss = self.sums.loss(sums) / num_tokens
            loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(
            loss,
            [variable.value for variable in self.task.trainable_variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return [tf.convert_to_tensor(gradient) for gradient in gradients], sums

    def _set_seeds(self, stream):
        for index, state in enumerate(self._seed_states):
            key = tf.constant(self.seed * 4093 + index, state.dtype)
            state.assign(tf.stack([key, tf.cast(stream, state.dtype) * DRAWS]))


class StepSums:
    """Sums over masked tokens, from which losses and accuracies are made.

    Called with predictions, a dict from objective to logits `(batch, m,
    vocabulary)`, y `(batch, m)` and sample_weight `(batch, m)`, it returns a
    float32 tensor `(size,)`: the number of tokens, and for each objective the
    sum of the losses and the number of hits.

    Example:

    >>> from unilmv2_tf.training.train_step import StepSums
    >>> StepSums(("ae",)).means([4.0, 10.0, 1.0])
    {'loss': 2.5, 'ae_loss': 2.5, 'ae_accuracy': 0.25}
    """

    def __init__(self, objectives):
        self.objectives = tuple(objectives)
        self.size = 1 + 2 * len(self.objectives)

    def __call__(self, predictions, y, sample_weight):
        sums = [tf.reduce_sum(sample_weight)]
        for name in self.objectives:
            logits = tf.cast(predictions[name], tf.float32)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            hits = tf.equal(tf.argmax(logits, axis=-1, output_type=y.dtype), y)
            sums.append(tf.reduce_sum(losses * sample_weight))
            sums.append(
                tf.reduce_sum(tf.cast(hits, tf.float32) * sample_weight)
            )
        return tf.stack(sums)

    def loss(self, sums):
        """The sum of the losses of all objectives."""
        return tf.reduce_sum(sums[1::2])

    def means(self, sums):
        """A dict of the mean losses and accuracies over the tokens."""
        num_tokens, *rest = [float(value) for value in sums]
        num_tokens = max(num_tokens, 1.0)
        means = {"loss": sum(rest[::2]) / num_tokens}
        for index, name in enumerate(self.objectives):
            means[f"{name}_loss"] = rest[2 * index] / num_tokens
            means[f"{name}_accuracy"] = rest[2 * index + 1] / num_tokens
        return means
