import json
import os
import pathlib
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets import load_documents
from unilmv2_tf.datasets import load_pairs
from unilmv2_tf.datasets import text_files
from unilmv2_tf.preprocessing import join_word_pieces

CASES = pathlib.Path(__file__).parents[1] / "data" / "cases"
LOADERS = {"documents": load_documents, "pairs": load_pairs}


def rows(path, kind):
    dataset = LOADERS[kind](str(path))
    assert len(dataset) > 0
    return [
        tuple(value.decode() for value in record.values())
        for record in dataset.as_numpy_iterator()
    ]


def by_hand(text):
    """Documents of a text, with regular expressions and nothing else."""
    lines = [re.sub(r"^\ufeff", "", line) for line in text.split("\n")]
    text = "\n".join(line.strip(" \t\r\v\f") for line in lines)
    return [
        (part.strip("\n"),)
        for part in re.split(r"\n\n+", text)
        if part.strip("\n")
    ]


def test_documents_are_separated_by_empty_lines(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(
        b"\xef\xbb\xbf\n\n one \r\ntwo\t\r\n \t \r\n\n\nthree\r\n\nfour"
    )
    assert rows(path, "documents") == [("one\ntwo",), ("three",), ("four",)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.sampled_from(["", " ", "\t\v", "a", " b c ", "\ufeff", "é\u3000"]),
        max_size=14,
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_documents_of_any_lines(tmp_path_factory, lines, end):
    path = tmp_path_factory.mktemp("texts") / "a.txt"
    text = end.join(lines)
    path.write_bytes(text.encode("utf-8"))
    expected = by_hand(text)
    found = [(x.decode(),) for x in text_files.read_documents(str(path))]
    assert found == expected
    if not expected:
        with pytest.raises(ValueError, match="is empty"):
            load_documents(str(path))


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(min_size=1).filter(
                lambda text: not text_files.is_blank(text)
            ),
            st.lists(
                st.sampled_from(["un", "##like", "##ly", ".", "é"]), min_size=1
            ),
        ),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_json_lines_come_back_as_they_were_written(
    tmp_path_factory, pairs, ascii_only
):
    path = tmp_path_factory.mktemp("pairs") / "a.jsonl"
    lines = [
        json.dumps({"src": one, "tgt": two, "id": 7}, ensure_ascii=ascii_only)
        for one, two in pairs
    ]
    path.write_text("\n\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    expected = [(one, join_word_pieces(two)) for one, two in pairs]
    assert rows(path, "pairs") == expected


def test_tsv_columns(tmp_path):
    path = tmp_path / "a.TSV"
    path.write_bytes('é a\tb\r\n\n"q" r\t x'.encode())
    assert rows(path, "pairs") == [("é a", "b"), ('"q" r', " x")]
    path = tmp_path / "b.tsv"
    path.write_text("one\n\ntwo\n")
    assert rows(path, "documents") == [("one",), ("two",)]


def test_json_documents_of_text_or_pieces(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": ["play", "##ed"]}\n{"text": "two\\nlines"}\n')
    assert rows(path, "documents") == [
        (join_word_pieces(["play", "##ed"]),),
        ("two\nlines",),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "content", "message"),
    [
        ("a.txt", "documents", b"", "a.txt is empty: it has no documents"),
        ("a.txt", "documents", b" \n\n\t\n", "is empty"),
        ("a.jsonl", "pairs", b"\n", "a.jsonl is empty: it has no pairs"),
        ("a.txt", "documents", b"ok\n\nx\xe9y", r"a.txt:3: .*byte 2 .* 0xe9"),
        ("a.txt", "documents", b"\xff\xfea\0", "a.txt:1: not valid UTF-8"),
        ("a.jsonl", "documents", b'{"text": "\xff"}', "jsonl:1: not valid UTF"),
        ("a.jsonl", "documents", b'{"text": "a"}\n{', "a.jsonl:2: not valid J"),
        ("a.jsonl", "documents", b"[1]", "a.jsonl:1: .*of type list"),
        ("a.jsonl", "documents", b"[" * 99999, "a.jsonl:1: not valid JSON"),
        ("a.jsonl", "documents", b'{"src": ""}', "key 'text' is missing.*src"),
        ("a.jsonl", "pairs", b"{}", "key 'src' is missing.*no key"),
        ("a.jsonl", "pairs", b'{"src": "a"}', "'tgt' is missing"),
        ("a.jsonl", "documents", b'{"text": 3}', "a.jsonl:1: .*not 3"),
        ("a.jsonl", "documents", b'{"text": ["a", null]}', r"not \[.a., null"),
        ("a.jsonl", "documents", b'{"text": []}', "'text' is empty"),
        ("a.jsonl", "documents", b'{"text": "\\ud800"}', "surrogate"),
        ("a.tsv", "pairs", b"a\tb\na\tb\tc", "a.tsv:2: .*2 columns.* has 3"),
        ("a.tsv", "pairs", b"a\t ", "a.tsv:1: column 2 is empty"),
        ("a.tsv", "documents", b"a\tb", "a.tsv:1: .*1 column, .* has 2"),
        ("a.txt", "pairs", b"a", r"cannot hold pairs.*\.jsonl, \.tsv"),
        ("a.csv", "documents", b"a", r"extension '\.csv'.*\.txt, \.jsonl"),
        ("a", "documents", b"a", "unknown extension ''"),
    ],
)
def test_errors_name_the_file_and_the_line(
    tmp_path, name, kind, content, message
):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        LOADERS[kind](str(path))


def test_checking_keeps_nothing_of_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    with open(path, "w") as file:
        for _ in range(10_000):
            file.write(json.dumps({"text": "word " * 100}) + "\n")
    tracemalloc.start()
    try:
        assert len(load_documents(str(path))) == 10_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert os.path.getsize(path) > 5_000_000
    assert peak < 1_000_000


def test_texts_without_a_token_are_empty():
    path = CASES / "10_word_pieces" / "empty_targets.jsonl"
    with pytest.raises(ValueError, match="jsonl:7: 'tgt' is empty"):
        load_pairs(str(path))
    for text in ("\u200b", "\u3000 \xa0", "\x00", "\ue000", "\u0301"):
        assert text_files.is_blank(text)
    assert not text_files.is_blank("\u200b\u3001")


def test_broken_links_and_pipes(tmp_path):
    link = tmp_path / "a.txt"
    link.symlink_to(tmp_path / "gone.txt")
    assert text_files.find_files(str(link)) == [str(link)]
    with pytest.raises(FileNotFoundError, match="does not exist"):
        text_files.open_file(str(link))
    link.unlink()
    os.mkfifo(link)
    with pytest.raises(ValueError, match="not a regular file"):
        text_files.open_file(str(link))


def test_globs_are_sorted_and_brackets_may_be_names(tmp_path):
    for name in ("b.txt", "a.txt", "c[1].txt", "deep/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")

    def found(pattern):
        return [
            os.path.relpath(path, tmp_path)
            for path in text_files.find_files(str(tmp_path / pattern))
        ]

    assert found("[ab].txt") == ["a.txt", "b.txt"]
    assert found("c[1].txt") == ["c[1].txt"]
    assert found("**/*.txt") == ["a.txt", "b.txt", "c[1].txt", "deep/d.txt"]


def test_no_match_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No file matches .*none\*"):
        text_files.find_files(str(tmp_path / "none*.txt"))
    with pytest.raises(IsADirectoryError, match=r"is a folder.*\*\.txt"):
        text_files.find_files(str(tmp_path))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("text")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(text_files, "open", refuse, raising=False)
    with pytest.raises(PermissionError, match=r"a\.txt may not be read"):
        text_files.open_file(str(path))
