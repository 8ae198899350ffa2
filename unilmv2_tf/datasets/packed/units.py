"""Work units: the parts into which any corpus is cut.

The plan follows from the sources alone, and never from who works on it: the
same sources give the same shards on one process and on a cluster.
"""

import dataclasses
import itertools

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import files
from unilmv2_tf.datasets import sources as grammar
from unilmv2_tf.datasets import tfds_texts
from unilmv2_tf.datasets.docstring_pairs import SPLITS

SMALLEST_UNIT = 1_000_000
LARGEST_UNIT = 64_000_000
# How many units a corpus has, if they are neither too small nor too large.
UNITS = 64
# A line that is longer is not looked into for a border, but passed over.
_LOOK_AHEAD = 65536


@dataclasses.dataclass(frozen=True)
class FileRange:
    """Complete documents of a file.

    Args:
        path: string.
        start: int. The byte at which the first document begins.
        end: int. The byte after the last.

    Example:

    >>> FileRange("a.txt", 0, 12).num_bytes
    12
    """

    path: str
    start: int
    end: int

    @property
    def num_bytes(self):
        return self.end - self.start

    def cut(self, num_bytes):
        """Cuts it at the ends of documents.

        A document is in the part in which it begins: no part is shorter than
        `num_bytes` but the last, and a document that is longer than
        `num_bytes` makes its part as long as it is.

        Args:
            num_bytes: int.

        Returns:
            A list of `FileRange`.
        """
        extension = files.extension_of(self.path, "documents")
        find = _end_of_paragraph if extension == ".txt" else _end_of_line
        borders = [self.start]
        with files.open_file(self.path) as file:
            while borders[-1] + num_bytes < self.end:
                border = find(file, borders[-1] + num_bytes)
                borders.append(min(border, self.end))
        if borders[-1] != self.end:
            borders.append(self.end)
        return [
            dataclasses.replace(self, start=start, end=end)
            for start, end in itertools.pairwise(borders)
        ]


@dataclasses.dataclass(frozen=True)
class DocstringRange:
    """Successive documents of the embedded corpus.

    Args:
        split: string. `"train"` or `"validation"`, the corpus's own split.
        start: int. The first document.
        end: int. The document after the last.
        num_bytes: int. What their texts take, about.
    """

    split: str
    start: int
    end: int
    num_bytes: int

    def cut(self, num_bytes):
        """Cuts it into ranges of about `num_bytes`.

        Args:
            num_bytes: int.

        Returns:
            A list of `DocstringRange`.

        Example:

        >>> whole = DocstringRange("train", 0, 5, num_bytes=3000)
        >>> [(part.start, part.end) for part in whole.cut(1500)]
        [(0, 2), (2, 5)]
        """
        return tfds_texts.cut_evenly(self, num_bytes)


@dataclasses.dataclass(frozen=True)
class Segment:
    """A part of a source: successive documents.

    Args:
        source: string. The source, as the user named it.
        part: a `FileRange`, `TfdsSlice` or `DocstringRange`.
    """

    source: str
    part: object


def plan_units(sources, data_dir=None, text_key="text"):
    """Cuts sources into units of work, by their sizes.

    Args:
        sources: list of strings or paths, or one: see
            `unilmv2_tf.datasets.sources`.
        data_dir: string. Where TFDS keeps its data. Defaults to `None`, its
            own default.
        text_key: string. The feature of TFDS corpora that holds the text.
            Defaults to `"text"`.

    Returns:
        A list of units: tuples of `Segment`. A unit has a 64th of the corpus,
        but at least 1 MB and at most 64 MB, if the documents are not longer.

    Raises:
        FileNotFoundError: if a source does not exist.
        ValueError: if a source is of an unknown kind.

    Example:

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "a.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write("A short document.\\n\\n" * 100_000)
    ...     units = plan_units(path)
    >>> [segment.part.start for unit in units for segment in unit]
    [0, 1000008]
    """
    if isinstance(sources, list | tuple):
        sources = list(sources)
    else:
        sources = [sources]
    if not sources:
        raise ValueError(
            "`sources` must name at least one file or corpus. Received: "
            f"sources={sources!r}"
        )
    wholes = [
        Segment(str(source), part)
        for source in sources
        for part in _parts(source, data_dir, text_key)
    ]
    total = sum(whole.part.num_bytes for whole in wholes)
    size = min(max(total // UNITS, SMALLEST_UNIT), LARGEST_UNIT)
    pieces = [
        dataclasses.replace(whole, part=part)
        for whole in wholes
        for part in whole.part.cut(size)
    ]
    return group(pieces, size)


def num_bytes_of(unit):
    """How many bytes of its sources a unit reads.

    Args:
        unit: tuple of `Segment`.

    Returns:
        An int.
    """
    return sum(segment.part.num_bytes for segment in unit)


def group(segments, num_bytes):
    """Joins segments until they are long enough.

    Args:
        segments: list of `Segment`.
        num_bytes: int. How many bytes are enough.

    Returns:
        A list of tuples of `Segment`.
    """
    units = []
    unit = []
    for segment in segments:
        unit.append(segment)
        if num_bytes_of(unit) >= num_bytes:
            units.append(tuple(unit))
            unit = []
    return [*units, tuple(unit)] if unit else units


def _parts(source, data_dir, text_key):
    scheme, name = grammar.split_scheme(source)
    if scheme == "tfds":
        return tfds_texts.find_slices(name, data_dir, text_key)
    if scheme == "docstrings":
        if name:
            raise ValueError(
                f"{source!r} holds no documents. Of the embedded corpus, "
                "documents are docstrings:"
            )
        return [_docstrings(split) for split in SPLITS]
    parts = []
    for path in files.find_files(name):
        files.extension_of(path, "documents")
        with files.open_file(path) as file:
            parts.append(FileRange(path, 0, file.seek(0, 2)))
    return parts


def _docstrings(split):
    sizes = [
        len(record["text"])
        for record in docstrings.documents(split).as_numpy_iterator()
    ]
    return DocstringRange(split, 0, len(sizes), sum(sizes))


def _end_of_line(file, place):
    """Where the first line begins that begins at `place` or after it."""
    file.seek(place - 1)
    while line := file.readline(_LOOK_AHEAD):
        if line.endswith(b"\n"):
            break
    return file.tell()


def _end_of_paragraph(file, place):
    """A place after an empty line, at `place` or after it, or the end."""
    file.seek(_end_of_line(file, place))
    is_whole = True
    while line := file.readline(_LOOK_AHEAD):
        ends = line.endswith(b"\n")
        if is_whole and ends and files.is_blank_line(line):
            break
        is_whole = ends
    return file.tell()
