"""The shard plan: how a corpus is cut into shards of documents.

The plan follows from the sources alone, not from the workers: the same sources
give the same shards on one process and on a cluster.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import text_files
from unilmv2_tf.datasets import tfds_data
from unilmv2_tf.datasets.data_arguments import docstring_source
from unilmv2_tf.datasets.data_arguments import split_scheme
from unilmv2_tf.datasets.splits import HASHED_BYTES
from unilmv2_tf.datasets.splits import SPLITS
from unilmv2_tf.datasets.splits import is_held_out

MIN_SHARD_BYTES = 1_000_000
MAX_SHARD_BYTES = 64_000_000
# The number of shards, unless they would be too small or too large.
NUM_SHARDS = 64
BATCH_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True)
class DocumentRange:
    """Successive documents of a source: bytes of a file, or examples.

    `read(start, end)` yields `(text, is_start)`, see `text_files.read_texts`.
    Only a range of a file has a `path`. A range of the embedded corpus has the
    `split` to which its documents belong.
    """

    source: str
    start: int
    end: int
    num_bytes: int
    read: Callable
    path: str | None = None
    split: str | None = None

    def cut(self, num_bytes):
        """Cuts a range into ranges of about `num_bytes`, between documents.

        A longer document makes its range longer.
        """
        if self.path:
            borders = [self.start]
            while borders[-1] + num_bytes < self.end:
                position = borders[-1] + num_bytes
                borders.append(
                    text_files.document_boundary(self.path, position)
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
    """Plans the shards of training rows: a list of tuples of `DocumentRange`.

    A shard has a 64th of the corpus, but at least 1 MB and at most 64 MB unless
    a document is longer. See `prepare` for the arguments.
    """
    sources = sources if isinstance(sources, list | tuple) else [sources]
    if not sources:
        raise ValueError(
            "`sources` must name at least one file or corpus. Received: "
            f"sources={sources!r}"
        )
    ranges = [
        part
        for source in sources
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
    """Reads the documents of a shard that belong to a split.

    The split is that of `hold_out`; the embedded corpus has its own.

    Yields:
        Tuples of a source, a list of texts (bytes, about 1 MB in all) and a
        list of bools: whether a text begins a document, or continues the one
        before, which was too long for one text.
    """
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
        return [
            DocumentRange(
                source, start, end, num_bytes,
                functools.partial(
                    _read_tfds, name, split, data_dir, text_key
                ),
            )
            for split, start, end, num_bytes in found
        ]  # fmt: skip
    if scheme == "docstrings":
        docstring_source(source, name)
        return [_docstring_range(source, split) for split in SPLITS]
    ranges = []
    for path in text_files.find_files(name):
        text_files.extension_of(path, "documents")
        text_files.open_file(path).close()
        size = os.path.getsize(path)
        read = functools.partial(text_files.read_texts, path)
        ranges.append(DocumentRange(str(source), 0, size, size, read, path))
    return ranges


def _docstring_range(source, split):
    records = docstrings.documents(split).as_numpy_iterator()
    sizes = [len(record["text"]) for record in records]
    read = functools.partial(_read_docstrings, split)
    return DocumentRange(source, 0, len(sizes), sum(sizes), read, split=split)


def _read_docstrings(split, start, end):
    documents = docstrings.documents(split).skip(start).take(end - start)
    return _texts_of(documents)


def _read_tfds(name, split, data_dir, text_key, start, end):
    builder = tfds_data.open_builder(name, data_dir)
    return _texts_of(
        tfds_data.read_documents(
            name, builder, f"{split}[{start}:{end}]", text_key
        )
    )


def _texts_of(documents):
    for batch in documents.batch(64).as_numpy_iterator():
        for text in batch["text"].tolist():
            if text.strip(text_files.SPACE):
                yield from text_files.cut_text(text)
