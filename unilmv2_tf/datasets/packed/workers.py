"""Shards that are made ahead, by other processes of this machine."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading

from unilmv2_tf.datasets.packed.packer import pack_shard


class WorkAhead:
    """Makes shards in other processes and gives them out in order.

    At most two shards for each process are under way or waiting, so that
    memory does not grow with the corpus.

    Args:
        jobs: list of `ShardJob`, in the order in which they are asked for.
        num_workers: int. How many processes work. With 1, this one does.
        on_shard: function of a job and its rows, called when a shard is given
            out.
    """

    def __init__(self, jobs, num_workers, on_shard):
        self._jobs = collections.deque(jobs)
        self._num_workers = min(num_workers, len(jobs))
        self._on_shard = on_shard
        self._futures = collections.deque()
        self._executor = None

    def __enter__(self):
        if self._num_workers > 1:
            context = multiprocessing.get_context("spawn")
            stop, self._stop = context.Pipe(duplex=False)
            self._executor = concurrent.futures.ProcessPoolExecutor(
                self._num_workers,
                mp_context=context,
                initializer=_start_worker,
                initargs=(stop,),
            )
        return self

    def __exit__(self, kind, error, traceback):
        if self._executor is None:
            return
        if kind is not None:
            # Nobody waits for what is under way.
            self._stop.close()
        self._executor.shutdown(cancel_futures=True)
        self._stop.close()

    def __call__(self, job):
        """The rows of a job.

        Args:
            job: a `ShardJob`, the next one.

        Returns:
            An array of token ids.

        Raises:
            ValueError: if a record is wrong; the message names file and line.
            ChildProcessError: if a process was killed.
        """
        if self._executor is None:
            rows = pack_shard(job)
        else:
            rows = self._next()
        self._on_shard(job, rows)
        return rows

    def _next(self):
        try:
            while self._jobs and len(self._futures) < 2 * self._num_workers:
                future = self._executor.submit(pack_shard, self._jobs.popleft())
                self._futures.append(future)
            return self._futures.popleft().result()
        except concurrent.futures.process.BrokenProcessPool:
            raise ChildProcessError(
                "A process that packs rows was killed, probably because "
                "memory ran out: take fewer with --num_workers"
            ) from None


def _start_worker(stop):
    # The main process is interrupted by the user, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The main process may be killed: the end of the pipe tells.
    threading.Thread(target=_exit_with, args=(stop,), daemon=True).start()


def _exit_with(stop):
    try:
        stop.recv()
    except (EOFError, OSError):
        os._exit(1)
