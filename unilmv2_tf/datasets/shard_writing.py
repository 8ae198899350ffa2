"""Writes a folder of token shards: a corpus as rows of token ids.

Each shard is made and written in one process, by local workers or an Apache
Beam runner. The folder appears complete or not at all; an interrupted run keeps
its finished shards in `.NAME.part`, and the same call resumes after them.
"""

import collections
import contextlib
import dataclasses
import fcntl
import functools
import json
import os
import shutil

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets import token_shards
from unilmv2_tf.datasets.shard_plan import num_bytes_of
from unilmv2_tf.datasets.shard_plan import read_batches
from unilmv2_tf.datasets.shard_workers import workers
from unilmv2_tf.datasets.token_shards import shard_name
from unilmv2_tf.datasets.token_shards import token_dtype
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.preprocessing.packing import pack_token_ids
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer

# A validation shard reads the documents of this many training shards, and keeps
# few of them.
SHARDS_PER_VALIDATION_SHARD = 8
_ROWS_AT_ONCE = 4096
# An underestimate, to check the free space.
_BYTES_PER_TOKEN = 4
_SETTINGS = "settings.json"
_NO_DOCUMENT = (
    "The sources have no document: nothing was written. Check that they are "
    "the right ones"
)


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """A shard to make, by a process that may share only the file system."""

    ranges: tuple
    split: str
    sequence_length: int
    validation_share: float
    path: str
    tokenizer_file: str

    @property
    def statistics_file(self):
        """What is counted; it exists once the shard is complete."""
        return f"{self.path}.json"


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
    on_shard=lambda: None,
):
    """Writes the documents of a shard plan, see `prepare`; returns counts."""
    _check_arguments(plan, sequence_length, validation_share, num_workers)
    if runner_options and runner is None:
        raise ValueError(
            "`runner_options` need a `runner`, for example DirectRunner. "
            f"Received: runner_options={list(runner_options)}"
        )
    output = os.path.abspath(os.fspath(output))
    _check_output(output, overwrite)
    saved_tokenizer = {
        "config": tokenizer.get_config(),
        "vocabulary": tokenizer.get_vocabulary(),
    }
    with _locked(output):
        _check_space(output, plan, tokenizer)
        parent, name = os.path.split(output)
        folder = os.path.join(parent, f".{name}.part")
        jobs = _plan_jobs(plan, folder, sequence_length, validation_share)
        ranges = [[part.description() for part in shard] for shard in plan]
        settings = [ranges, saved_tokenizer, sequence_length, validation_share]
        try:
            _resume_or_clear(folder, settings)
            write_text(jobs[0].tokenizer_file, json.dumps(saved_tokenizer))
            with workers(
                make_shard, min(num_workers, len(jobs)), runner, runner_options
            ) as make:
                for split in ("validation", "train"):
                    part = [job for job in jobs if job.split == split]
                    for _ in make(part):
                        on_shard()
                    # Before the training shards, which take longest.
                    _check_documents(_count(part), validation_share)
            statistics = _count(jobs)
            _describe(folder, jobs, statistics, saved_tokenizer)
            with replacing(output) as finished:
                os.rename(folder, finished)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                "interrupted; finished shards are kept, and the same command "
                "resumes after them"
            ) from None
        except (ValueError, OSError) as error:
            # Out of memory, fewer workers can go on with the shards.
            if not isinstance(error, ChildProcessError):
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return statistics


def make_shard(job):
    """Writes the rows of a shard, and then what was counted."""
    if os.path.exists(job.statistics_file):
        return
    rows, counts = _make_rows(job)
    try:
        with replacing(job.path) as temporary:
            with tf.io.TFRecordWriter(temporary) as writer:
                for row in rows:
                    writer.write(row.tobytes())
    except tf.errors.OpError as error:
        raise OSError(
            f"{job.path} could not be written: {error.message}. If the disk is "
            "full, make room, and run it again"
        ) from None
    write_text(job.statistics_file, json.dumps(counts))


def _make_rows(job):
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
    return rows, counts


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


def _resume_or_clear(folder, settings):
    """Keeps the shards of an interrupted run with the same settings."""
    path = os.path.join(folder, _SETTINGS)
    text = json.dumps(settings)
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        if file.read() == text:
            return
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_text(path, text)


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
            path=os.path.join(folder, shard_name(split, number, len(shards))),
            tokenizer_file=os.path.join(folder, "tokenizer.json"),
        )
        for split, shards in groups.items()
        for number, ranges in enumerate(shards)
    ]


def _count(jobs):
    """Adds up what all processes counted."""
    totals = collections.defaultdict(collections.Counter)
    sources = collections.defaultdict(collections.Counter)
    for job in jobs:
        counts = _counts_of(job)
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
        **totals.pop("all", {}),
        "bytes": sum(counts["bytes"] for counts in sources.values()),
        "splits": {split: dict(totals[split]) for split in sorted(totals)},
        "sources": {source: dict(x) for source, x in sources.items()},
    }


def _counts_of(job):
    with open(job.statistics_file, encoding="utf-8") as file:
        return json.load(file)


def _describe(folder, jobs, statistics, tokenizer):
    """Writes the description, and removes what only the making needed."""
    splits = collections.defaultdict(list)
    for job in jobs:
        splits[job.split].append(_counts_of(job)["rows"])
        os.remove(job.statistics_file)
    metadata = {
        "format": token_shards.FORMAT,
        "sequence_length": jobs[0].sequence_length,
        "tokenizer": tokenizer,
        "splits": splits,
        "statistics": statistics,
    }
    for name, content in (
        (token_shards.METADATA, metadata),
        (token_shards.STATISTICS, statistics),
    ):
        text = json.dumps(content, indent=2) + "\n"
        write_text(os.path.join(folder, name), text)
    os.remove(os.path.join(folder, _SETTINGS))
    os.remove(jobs[0].tokenizer_file)


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
    for split, counted in statistics["splits"].items():
        if not counted["rows"]:
            if not validation_share:
                raise ValueError(_NO_DOCUMENT)
            raise ValueError(
                f"There is no document left for {split}, with validation_share="
                f"{validation_share}. Give more documents, another share, or 0 "
                "for no validation split. Documents of text files end at empty "
                "lines"
            )


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
    """Excludes other runs with the same output."""
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
