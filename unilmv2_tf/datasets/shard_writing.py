"""Writes a folder of token shards: a corpus as rows of token ids.

Each shard is made in one process, by local workers or an Apache Beam runner;
TFDS writes the files. The folder appears complete or not at all.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import functools
import glob
import io
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from unilmv2_tf.datasets import token_shards
from unilmv2_tf.datasets.shard_plan import num_bytes_of
from unilmv2_tf.datasets.shard_plan import read_batches
from unilmv2_tf.datasets.token_shards import token_dtype
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.optional_imports import optional_import
from unilmv2_tf.preprocessing.packing import pack_token_ids
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer

# A validation shard reads the documents of this many training shards, and keeps
# few of them.
SHARDS_PER_VALIDATION_SHARD = 8
_ROWS_AT_ONCE = 4096
# An underestimate, to check the free space.
_BYTES_PER_TOKEN = 4
_NO_DOCUMENT = (
    "The sources have no document: nothing was written. Check that they are "
    "the right ones"
)


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """What a process must know to make one shard.

    Processes may be on machines that have only the file system in common: they
    read `tokenizer_file` and write what they count to `statistics_file`.
    """

    ranges: tuple
    split: str
    sequence_length: int
    validation_share: float
    tokenizer_file: str
    statistics_file: str


def write_token_shards(
    plan,
    tokenizer,
    output,
    sequence_length=512,
    validation_share=0.01,
    num_workers=1,
    runner=None,
    runner_options=(),
    overwrite=False,
    on_shard=lambda job, rows: None,
):
    """Writes the documents of a shard plan as rows of token ids.

    See `prepare` for the arguments. Leftovers of a killed run are removed by
    the next run with its output. `on_shard(job, rows)` is called after each
    shard, unless a runner is used. Returns a dict of counts.
    """
    _check_arguments(plan, sequence_length, validation_share, num_workers)
    output = os.path.abspath(os.fspath(output))
    beam_config = _beam_config(runner, runner_options)
    _check_output(output, overwrite)
    with _locked(output), _readable_errors(output):
        _check_space(output, plan, tokenizer)
        parent, name = os.path.split(output)
        with tempfile.TemporaryDirectory(".tmp", f".{name}.", parent) as folder:
            jobs = _plan_jobs(plan, folder, sequence_length, validation_share)
            _save_tokenizer(tokenizer, jobs[0].tokenizer_file)
            if runner is None:
                with _worker_processes(jobs, num_workers, on_shard) as make:
                    builder = _build(folder, jobs, make)
            else:
                builder = _build(folder, jobs, make_rows, **beam_config)
            statistics = _count(jobs)
            _check_documents(statistics, validation_share)
            with replacing(output) as finished:
                _finish(builder, statistics, finished)
    return statistics


def make_rows(job):
    """Makes the rows of a shard, and writes what was counted.

    Returns an array of token ids of shape `(rows, sequence_length)`.
    """
    tokenizer, tokenize, pack = _compiled(
        job.tokenizer_file, job.sequence_length
    )
    token_ids, starts = [], []
    sources = collections.defaultdict(collections.Counter)
    for source, texts, is_start in read_batches(
        job.ranges, job.split, job.validation_share
    ):
        tokens, lengths = (x.numpy() for x in tokenize(tf.constant(texts)))
        start_mask = np.zeros(len(tokens), np.int32)
        first = np.cumsum(lengths) - lengths
        start_mask[first[np.array(is_start) & (lengths > 0)]] = 1
        token_ids.append(tokens)
        starts.append(start_mask)
        sources[source].update(
            documents=sum(is_start), bytes=sum(map(len, texts))
        )
    token_ids = np.concatenate([np.zeros(0, np.int32), *token_ids])
    starts = np.concatenate([np.zeros(0, np.int32), *starts])
    dtype = token_dtype(tokenizer.vocabulary_size())
    rows = [np.zeros((0, job.sequence_length), dtype)]
    tokens_at_once = (job.sequence_length - 3) * _ROWS_AT_ONCE
    for begin in range(0, len(token_ids), tokens_at_once):
        part = slice(begin, begin + tokens_at_once)
        packed = pack(token_ids[part], starts[part])
        rows.append(packed.numpy().astype(dtype))
    rows = np.concatenate(rows)
    counts = {
        "documents": int(starts.sum()),
        "tokens": len(token_ids),
        "unknown_tokens": int(np.sum(token_ids == tokenizer.unk_token_id)),
        "rows": len(rows),
        "padding": int(np.sum(rows == tokenizer.pad_token_id)),
        "sources": sources,
    }
    write_text(job.statistics_file, json.dumps(counts))
    return rows


@functools.lru_cache(maxsize=1)
def _compiled(tokenizer_file, sequence_length):
    """Returns a tokenizer and its graphs, which are traced once a process."""
    with open(tokenizer_file, encoding="utf-8") as file:
        content = json.load(file)
    tokenizer = UniLMv2Tokenizer.from_config(
        {**content["config"], "vocabulary": content["vocabulary"]}
    )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def tokenize(texts):
        token_ids = tokenizer(texts)
        return tf.cast(token_ids.values, tf.int32), token_ids.row_lengths()

    # Segments and mask follow from the ids: they are pruned from this graph.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)] * 2)
    def pack(token_ids, starts):
        return pack_token_ids(token_ids, starts, tokenizer, sequence_length)[
            "token_ids"
        ]

    return tokenizer, tokenize, pack


def _save_tokenizer(tokenizer, path):
    content = {
        "config": tokenizer.get_config(),
        "vocabulary": tokenizer.get_vocabulary(),
    }
    write_text(path, json.dumps(content))


class _TokenShardsBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Rows `[CLS] S1 [SEP] S2 [SEP]` of token ids; `shards` by split."""

    name = token_shards.NAME
    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, shards, sequence_length, tokenizer, **kwargs):
        self._shards = shards
        self._sequence_length = sequence_length
        self._tokenizer = tokenizer
        super().__init__(**kwargs)

    def _info(self):
        token_ids = tfds.features.Tensor(
            shape=(self._sequence_length,),
            dtype=token_dtype(len(self._tokenizer["vocabulary"])),
            encoding="bytes",
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="Rows of token ids, made by `unilmv2 prepare`.",
            features=tfds.features.FeaturesDict({"token_ids": token_ids}),
            metadata=tfds.core.MetadataDict(
                format=token_shards.FORMAT,
                sequence_length=self._sequence_length,
                tokenizer=self._tokenizer,
            ),
        )

    def _shard_iterators_per_split(self, dl_manager):
        return self._shards


def _build(folder, jobs, make, **beam_config):
    """Writes all shards with TFDS; `make` makes the rows of a job."""
    tfds.disable_progress_bar()
    shards = collections.defaultdict(list)
    for job in jobs:
        shards[job.split].append(functools.partial(_examples, make, job))
    with open(jobs[0].tokenizer_file, encoding="utf-8") as file:
        saved_tokenizer = json.load(file)
    builder = _TokenShardsBuilder(
        shards=dict(shards),
        sequence_length=jobs[0].sequence_length,
        tokenizer=saved_tokenizer,
        data_dir=os.path.join(folder, "tfds"),
    )
    # It announces a download.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(
            download_dir=os.path.join(folder, "downloads"),
            download_config=tfds.download.DownloadConfig(
                try_download_gcs=False, **beam_config
            ),
        )
    return builder


def _examples(make, job):
    for key, row in enumerate(make(job)):
        yield key, {"token_ids": row}


@contextlib.contextmanager
def _worker_processes(jobs, num_workers, on_shard):
    """Gives a function that makes the rows of jobs, called in their order."""
    num_workers = min(num_workers, len(jobs))
    context = multiprocessing.get_context("spawn")
    stop, alive = context.Pipe(duplex=False)
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers, context, _start_worker, (stop,)
    )
    waiting = collections.deque(jobs)
    futures = collections.deque()

    def next_rows():
        try:
            # Bounded, so that memory does not grow with the corpus.
            while waiting and len(futures) < 2 * num_workers:
                futures.append(executor.submit(make_rows, waiting.popleft()))
            return futures.popleft().result()
        except concurrent.futures.process.BrokenProcessPool:
            raise ChildProcessError(
                "A process that makes shards was killed, probably because "
                "memory ran out: take fewer with --num_workers"
            ) from None

    def make(job):
        rows = make_rows(job) if num_workers == 1 else next_rows()
        on_shard(job, rows)
        return rows

    try:
        yield make
    except BaseException:
        # Ends the processes in the middle of their work.
        alive.close()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        alive.close()


def _start_worker(stop):
    # The user interrupts the main process, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    def wait():
        try:
            stop.recv()
        # The main process closed its end of the pipe, or was killed.
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _plan_jobs(plan, folder, sequence_length, validation_share):
    groups = {}
    # Validation first: it reads everything and tokenizes little, so that a
    # wrong record is found early.
    if validation_share:
        size = SHARDS_PER_VALIDATION_SHARD
        groups["validation"] = [
            sum(plan[first : first + size], ())
            for first in range(0, len(plan), size)
        ]
    groups["train"] = plan
    return [
        ShardJob(
            ranges=ranges,
            split=split,
            sequence_length=sequence_length,
            validation_share=validation_share,
            tokenizer_file=os.path.join(folder, "tokenizer.json"),
            statistics_file=os.path.join(folder, f"{split}-{number}.json"),
        )
        for split, shards in groups.items()
        for number, ranges in enumerate(shards)
    ]


def _count(jobs):
    """Adds up what all processes counted."""
    totals = collections.defaultdict(collections.Counter)
    sources = collections.defaultdict(collections.Counter)
    for job in jobs:
        with open(job.statistics_file, encoding="utf-8") as file:
            counts = json.load(file)
        for source, of_source in counts.pop("sources").items():
            sources[source].update(of_source)
        for total in (totals[job.split], totals["all"]):
            total.update({**counts, "shards": 1})
    for total in totals.values():
        tokens, rows = total["tokens"], total["rows"]
        size = rows * jobs[0].sequence_length
        total["unknown_share"] = total["unknown_tokens"] / max(tokens, 1)
        total["tokens_per_row"] = tokens / max(rows, 1)
        total["padding_share"] = total.pop("padding") / max(size, 1)
    return {
        **totals.pop("all"),
        "bytes": sum(counts["bytes"] for counts in sources.values()),
        "splits": {split: dict(totals[split]) for split in sorted(totals)},
        "sources": {source: dict(x) for source, x in sources.items()},
    }


def _finish(builder, statistics, finished):
    """Moves a finished dataset, with its statistics, to its folder."""
    builder.info.metadata["statistics"] = statistics
    builder.info.metadata.save_metadata(builder.data_path)
    write_text(
        builder.data_path / token_shards.STATISTICS,
        json.dumps(statistics, indent=2) + "\n",
    )
    # A Beam runner leaves the lengths of shards, which the dataset's
    # description has as well.
    for path in glob.glob(
        f"{glob.escape(builder.data_dir)}/*.shard_infos.json"
    ):
        os.remove(path)
    os.rename(builder.data_dir, finished)


def _check_arguments(plan, sequence_length, validation_share, num_workers):
    if not plan:
        raise ValueError(_NO_DOCUMENT)
    if sequence_length < 5:
        raise ValueError(
            "`sequence_length` must be at least 5: a token in each segment "
            "beside `[CLS]` and twice `[SEP]`. Received: "
            f"sequence_length={sequence_length}"
        )
    if not 0 <= validation_share < 1:
        raise ValueError(
            "`validation_share` must be at least 0 and below 1, for example "
            f"0.01. Received: validation_share={validation_share}"
        )
    if num_workers < 1:
        raise ValueError(
            "`num_workers` must be at least 1. Received: "
            f"num_workers={num_workers}"
        )


def _check_documents(statistics, validation_share):
    if not statistics["documents"]:
        raise ValueError(_NO_DOCUMENT)
    for split, counted in statistics["splits"].items():
        if not counted["rows"]:
            raise ValueError(
                f"No document is left for {split}: there are "
                f"{statistics['documents']} with validation_share="
                f"{validation_share}. Give more documents, another share, or 0 "
                "for no validation split"
            )


def _beam_config(runner, options):
    if runner is None:
        if options:
            raise ValueError(
                "`runner_options` need a `runner`, for example DirectRunner. "
                f"Received: runner_options={list(options)}"
            )
        return {}
    beam = optional_import("apache_beam.options.pipeline_options", "beam")
    return {
        "beam_runner": runner,
        "beam_options": beam.PipelineOptions(list(options)),
    }


def _check_output(output, overwrite):
    is_taken = os.path.lexists(output) and not (
        os.path.isdir(output) and not os.listdir(output)
    )
    if is_taken and not overwrite:
        raise FileExistsError(
            f"There is something at {output} already. Name another folder, or "
            "replace it with --overwrite"
        )
    metadata = os.path.join(output, token_shards.METADATA)
    if is_taken and not os.path.exists(metadata):
        raise FileExistsError(
            f"{output} is not a folder of token shards: it is not replaced. "
            "Name another folder"
        )


@contextlib.contextmanager
def _locked(output):
    """Excludes other runs, and removes what a killed one left behind."""
    parent, name = os.path.split(output)
    os.makedirs(parent, exist_ok=True)
    path = os.path.join(parent, f".{name}.lock")
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(
                f"Another process is writing {output}: wait for it, or name "
                "another folder"
            ) from None
        for stale in glob.glob(
            os.path.join(glob.escape(parent), f".{glob.escape(name)}.*.tmp")
        ):
            shutil.rmtree(stale, ignore_errors=True)
        try:
            yield
        finally:
            os.remove(path)


def _check_space(output, plan, tokenizer):
    num_bytes = sum(map(num_bytes_of, plan))
    width = np.dtype(token_dtype(tokenizer.vocabulary_size())).itemsize
    needed = num_bytes // _BYTES_PER_TOKEN * width
    free = shutil.disk_usage(os.path.dirname(output)).free
    if free < needed:
        raise OSError(
            f"The disk of {output} has {free / 1e9:.1f} GB free, and the rows "
            f"of {num_bytes / 1e9:.1f} GB of text take about "
            f"{needed / 1e9:.1f} GB: make room, or name a folder elsewhere"
        )


@contextlib.contextmanager
def _readable_errors(output):
    """Replaces TensorFlow's errors of writing a file."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        reason = getattr(error, "message", None) or str(error)
        is_full = any(
            words in reason
            for words in ("No space left", "File too large", "quota exceeded")
        )
        if is_full or isinstance(error, tf.errors.ResourceExhaustedError):
            # Without the path of a temporary file.
            reason = reason.splitlines()[0].rpartition("; ")[2]
            raise OSError(
                f"{output} could not be written, because the disk is full: "
                f"{reason}. Make room and run it again; nothing was left behind"
            ) from error
        if isinstance(error, tf.errors.OpError):
            raise OSError(f"{output} could not be written: {reason}") from error
        raise
