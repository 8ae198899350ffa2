"""Devices, machines and TPUs as a `tf.distribute.Strategy`."""

import json
import os

import tensorflow as tf


def make_strategy(name, devices=None, tpu=None):
    """The distribution strategy of a name; before TensorFlow uses a device.

    Args:
        name: string. `"one"`, `"mirrored"`, `"multiworker"` or `"tpu"`.
        devices: int. Number of local devices for `"mirrored"`; CPUs are split
            into as many. Defaults to `None`: all accelerators, or the CPU.
        tpu: string. Address of the TPU. Defaults to `None`: the local one.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: if there are fewer devices, `TF_CONFIG` is malformed, or
            there is no TPU.
    """
    if name == "multiworker":
        check_tf_config(os.environ.get("TF_CONFIG"))
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_local_devices(devices))
    if name == "tpu":
        return _tpu_strategy(tpu)
    return tf.distribute.get_strategy()


def is_chief(strategy):
    """Whether this process writes: True but for workers 1, 2, ... of many."""
    if not is_multiworker(strategy):
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type in (None, "", "chief") or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().as_dict()
    )


def is_multiworker(strategy):
    """Whether other processes take part in the training."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


@tf.function
def sum_over_replicas(strategy, value):
    """The sum of an int64 scalar over all replicas of all workers."""
    return strategy.reduce(
        tf.distribute.ReduceOp.SUM,
        strategy.run(tf.identity, args=(value,)),
        axis=None,
    )


def check_tf_config(text):
    """Raises ValueError if the text of `TF_CONFIG` is missing or malformed.

    Example:

    >>> from unilmv2_tf.training.strategies import check_tf_config
    >>> check_tf_config(
    ...     '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]},'
    ...     ' "task": {"type": "worker", "index": 0}}')
    """
    example = (
        '{"cluster": {"worker": ["HOST1:PORT", "HOST2:PORT"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )

    def fail(problem):
        raise ValueError(
            "The environment variable TF_CONFIG must name all workers and "
            f"which one this is, for example {example}. {problem}"
        )

    if not text:
        fail("It is not set.")
    try:
        config = json.loads(text)
    except ValueError as error:
        fail(f"Received: {text!r}, which is not JSON: {error}")
    if not isinstance(config, dict):
        fail(f"Received: {text!r}")
    cluster, task = config.get("cluster"), config.get("task")
    if not isinstance(cluster, dict) or not cluster:
        fail(f"Received no cluster: {text!r}")
    for kind, addresses in cluster.items():
        if kind not in ("worker", "chief"):
            fail(f"Received workers of the unknown type {kind!r}.")
        if not isinstance(addresses, list) or not all(
            isinstance(address, str) and _is_address(address)
            for address in addresses
        ):
            fail(f"Received: {kind}={addresses!r}, not a list of HOST:PORT.")
    if not isinstance(task, dict):
        fail(f"Received no task: {text!r}")
    kind, index = task.get("type"), task.get("index")
    if not isinstance(kind, str) or kind not in cluster:
        fail(f"Received the task type {kind!r}, which the cluster lacks.")
    if type(index) is not int or not 0 <= index < len(cluster[kind]):
        fail(
            f"Received the task index {index!r} with {len(cluster[kind])} "
            f"{kind} in the cluster."
        )


def _is_address(text):
    host, colon, port = text.rpartition(":")
    return bool(host and colon and port.isdigit() and 0 < int(port) < 65536)


def _local_devices(count):
    accelerators = tf.config.list_physical_devices("GPU")
    if accelerators:
        names = [f"GPU:{index}" for index in range(len(accelerators))]
        if count is not None and count > len(names):
            raise ValueError(
                "`devices` must be at most the number of accelerators, "
                f"{len(names)}. Received: devices={count}"
            )
        return names[:count]
    count = count or 1
    _split_cpu(count)
    if len(tf.config.list_logical_devices("CPU")) < count:
        raise ValueError(
            "`devices` must be 1 once TensorFlow has used the CPU: it cannot "
            f"be split any more. Received: devices={count}"
        )
    return [f"CPU:{index}" for index in range(count)]


def _split_cpu(count):
    if count < 2:
        return
    try:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * count,
        )
    except RuntimeError:
        # TensorFlow has begun. There may be enough of them already.
        return


def _tpu_strategy(address):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            address or "local"
        )
        if address not in (None, "", "local"):
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (
        ValueError,
        tf.errors.NotFoundError,
        tf.errors.InvalidArgumentError,
        tf.errors.UnavailableError,
    ) as error:
        raise ValueError(
            f"There is no TPU at `tpu`={address or 'local'!r}: "
            f"{str(error).splitlines()[0]}. Give the address of a TPU, or "
            "another --strategy."
        ) from None
    return tf.distribute.TPUStrategy(resolver)
