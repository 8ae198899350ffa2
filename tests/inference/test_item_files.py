"""Streams give the lines that files give, as soon as they arrive."""

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.inference.item_files import ItemParser
from unilmv2_tf.inference.item_files import read_items
from unilmv2_tf.inference.item_files import stream_items

COLUMNS = (("src",),)


def parser():
    return ItemParser(COLUMNS, ".txt", may_be_empty=True)


@settings(max_examples=25, deadline=None)
@given(
    pieces=st.lists(st.text("ab\n\r\u2028é", max_size=12), max_size=8),
    size=st.integers(1, 4),
)
def test_a_stream_in_pieces(pieces, size):
    reader, writer = os.pipe()

    def feed():
        for piece in pieces:
            os.write(writer, piece.encode())
        os.close(writer)

    feeder = threading.Thread(target=feed)
    feeder.start()
    chunks = list(stream_items(reader, size, parser()))
    feeder.join()
    os.close(reader)
    whole = io.BytesIO("".join(pieces).encode())
    assert [item["src"] for chunk in chunks for item in chunk] == [
        line.decode().rstrip("\r\n") for line in whole
    ]
    assert all(1 <= len(chunk) <= size for chunk in chunks)


def test_lines_before_an_invalid_one_are_processed():
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\n\xff\n")
    os.close(writer)
    chunks = stream_items(reader, 9, parser())
    assert next(chunks) == [{"src": "one"}, {"src": "two"}]
    with pytest.raises(ValueError, match="stdin:3: not valid UTF-8: byte 1"):
        next(chunks)
    os.close(reader)


def test_lines_of_files(tmp_path):
    path = tmp_path / "sources.txt"
    path.write_bytes("\ufeffone\r\n\n \u2028two\u0085".encode())
    _, items = read_items(str(path), COLUMNS, True)
    assert [item["src"] for item in items] == ["one", "", " \u2028two\u0085"]
    for line, message in (
        ('{"src": 1}', "string or a list of WordPieces"),
        ('{"src": "\\ud800"}', "half of a surrogate pair"),
        ("{", "not valid JSON"),
        ("[]", "must be an object"),
    ):
        path = tmp_path / "sources.jsonl"
        path.write_text('{"src": ""}\n' + line)
        with pytest.raises(ValueError, match=f"sources.jsonl:2: .*{message}"):
            read_items(str(path), COLUMNS, True)
