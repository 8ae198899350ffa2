"""A folder of packed rows, as `unilmv2 prepare` leaves it."""

import dataclasses
import json
import os
import struct

from unilmv2_tf.datasets.packed.rows import token_dtype
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer

# The number is raised when folders change so that older code would misread
# them.
FORMAT = 1
NAME = "packed_rows"
STATISTICS = "statistics.json"
_INFO = "dataset_info.json"
_METADATA = "metadata.json"
# A TFRecord: 8 bytes of length and their checksum of 4, data, checksum of 4.
_FRAME = 8 + 4 + 4


@dataclasses.dataclass(frozen=True)
class PackedFolder:
    """What a folder of packed rows holds.

    Args:
        folder: string. Its path.
        sequence_length: int. The length of the rows.
        vocabulary: list of strings. The tokens, by id.
        tokenizer_config: dict. The tokenizer's configuration, without the
            vocabulary.
        statistics: dict. What `prepare` counted.
        shards: dict from a split to a list of tuples of a shard's path and
            its number of rows.
        dtype: NumPy type. That of the stored token ids.

    Example:

    >>> from unilmv2_tf.datasets.packed import open_packed_folder
    >>> packed = open_packed_folder("corpus")            # doctest: +SKIP
    >>> packed.num_rows("train")                         # doctest: +SKIP
    1048576
    """

    folder: str
    sequence_length: int
    vocabulary: list
    tokenizer_config: dict
    statistics: dict
    shards: dict
    dtype: type

    def tokenizer(self):
        """The `UniLMv2Tokenizer` that made the rows."""
        config = {**self.tokenizer_config, "vocabulary": list(self.vocabulary)}
        return UniLMv2Tokenizer.from_config(config)

    def num_rows(self, split):
        """How many rows a split has.

        Args:
            split: string.

        Returns:
            An int.

        Raises:
            ValueError: if there is no such split.
        """
        if split not in self.shards:
            raise ValueError(
                f"`split` must be one of {', '.join(self.shards)}, the splits "
                f"of {self.folder}. Received: split={split!r}"
            )
        return sum(num_rows for _, num_rows in self.shards[split])


def open_packed_folder(folder):
    """Reads what a folder of packed rows says of itself, and checks it.

    The rows themselves are not read, but for the length of the first: all
    have the same size, so that a shard that was cut short is found.

    Args:
        folder: string or path. The output of `unilmv2 prepare`.

    Returns:
        A `PackedFolder`.

    Raises:
        FileNotFoundError: if there is no such folder, or a shard is missing.
        ValueError: if the folder is not one of packed rows, is of another
            format, or a shard has the wrong size.

    Example:

    >>> open_packed_folder("missing")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no folder 'missing'. ...
    """
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"There is no folder {folder!r}. Give the folder that `unilmv2 "
            "prepare` wrote"
        )
    info = _read_json(folder, _INFO)
    metadata = _read_json(folder, _METADATA)
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{folder} has packed rows of format {metadata.get('format')!r}, "
            f"this version reads format {FORMAT}: run `unilmv2 prepare` again"
        )
    vocabulary = metadata["tokenizer"]["vocabulary"]
    shards = {split["name"]: _shards(folder, split) for split in info["splits"]}
    dtype = token_dtype(len(vocabulary))
    _check_sizes([shard for split in shards.values() for shard in split])
    return PackedFolder(
        folder=folder,
        sequence_length=metadata["sequence_length"],
        vocabulary=vocabulary,
        tokenizer_config=metadata["tokenizer"]["config"],
        statistics=metadata.get("statistics", {}),
        shards=shards,
        dtype=dtype,
    )


def _read_json(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        raise ValueError(
            f"{folder} has no {name}: it was not made by `unilmv2 prepare`, "
            "or that was interrupted"
        ) from None
    except ValueError as error:
        raise ValueError(f"{folder}/{name} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{folder}/{name} is damaged: it is not an object")
    return content


def _shards(folder, split):
    lengths = [int(length) for length in split["shardLengths"]]
    return [
        (
            os.path.join(
                folder,
                f"{NAME}-{split['name']}.tfrecord-"
                f"{number:05d}-of-{len(lengths):05d}",
            ),
            length,
        )
        for number, length in enumerate(lengths)
    ]


def _check_sizes(shards):
    record_size = None
    for path, num_rows in shards:
        try:
            size = os.path.getsize(path)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{path} is missing: the folder was not copied as a whole. "
                "Copy it again, or run `unilmv2 prepare` again"
            ) from None
        if num_rows and size and record_size is None:
            record_size = _first_record_size(path)
        if size != num_rows * (record_size or 1):
            raise ValueError(
                f"{path} is damaged: it has {size:,} bytes, its {num_rows:,} "
                f"rows should take {num_rows * (record_size or 1):,}. Copy the "
                "folder again, or run `unilmv2 prepare` again"
            )


def _first_record_size(path):
    with open(path, "rb") as file:
        header = file.read(8).ljust(8, b"\0")
    return struct.unpack("<Q", header)[0] + _FRAME
