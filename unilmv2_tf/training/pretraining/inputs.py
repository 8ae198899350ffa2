import tensorflow as tf

from unilmv2_tf.datasets.packed import evaluation_batches
from unilmv2_tf.datasets.packed import masked_batches


def training_dataset(strategy, shards, preprocessor, settings, first_step):
    """Batches of training, each replica's share of each.

    Args:
        strategy: a `tf.distribute.Strategy`.
        shards: `PackedFolder`.
        preprocessor: a `UniLMv2PseudoMaskedLMPreprocessor`.
        settings: `PretrainingSettings`.
        first_step: int. The step of the first batch.

    Returns:
        A distributed dataset.
    """
    size = settings.batch_size // strategy.num_replicas_in_sync

    def dataset(context):
        batches = masked_batches(
            shards,
            "train",
            preprocessor,
            settings.batch_size,
            seed=settings.seed,
            start_step=first_step,
            num_workers=context.num_input_pipelines,
            worker=context.input_pipeline_id,
        )
        return batches.rebatch(size, drop_remainder=True).prefetch(2)

    return strategy.distribute_datasets_from_function(dataset)


def evaluation_dataset(strategy, shards, preprocessor, settings):
    """One pass over the held-out rows, each replica's share of each batch.

    Args:
        strategy: a `tf.distribute.Strategy`.
        shards: `PackedFolder`.
        preprocessor: a `UniLMv2PseudoMaskedLMPreprocessor`.
        settings: `PretrainingSettings`.

    Returns:
        A distributed dataset.
    """
    num_replicas = strategy.num_replicas_in_sync
    num_rows = shards.num_rows("validation")
    if settings.evaluation_rows:
        num_rows = min(num_rows, settings.evaluation_rows)
    # No larger than in training, where the gradients need memory as well, and
    # no larger than what there is.
    size = min(
        settings.batch_size // num_replicas // settings.accumulation_steps,
        -(-num_rows // num_replicas),
    )

    def dataset(context):
        num_workers = context.num_input_pipelines
        worker = context.input_pipeline_id
        batches = evaluation_batches(
            shards, "validation", preprocessor, size * num_replicas, num_rows
        )
        local_size = size * num_replicas // num_workers
        share = slice(worker * local_size, (worker + 1) * local_size)
        batches = batches.map(
            lambda *batch: tf.nest.map_structure(lambda x: x[share], batch)
        )
        return batches.rebatch(size, drop_remainder=True).prefetch(2)

    return strategy.distribute_datasets_from_function(dataset)
