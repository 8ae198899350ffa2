"""A folder of token shards, as `unilmv2 prepare` writes it."""

import dataclasses
import itertools
import json
import os

import numpy as np

from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer

# To be raised when the format changes so that older code would misread it.
FORMAT = 3
STATISTICS = "statistics.json"
METADATA = "metadata.json"
# A TFRecord: 8 bytes of length and their checksum of 4, data, checksum.
_RECORD_OVERHEAD = 8 + 4 + 4


@dataclasses.dataclass(frozen=True)
class TokenShards:
    """The description of a folder of token shards.

    `shards` has a list of path and number of rows for each split, `dtype` is
    that of the stored ids.
    """

    folder: str
    sequence_length: int
    vocabulary: list[str]
    tokenizer_config: dict
    statistics: dict
    shards: dict[str, list[tuple[str, int]]]
    dtype: type

    def tokenizer(self) -> UniLMv2Tokenizer:
        """Returns the tokenizer that made the rows."""
        config = {**self.tokenizer_config, "vocabulary": list(self.vocabulary)}
        return UniLMv2Tokenizer.from_config(config)

    @property
    def record_bytes(self):
        """The size of a row in its file."""
        row_bytes = self.sequence_length * np.dtype(self.dtype).itemsize
        return row_bytes + _RECORD_OVERHEAD

    def num_rows(self, split: str) -> int:
        """Returns the number of rows of a split."""
        if split not in self.shards:
            raise ValueError(
                f"`split` must be one of {', '.join(self.shards)}, the splits "
                f"of {self.folder}. Received: split={split!r}"
            )
        return sum(num_rows for _, num_rows in self.shards[split])


def open_token_shards(folder: str | os.PathLike) -> TokenShards:
    """Reads and checks the description of a folder of token shards.

    The sizes of all shards are checked, so that one that was cut short is
    found; rows are not read.

    Args:
        folder: The output of `unilmv2 prepare`.

    Returns:
        `TokenShards`.

    Raises:
        FileNotFoundError: If there is no such folder, or a shard is missing.
        ValueError: If the folder has no token shards, is of another format, or
            a shard has the wrong size.

    Example:

    >>> open_token_shards("missing")
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
    path = os.path.join(folder, METADATA)
    if not os.path.exists(path):
        raise ValueError(
            f"{folder} has no {METADATA}: it was not made by `unilmv2 prepare`"
        )
    try:
        with open(path, encoding="utf-8") as file:
            metadata = json.load(file)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{folder} has token shards of format {metadata.get('format')!r}, "
            f"this version reads format {FORMAT}: run `unilmv2 prepare` again"
        )
    vocabulary = metadata["tokenizer"]["vocabulary"]
    shards = TokenShards(
        folder=folder,
        sequence_length=metadata["sequence_length"],
        vocabulary=vocabulary,
        tokenizer_config=metadata["tokenizer"]["config"],
        statistics=metadata["statistics"],
        shards={
            split: [
                (os.path.join(folder, shard_name(split, i, len(rows))), number)
                for i, number in enumerate(rows)
            ]
            for split, rows in metadata["splits"].items()
        },
        dtype=token_dtype(len(vocabulary)),
    )
    _check_sizes(shards)
    return shards


def shard_name(split, number, num_shards):
    """Returns the file name of a shard."""
    return f"token_shards-{split}.tfrecord-{number:05d}-of-{num_shards:05d}"


def token_dtype(vocabulary_size):
    """Returns the type in which token ids are stored."""
    return np.uint16 if vocabulary_size <= 2**16 else np.int32


def _check_sizes(shards):
    for path, num_rows in itertools.chain(*shards.shards.values()):
        try:
            size = os.path.getsize(path)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{path} is missing: the folder was not copied as a whole. "
                "Copy it again, or run `unilmv2 prepare` again"
            ) from None
        expected = num_rows * shards.record_bytes
        if size != expected:
            raise ValueError(
                f"{path} is damaged: it has {size:,} bytes, its {num_rows:,} "
                f"rows should take {expected:,}. Copy the folder again, or run "
                "`unilmv2 prepare` again"
            )
