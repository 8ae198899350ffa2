"""Devices, machines and TPUs as a `tf.distribute.Strategy`."""

import contextlib
import json
import os
import re

import tensorflow as tf


def make_strategy(name, devices=None, tpu=None):
    """The `tf.distribute.Strategy` of a name, before a device is used."""
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
    """Raises ValueError if the text of `TF_CONFIG` is missing or malformed."""
    try:
        config = json.loads(text or "null")
        cluster, task = config["cluster"], config["task"]
        is_valid = (
            cluster.keys() <= {"worker", "chief"}
            and all(map(_are_addresses, cluster.values()))
            and type(task["index"]) is int
            and 0 <= task["index"] < len(cluster[task["type"]])
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        is_valid = False
    if not is_valid:
        example = (
            '{"cluster": {"worker": ["HOST1:PORT", "HOST2:PORT"]}, '
            '"task": {"type": "worker", "index": 0}}'
        )
        raise ValueError(
            "The environment variable TF_CONFIG must name all workers as JSON, "
            f"and which one this is, for example {example}. Received: "
            f"TF_CONFIG={text!r}"
        )


def _are_addresses(hosts):
    return isinstance(hosts, list) and all(
        isinstance(host, str)
        and (port := re.fullmatch(r".+:(\d+)", host))
        and 0 < int(port[1]) < 65536
        for host in hosts
    )


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
    if count > 1:
        # There may be enough of them if TensorFlow has begun.
        with contextlib.suppress(RuntimeError):
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration()] * count,
            )
    if len(tf.config.list_logical_devices("CPU")) < count:
        raise ValueError(
            "`devices` must be 1 once TensorFlow has used the CPU: it cannot "
            f"be split any more. Received: devices={count}"
        )
    return [f"CPU:{index}" for index in range(count)]


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


def check_replicas(args, num_replicas):
    """Raises ValueError if the devices cannot share a batch evenly."""
    parts = num_replicas * args.accumulation_steps
    if args.batch_size % parts:
        low = args.batch_size // parts * parts
        raise ValueError(
            f"`batch_size` must be a multiple of {parts}: {num_replicas} "
            f"devices times accumulation_steps={args.accumulation_steps}. "
            f"Received: batch_size={args.batch_size}. The nearest are "
            f"{max(low, parts)} and {low + parts}."
        )
