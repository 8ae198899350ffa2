"""The shard plan: how a corpus is cut into shards of documents.

The plan follows from the sources alone, not from the workers: the same sources
give the same shards on one process and on a cluster.
"""

import dataclasses
import functools
import itertools
import os
import warnings
from collections.abc import Callable

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import text_files
from unilmv2_tf.datasets import tfds_data
from unilmv2_tf.datasets.source_reading import check_docstrings
from unilmv2_tf.datasets.source_reading import check_documents
from unilmv2_tf.datasets.source_reading import list_sources
from unilmv2_tf.datasets.source_reading import split_scheme
from unilmv2_tf.datasets.splits import HASHED_BYTES
from unilmv2_tf.datasets.splits import SPLITS
from unilmv2_tf.datasets.splits import is_held_out

MIN_SHARD_BYTES = 1_000_000
MAX_SHARD_BYTES = 64_000_000
# Longer documents of text files are cut between lines: else one process would
# make all of a file without an empty line.
MAX_DOCUMENT_BYTES = 4_000_000
# The number of shards, unless they would be too small or too large.
NUM_SHARDS = 64
BATCH_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True)
class DocumentRange:
    """Successive documents of a source: bytes of a file, or examples."""

    source: str
    start: int
    end: int
    num_bytes: int
    # From start and end to `(text, is_start)`, as `text_files.read_texts`.
    read: Callable
    # Of a file.
    path: str | None = None
    # Of the embedded corpus, which has its own.
    split: str | None = None

    def description(self):
        """What identifies the range, and the version of its file."""
        version = os.stat(self.path).st_mtime_ns if self.path else self.split
        return [self.source, self.start, self.end, self.num_bytes, version]

    def cut(self, num_bytes):
        """Cuts a range into ranges of about `num_bytes`, between documents."""
        if self.path:
            borders = [self.start]
            while borders[-1] + num_bytes < self.end:
                position = borders[-1] + num_bytes
                limit = position + MAX_DOCUMENT_BYTES
                borders.append(
                    text_files.document_boundary(self.path, position, limit)
                )
            if borders[-1] < self.end:
                borders.append(self.end)
            sizes = [end - start for start, end in itertools.pairwise(borders)]
        else:
            number = self.end - self.start
            parts = -(-self.num_bytes // num_bytes)
            parts = min(max(parts, 1), max(number, 1))
            borders = [
                self.start + number * i // parts for i in range(parts + 1)
            ]
            sizes = [self.num_bytes // parts] * parts
        return [
            dataclasses.replace(self, start=start, end=end, num_bytes=size)
            for (start, end), size in zip(itertools.pairwise(borders), sizes)
        ]


def plan_shards(sources, data_dir=None, text_key="text"):
    """Plans the shards of training rows, tuples of `DocumentRange`."""
    ranges = [
        part
        for source in list_sources(sources)
        for part in _ranges_of(source, data_dir, text_key)
    ]
    total = sum(part.num_bytes for part in ranges)
    size = min(max(total // NUM_SHARDS, MIN_SHARD_BYTES), MAX_SHARD_BYTES)
    shards = [[]]
    for part in itertools.chain.from_iterable(x.cut(size) for x in ranges):
        if num_bytes_of(shards[-1]) >= size:
            shards.append([])
        shards[-1].append(part)
    return [tuple(shard) for shard in shards if shard]


def num_bytes_of(shard):
    """Returns how many bytes of its sources a shard is made of."""
    return sum(part.num_bytes for part in shard)


def read_batches(shard, split, validation_share):
    """Yields source, texts and whether each begins a document, of a split."""
    for part in shard:
        if part.split not in (None, split):
            continue
        is_kept = split == "train"
        for texts, starts in _batched(part.read(part.start, part.end)):
            if part.split is None and validation_share:
                beginnings = [text[:HASHED_BYTES] for text in texts]
                held_out = is_held_out(beginnings, validation_share).numpy()
                keep = (held_out == (split == "validation")).tolist()
                # The beginning of a document decides for all of it.
                for i, is_start in enumerate(starts):
                    if is_start:
                        is_kept = keep[i]
                    keep[i] = is_kept
            else:
                keep = [part.split == split or split == "train"] * len(texts)
            if any(keep):
                yield (
                    part.source,
                    list(itertools.compress(texts, keep)),
                    list(itertools.compress(starts, keep)),
                )


def _batched(texts):
    batch, starts, size = [], [], 0
    for text, is_start in texts:
        batch.append(text)
        starts.append(is_start)
        size += len(text)
        if size >= BATCH_BYTES:
            yield batch, starts
            batch, starts, size = [], [], 0
    if batch:
        yield batch, starts


def _ranges_of(source, data_dir, text_key):
    scheme, name = split_scheme(source)
    if scheme == "tfds":
        found = tfds_data.find_ranges(name, data_dir, text_key)
        name, _ = tfds_data.split_place(name)
        ranges = []
        for split, start, end, num_bytes in found:
            read = functools.partial(
                _read_tfds, name, split, data_dir, text_key
            )
            ranges.append(DocumentRange(source, start, end, num_bytes, read))
        return ranges
    if scheme == "docstrings":
        check_docstrings(source, name)
        return [_docstring_range(source, split) for split in SPLITS]
    ranges = []
    for path in text_files.find_files(name):
        check_documents(path)
        text_files.open_file(path).close()
        size = os.path.getsize(path)
        if size > MIN_SHARD_BYTES and path.lower().endswith(".txt"):
            if text_files.document_boundary(path, 1) == size:
                warnings.warn(
                    f"{path} has no empty line, where documents of text files "
                    "end: it is one document. If every line is one, name the "
                    "file .tsv, or put empty lines between them: sed G",
                    stacklevel=2,
                )
        read = functools.partial(text_files.read_texts, path)
        ranges.append(DocumentRange(str(source), 0, size, size, read, path))
    return ranges


def _docstring_range(source, split):
    records = docstrings.load_examples("", split).as_numpy_iterator()
    sizes = [len(record["text"]) for record in records]
    read = functools.partial(_read_docstrings, split)
    return DocumentRange(source, 0, len(sizes), sum(sizes), read, split=split)


def _read_docstrings(split, start, end):
    documents = docstrings.load_examples("", split).skip(start)
    return _texts_of(documents.take(end - start))


def _read_tfds(name, split, data_dir, text_key, start, end):
    builder = tfds_data.open_builder(name, data_dir)
    part = f"{split}[{start}:{end}]"
    return _texts_of(tfds_data.read_documents(name, builder, part, text_key))


def _texts_of(documents):
    for batch in documents.batch(64).as_numpy_iterator():
        for text in batch["text"].tolist():
            if text.strip(text_files.SPACE):
                yield from text_files.cut_text(text)
