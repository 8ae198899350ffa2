"""Writes a folder of packed rows, whole or not at all."""

import contextlib
import dataclasses
import fcntl
import glob
import io
import json
import os
import shutil

import tensorflow as tf

from unilmv2_tf.datasets.packed import folder as folders
from unilmv2_tf.datasets.packed import packer
from unilmv2_tf.datasets.packed import units as planning
from unilmv2_tf.datasets.packed.workers import WorkAhead
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.preprocessing.packing import PackingStatistics

# A shard of validation is made of so many units, of which it keeps little.
UNITS_PER_VALIDATION_SHARD = 8
_NO_DOCUMENT = (
    "The sources have no document: nothing was written. Check that they are "
    "the right ones"
)
# Text has more than four bytes a token, as a rule.
_BYTES_PER_TOKEN = 4


def write_packed_folder(
    units,
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
    """Packs units of documents into rows, in sharded files.

    All is made in a hidden folder beside `output`, which takes its name in
    the end: there is no half result. What a killed run left is removed by the
    next one with this output.

    Args:
        units: list of units, see `plan_units`. Each makes a shard of training
            rows.
        tokenizer: a `UniLMv2Tokenizer`.
        output: string or path. The folder to write.
        sequence_length: int. The length of the rows. Defaults to `512`.
        validation_share: float. The share of documents that are held out for
            validation, 0 for no such split. Defaults to `0.01`.
        num_workers: int. How many processes pack. The result does not depend
            on it. Defaults to `1`: this one.
        runner: string. An Apache Beam runner, such as `"DirectRunner"`, which
            packs instead. Defaults to `None`.
        runner_options: list of strings. The options of Beam's pipeline.
        overwrite: bool. Whether to replace what is there. Defaults to
            `False`.
        on_shard: function of a `ShardJob` and its rows, called after each
            shard, unless a runner packs.

    Returns:
        A dict of what was counted, which is also in `statistics.json`.

    Raises:
        FileExistsError: if there is something at `output`.
        OSError: if `output` cannot be written, or the disk is too small.
        ValueError: if there is no document in a split, or a record is wrong.
        ImportError: if a runner is named and Apache Beam is not installed.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.datasets.packed.units import plan_units
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = os.path.join(folder, "text.txt")
    ...     with open(text, "w") as file:
    ...         _ = file.write("a b\\n\\nb a b")
    ...     statistics = write_packed_folder(
    ...         plan_units(text), tokenizer, os.path.join(folder, "packed"),
    ...         sequence_length=8, validation_share=0)
    >>> statistics["documents"], statistics["tokens"], statistics["rows"]
    (2, 5, 1)
    """
    _check(units, sequence_length, validation_share, num_workers)
    output = os.path.abspath(os.fspath(output))
    options = _beam_options(runner, runner_options)
    _check_output(output, overwrite)
    with _locked(output):
        _check_space(output, units, tokenizer)
        with replacing(output) as temporary, _readable_errors(output):
            os.mkdir(temporary)
            settings = packer.PackingSettings(
                os.path.join(temporary, "tokenizer.json"),
                sequence_length,
                validation_share,
            )
            jobs = _jobs(units, settings, temporary)
            saved = packer.save_tokenizer(tokenizer, settings.tokenizer_file)
            if runner is None:
                with WorkAhead(jobs, num_workers, on_shard) as work:
                    built = _build(temporary, jobs, settings, saved, work)
            else:
                built = _build(
                    temporary, jobs, settings, saved, packer.pack_shard,
                    beam_runner=runner, beam_options=options,
                )  # fmt: skip
            statistics = _count(jobs)
            _check_documents(statistics, validation_share)
            _finish(temporary, built, statistics)
    return statistics


def _check(units, sequence_length, validation_share, num_workers):
    if not units:
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


def _beam_options(runner, options):
    if runner is None:
        if options:
            raise ValueError(
                "`runner_options` need a `runner`, for example DirectRunner. "
                f"Received: runner_options={list(options)}"
            )
        return None
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise ImportError(
            "`runner` needs Apache Beam: pip install 'unilmv2_tf[beam]'"
        ) from None
    return PipelineOptions(list(options))


def _check_output(output, overwrite):
    is_taken = os.path.lexists(output) and not (
        os.path.isdir(output) and not os.listdir(output)
    )
    if is_taken and not overwrite:
        raise FileExistsError(
            f"There is something at {output} already. Name another folder, or "
            "replace it with --overwrite"
        )
    if is_taken and not os.path.exists(os.path.join(output, "metadata.json")):
        raise FileExistsError(
            f"{output} is not a folder of packed rows: it is not replaced. "
            "Name another folder"
        )


@contextlib.contextmanager
def _locked(output):
    """Keeps other runs off, and removes what a killed one left."""
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


def _check_space(output, units, tokenizer):
    num_bytes = sum(planning.num_bytes_of(unit) for unit in units)
    width = 2 if tokenizer.vocabulary_size() <= 2**16 else 4
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
    """TensorFlow writes the shards, and has errors of its own."""
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        reason = getattr(error, "message", None) or str(error)
        is_full = any(
            words in reason
            for words in ("No space left", "File too large", "quota exceeded")
        )
        if is_full or isinstance(error, tf.errors.ResourceExhaustedError):
            # What comes before is the path of a hidden file.
            reason = reason.splitlines()[0].rpartition("; ")[2]
            raise OSError(
                f"{output} could not be written, for the disk is full: "
                f"{reason}. Make room and run it again; nothing was left behind"
            ) from error
        if isinstance(error, tf.errors.OpError):
            raise OSError(f"{output} could not be written: {reason}") from error
        raise


def _jobs(units, settings, temporary):
    parts = os.path.join(temporary, "parts")
    os.mkdir(parts)
    groups = {}
    # Validation comes first: it reads everything and tokenizes little, so a
    # wrong record is found early. TFDS also runs the first split anew with the
    # second if a Beam runner works.
    if settings.validation_share:
        size = UNITS_PER_VALIDATION_SHARD
        groups["validation"] = [
            tuple(units[first : first + size])
            for first in range(0, len(units), size)
        ]
    groups["train"] = [(unit,) for unit in units]
    return [
        packer.ShardJob(
            units=members,
            split=split,
            settings=settings,
            statistics_file=os.path.join(parts, f"{split}-{number}.json"),
        )
        for split, all_members in groups.items()
        for number, members in enumerate(all_members)
    ]


def _build(temporary, jobs, settings, saved_tokenizer, pack, **beam):
    import tensorflow_datasets as tfds

    from unilmv2_tf.datasets.packed.builder import PackedRows
    from unilmv2_tf.datasets.packed.builder import ShardRows

    tfds.disable_progress_bar()
    shards = {}
    for job in jobs:
        shards.setdefault(job.split, []).append(ShardRows(job, pack))
    builder = PackedRows(
        shards=shards,
        sequence_length=settings.sequence_length,
        tokenizer=saved_tokenizer,
        data_dir=os.path.join(temporary, "tfds"),
    )
    # It announces a download.
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(
            download_dir=os.path.join(temporary, "downloads"),
            download_config=tfds.download.DownloadConfig(
                try_download_gcs=False, **beam
            ),
        )
    return builder


def _count(jobs):
    splits = {}
    sources = {}
    shards = {}
    for job in jobs:
        with open(job.statistics_file, encoding="utf-8") as file:
            counted = json.load(file)
        part = PackingStatistics(**counted["packing"])
        so_far = splits.get(job.split)
        splits[job.split] = part if so_far is None else so_far + part
        shards[job.split] = shards.get(job.split, 0) + 1
        for source, counts in counted["sources"].items():
            total = sources.setdefault(source, dict.fromkeys(counts, 0))
            for key, value in counts.items():
                total[key] += value
    by_split = {
        split: {**_described(splits[split]), "shards": shards[split]}
        for split in sorted(splits)
    }
    together = sum(
        splits.values(), PackingStatistics(0, 0, 0, 0, padding_share=0.0)
    )
    return {
        **_described(together),
        "shards": len(jobs),
        "bytes": sum(counts["bytes"] for counts in sources.values()),
        "splits": by_split,
        "sources": sources,
    }


def _described(statistics):
    tokens, rows = statistics.tokens, statistics.rows
    return {
        **dataclasses.asdict(statistics),
        "unknown_share": statistics.unknown_tokens / max(tokens, 1),
        "tokens_per_row": tokens / max(rows, 1),
    }


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


def _finish(temporary, builder, statistics):
    """Leaves nothing but the flat folder of a TFDS dataset."""
    builder.info.metadata["statistics"] = statistics
    builder.info.metadata.save_metadata(builder.data_path)
    write_text(
        builder.data_path / folders.STATISTICS,
        json.dumps(statistics, indent=2) + "\n",
    )
    for entry in os.scandir(temporary):
        if entry.is_file():
            os.remove(entry.path)
    for entry in os.scandir(builder.data_dir):
        # With a Beam runner TFDS leaves the lengths of shards, which are in
        # the dataset's description as well.
        if not entry.name.endswith(".shard_infos.json"):
            os.rename(entry.path, os.path.join(temporary, entry.name))
    for entry in os.scandir(temporary):
        if entry.is_dir():
            shutil.rmtree(entry.path)
