"""From a unit's documents to an array of rows, in any process."""

import dataclasses
import functools
import json
import threading

import numpy as np
import tensorflow as tf

from unilmv2_tf.datasets.packed.rows import token_dtype
from unilmv2_tf.datasets.packed.texts import read_unit
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.preprocessing.packing import PackingStatistics
from unilmv2_tf.preprocessing.packing import pack_text_batches
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer


@dataclasses.dataclass(frozen=True)
class PackingSettings:
    """What every process that packs must know.

    Args:
        tokenizer_file: string. A JSON file that `save_tokenizer` wrote; every
            process must be able to read it.
        sequence_length: int. The length of the rows.
        validation_share: float. The share of documents that are held out.
    """

    tokenizer_file: str
    sequence_length: int
    validation_share: float


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """What makes one shard.

    Args:
        units: tuple of units, see `plan_units`.
        split: string. `"train"` or `"validation"`.
        settings: `PackingSettings`.
        statistics_file: string. Where to write what was counted: shards may be
            made on machines that have only the file system in common.
    """

    units: tuple
    split: str
    settings: PackingSettings
    statistics_file: str


def save_tokenizer(tokenizer, path):
    """Writes a tokenizer as JSON.

    Args:
        tokenizer: a `UniLMv2Tokenizer`.
        path: string.

    Returns:
        The dict that was written: `config` and `vocabulary`.
    """
    content = {
        "config": tokenizer.get_config(),
        "vocabulary": tokenizer.get_vocabulary(),
    }
    write_text(path, json.dumps(content))
    return content


def load_tokenizer(path):
    """Reads what `save_tokenizer` wrote.

    Args:
        path: string.

    Returns:
        A `UniLMv2Tokenizer`.
    """
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    return UniLMv2Tokenizer.from_config(
        {**content["config"], "vocabulary": content["vocabulary"]}
    )


def pack_shard(job):
    """Makes the rows of a shard and writes what was counted.

    Args:
        job: a `ShardJob`.

    Returns:
        An array of token ids, of shape `(rows, sequence_length)`.

    Raises:
        ValueError: if a record is wrong; the message names file and line.
    """
    packer = _packer(job.settings)
    token_ids, statistics = packer.pack(job.units, job.split)
    write_text(job.statistics_file, json.dumps(statistics))
    return token_ids


class UnitPacker:
    """Packs units with one tokenizer; the graph is built once.

    Args:
        tokenizer: a `UniLMv2Tokenizer`.
        sequence_length: int.
        validation_share: float.
    """

    def __init__(self, tokenizer, sequence_length, validation_share):
        self._tokenizer = tokenizer
        self._sequence_length = sequence_length
        self._validation_share = validation_share
        self._dtype = token_dtype(tokenizer.vocabulary_size())
        self._lock = threading.Lock()
        self._texts = None
        batches = tf.data.Dataset.from_generator(
            self._next_texts,
            output_signature={
                "text": tf.TensorSpec([None], tf.string),
                "is_start": tf.TensorSpec([None], tf.bool),
            },
        )
        # One thread: the parallel work is that of the processes.
        options = tf.data.Options()
        options.threading.private_threadpool_size = 1
        options.threading.max_intra_op_parallelism = 1
        # The graph would be optimized anew for each unit.
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
        self._rows = pack_text_batches(
            batches, tokenizer, sequence_length, num_parallel_calls=None
        ).with_options(options)

    def pack(self, units, split):
        """Packs the documents of units into rows.

        Args:
            units: tuple of units.
            split: string. The split to which the documents shall belong.

        Returns:
            A tuple of an array of token ids, of shape `(rows,
            sequence_length)`, and a dict of what was counted.

        Raises:
            ValueError: if a record is wrong; the message names file and line.
        """
        # Threads of a Beam runner may share the packer.
        with self._lock:
            self._texts = _CountedTexts(units, split, self._validation_share)
            parts = []
            num_documents = 0
            for rows in self._rows:
                parts.append(rows["token_ids"].numpy().astype(self._dtype))
                num_documents += int(rows["num_documents"].numpy().sum())
            counted, self._texts = self._texts, None
        if counted.error:
            raise counted.error
        empty = np.zeros((0, self._sequence_length), self._dtype)
        token_ids = np.concatenate([empty, *parts])
        statistics = PackingStatistics.of(
            token_ids, num_documents, self._tokenizer
        )
        return token_ids, {
            "packing": dataclasses.asdict(statistics),
            "sources": counted.sources,
        }

    def _next_texts(self):
        return iter(self._texts)


class _CountedTexts:
    """The texts of units; keeps count, and the error that ended them."""

    def __init__(self, units, split, validation_share):
        self.sources = {}
        self.error = None
        self._units = units
        self._split = split
        self._validation_share = validation_share

    def __iter__(self):
        # Out of a dataset errors come wrapped in TensorFlow's own.
        try:
            for unit in self._units:
                for batch in read_unit(
                    unit, self._split, self._validation_share
                ):
                    self._count(batch)
                    yield {"text": batch.texts, "is_start": batch.is_start}
        except Exception as error:
            self.error = error

    def _count(self, batch):
        counts = self.sources.setdefault(
            batch.source, {"documents": 0, "bytes": 0}
        )
        counts["documents"] += sum(batch.is_start)
        counts["bytes"] += sum(map(len, batch.texts))


@functools.lru_cache(maxsize=1)
def _packer(settings):
    return UnitPacker(
        load_tokenizer(settings.tokenizer_file),
        settings.sequence_length,
        settings.validation_share,
    )
