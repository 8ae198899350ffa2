"""Reads the documents of a work unit, a batch at a time.

Plain Python over bytes, and no work for each line of a text file. Whatever the
length of files and of documents in text files, memory holds little more than a
batch; a line of JSON or TSV and an example of TFDS are read as a whole.
"""

import dataclasses
import re

from unilmv2_tf.datasets import docstrings
from unilmv2_tf.datasets import files
from unilmv2_tf.datasets import holding_out
from unilmv2_tf.datasets import parsers
from unilmv2_tf.datasets import tfds_texts
from unilmv2_tf.datasets.packed import units

# About how many bytes a batch has, and how long a text is at most.
BATCH_BYTES = 1_000_000
_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"[ \t\r\v\f]*\n(?:\xef\xbb\xbf)?[ \t\r\v\f]*")
_DOCUMENT_END = re.compile(rb"\n\n+")


@dataclasses.dataclass(frozen=True)
class TextBatch:
    """Some successive texts of one source.

    Args:
        source: string. The source, as the user named it.
        texts: list of bytes, none of them empty.
        is_start: list of bools. Whether a text begins a document, or goes on
            with the one before, which was too long for one text.
    """

    source: str
    texts: list
    is_start: list


def read_unit(unit, split, validation_share):
    """The texts of a unit that belong to a split.

    Args:
        unit: tuple of `Segment`, see `plan_units`.
        split: string. `"train"` or `"validation"`.
        validation_share: float. The share of documents that are held out, by
            the rule of `unilmv2_tf.datasets.hold_out`. The embedded corpus
            has a split of its own.

    Yields:
        `TextBatch`.

    Raises:
        ValueError: if a record is wrong; the message names file and line.
    """
    is_last_kept = False
    for batch, is_split in _batches(unit, split):
        if is_split or validation_share == 0:
            keep = [is_split or split == "train"] * len(batch.texts)
        else:
            held = holding_out.is_held_out(
                [text[: holding_out.HASHED_BYTES] for text in batch.texts],
                validation_share,
            )
            keep = (held.numpy() == (split == "validation")).tolist()
            # All of a document goes where its beginning goes.
            for place, is_start in enumerate(batch.is_start):
                if not is_start:
                    keep[place] = keep[place - 1] if place else is_last_kept
        is_last_kept = keep[-1]
        if any(keep):
            yield TextBatch(
                batch.source,
                [text for text, kept in zip(batch.texts, keep) if kept],
                [start for start, kept in zip(batch.is_start, keep) if kept],
            )


def _batches(unit, split):
    """Yields `TextBatch`, and whether it is of the wanted split already."""
    texts, starts, size = [], [], 0
    source, is_split = None, False
    for segment in unit:
        part = segment.part
        is_docstrings = isinstance(part, units.DocstringRange)
        if is_docstrings and part.split != split:
            continue
        if texts and (source, is_split) != (segment.source, is_docstrings):
            yield TextBatch(source, texts, starts), is_split
            texts, starts, size = [], [], 0
        source, is_split = segment.source, is_docstrings
        for text, is_start in _texts(part):
            texts.append(text)
            starts.append(is_start)
            size += len(text)
            if size >= BATCH_BYTES:
                yield TextBatch(source, texts, starts), is_split
                texts, starts, size = [], [], 0
    if texts:
        yield TextBatch(source, texts, starts), is_split


def _texts(part):
    """Yields (text, is_start) for the documents of a part of a source."""
    if isinstance(part, units.FileRange):
        extension = files.extension_of(part.path, "documents")
        if extension == ".txt":
            yield from _paragraphs(part)
            return
        texts = _lines(part, _PARSERS[extension])
    elif isinstance(part, tfds_texts.TfdsSlice):
        texts = _of_dataset(tfds_texts.read_texts(part))
    else:
        documents = docstrings.documents(part.split)
        documents = documents.skip(part.start).take(part.end - part.start)
        texts = _of_dataset(documents.map(lambda record: record["text"]))
    for text in texts:
        for place, piece in enumerate(_pieces(text)):
            yield piece, place == 0


def _of_dataset(texts):
    for batch in texts.batch(64).as_numpy_iterator():
        for text in batch.tolist():
            if text.strip(files.SPACE):
                yield text


def _lines(part, parse):
    with files.open_file(part.path) as file:
        file.seek(part.start)
        place = part.start
        while place < part.end:
            line = file.readline()
            begin, place = place, place + len(line)
            if not line:
                break
            if files.is_blank_line(line):
                continue
            line = line.rstrip(b"\r\n").removeprefix(_MARK)
            text = _decode(line, part.path, begin)
            try:
                (text,) = parse(text, "documents", part.path)
            except ValueError:
                # Where it is takes a pass through the file: asked only now.
                number = _line_number(part.path, begin)
                parse(text, "documents", f"{part.path}:{number}")
                raise
            yield text.encode("utf-8")


def _paragraphs(part):
    """Yields (text, is_start): documents between empty lines, or pieces."""
    tail = b""
    is_start = True
    for block in _normalized_blocks(part):
        *complete, tail = _DOCUMENT_END.split(tail + block)
        for document in complete:
            for piece in _pieces(document.strip(files.SPACE)):
                yield piece, is_start
                is_start = False
            is_start = True
        if len(tail) > BATCH_BYTES:
            tail = tail.lstrip(files.SPACE) if is_start else tail
            *pieces, tail = _pieces(tail)
            for piece in pieces:
                yield piece, is_start
                is_start = False
    for piece in _pieces(tail.strip(files.SPACE)):
        yield piece, is_start
        is_start = False


def _normalized_blocks(part):
    """Yields bytes in which every line begins with `\\n` and is stripped."""
    is_line_start = True
    pending = b""
    place = part.start
    with files.open_file(part.path) as file:
        file.seek(place)
        while True:
            left = part.end - place - len(pending)
            block = file.read(min(left, BATCH_BYTES))
            pending += block
            if not pending:
                return
            cut = pending.rfind(b"\n") + 1
            if not block:
                cut = len(pending)
            elif not cut:
                if len(pending) < BATCH_BYTES:
                    continue
                cut = _cut_place(pending, 0, BATCH_BYTES)
            head, pending = pending[:cut], pending[cut:]
            _decode(head, part.path, place)
            place += len(head)
            ends_line = head.endswith(b"\n")
            text = _LINE_END.sub(b"\n", b"\n" * is_line_start + head)
            # The next line brings its own.
            yield text[:-1] if ends_line else text
            is_line_start = ends_line


def _pieces(text):
    """Cuts a long text at white space; yields nothing for an empty one."""
    place = 0
    while len(text) - place > BATCH_BYTES:
        cut = _cut_place(text, place, place + BATCH_BYTES)
        yield text[place:cut]
        place = cut
    if place < len(text):
        yield text[place:]


def _cut_place(text, begin, end):
    """Where to cut: before white space, or else between characters."""
    middle = (begin + end) // 2
    space = max(text.rfind(b" ", middle, end), text.rfind(b"\n", middle, end))
    while space > middle and text[space - 1] in files.SPACE:
        space -= 1
    if space > middle:
        return space
    # Not inside of a character: before its first byte, which begins with 11.
    last = end - 1
    while text[last] & 0xC0 == 0x80 and last > end - 4:
        last -= 1
    return last if text[last] >= 0xC0 else end


def _decode(line, path, place):
    """Text of bytes that begin at a place of a file."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        position = place + error.start
    number = _line_number(path, position)
    with open(path, "rb") as file:
        for _ in range(number):
            line = file.readline()
    try:
        line.rstrip(b"\r\n").removeprefix(_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        raise files.utf8_error(f"{path}:{number}", error) from None
    raise AssertionError(f"{path} was changed while it was read")


def _line_number(path, place):
    """The number of the line that holds a byte of a file, from 1."""
    number = 1
    with open(path, "rb") as file:
        while place > 0 and (block := file.read(min(place, BATCH_BYTES))):
            number += block.count(b"\n")
            place -= len(block)
    return number


_PARSERS = {".jsonl": parsers.parse_json, ".tsv": parsers.parse_tsv}
