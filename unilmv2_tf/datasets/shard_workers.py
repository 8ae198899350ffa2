"""Runs jobs in this process, in others, or on an Apache Beam runner."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading

import tensorflow as tf

from unilmv2_tf.optional_imports import optional_import


@contextlib.contextmanager
def workers(function, num_workers=1, runner=None, runner_options=()):
    """Gives a function from jobs to an iterator over their results."""
    if runner is not None:
        beam = optional_import("apache_beam", "beam")
        options = optional_import(
            "apache_beam.options.pipeline_options", "beam"
        )
        options = options.PipelineOptions(list(runner_options))

        def make(jobs):
            with beam.Pipeline(runner, options=options) as pipeline:
                _ = (
                    pipeline
                    | beam.Create(jobs)
                    | beam.Reshuffle()
                    | beam.Map(function)
                )
            return jobs

        yield make
        return
    if num_workers == 1:
        yield lambda jobs: map(function, jobs)
        return
    others = set(multiprocessing.active_children())
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers, multiprocessing.get_context("spawn"), _start_worker
    )

    def make(jobs):
        futures = [executor.submit(function, job) for job in jobs]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except concurrent.futures.process.BrokenProcessPool:
            raise ChildProcessError(
                "A process that makes shards was killed, probably because "
                "memory ran out: take fewer with --num_workers"
            ) from None

    with executor:
        try:
            yield make
        except BaseException:
            # Ends the processes in the middle of their work.
            executor.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _start_worker():
    # The user interrupts the main process, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def follow():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
