"""Cuts: wherever they fall, each document is in exactly one shard."""

import itertools
import json
import re

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.datasets import shard_plan
from unilmv2_tf.datasets import text_files

LINES = st.lists(
    st.sampled_from(["", " ", "\t\v", "a", " b c ", "\ufeff", "\ufeff é"]),
    max_size=25,
)


def whole_of(path):
    """One range for all of a file."""
    (part,) = shard_plan._ranges_of(str(path), None, "text")
    return part


def documents_of(parts):
    """The texts of successive parts, pieces of long ones joined."""
    documents = []
    for part in parts:
        for _, texts, starts in shard_plan.read_batches((part,), "train", 0):
            for text, is_start in zip(texts, starts):
                if is_start:
                    documents.append(text.decode())
                else:
                    documents[-1] += text.decode()
    return documents


def by_hand(text):
    """Documents of a text, with regular expressions and nothing else."""
    lines = [re.sub(r"^\ufeff", "", line) for line in text.split("\n")]
    text = "\n".join(line.strip(" \t\r\v\f") for line in lines)
    parts = [part.strip("\n") for part in re.split(r"\n\n+", text)]
    return [part for part in parts if part]


def check_cuts(path, num_bytes):
    whole = whole_of(path)
    parts = whole.cut(num_bytes)
    assert parts[0].start == 0 and parts[-1].end == whole.end
    assert all(a.end == b.start for a, b in itertools.pairwise(parts))
    assert all(part.num_bytes >= num_bytes for part in parts[:-1])
    expected = by_hand(path.read_bytes().decode())
    assert documents_of(parts) == documents_of([whole]) == expected


@settings(max_examples=20, deadline=None)
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.integers(1, 20))
def test_paragraphs(tmp_path_factory, lines, end, num_bytes):
    path = tmp_path_factory.mktemp("cuts") / "a.txt"
    path.write_bytes((end.join(lines) + " x").encode())
    check_cuts(path, num_bytes)


@settings(max_examples=15, deadline=None)
@given(
    LINES,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([".jsonl", ".tsv"]),
    st.booleans(),
    st.integers(1, 60),
)
def test_lines(tmp_path_factory, lines, end, extension, has_mark, num_bytes):
    path = tmp_path_factory.mktemp("cuts") / f"a{extension}"
    records = []
    for line in lines:
        # A mark is at the beginning of the file only.
        line = line.replace("\ufeff", "")
        if text_files.is_blank(line):
            records.append("")
        elif extension == ".jsonl":
            records.append(json.dumps({"text": line}))
        else:
            records.append(line.replace("\t", " "))
    text = "\ufeff" * has_mark + end.join([*records, ""])
    path.write_bytes(text.encode())
    if not text:
        return
    whole = whole_of(path)
    parts = whole.cut(num_bytes)
    expected = [
        json.loads(r)["text"] if extension == ".jsonl" else r
        for r in records
        if r
    ]
    assert documents_of(parts) == expected


@pytest.mark.parametrize("batch_bytes", [8, 16, 50])
@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.text(["a", " ", "é", "\U0001f98a", "\t"], min_size=1, max_size=60),
        max_size=8,
    ),
)
def test_documents_longer_than_a_batch(tmp_path_factory, batch_bytes, lines):
    # Documents, and single lines, that are cut into pieces of few bytes.
    path = tmp_path_factory.mktemp("long") / "a.txt"
    path.write_text("\n".join(["x", *lines, "", "y"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "MAX_TEXT_BYTES", batch_bytes)
        whole = whole_of(path)
        found = documents_of([whole])
    # Pieces are tokenized apart from each other: white space between them is
    # nothing.
    expected = [re.sub(r"\s", "", text) for text in by_hand(path.read_text())]
    assert [re.sub(r"\s", "", text) for text in found] == expected


def test_a_document_longer_than_a_shard_makes_one_part(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("word " * 1000 + "\n\nend")
    whole = whole_of(path)
    assert [part.start for part in whole.cut(100)] == [0, 5002]


def test_the_plan_follows_from_sizes(tmp_path):
    for number in range(30):
        text = "a document\n\n" * 8000
        (tmp_path / f"{number:02}.txt").write_text(text)
    (tmp_path / "big.jsonl").write_text('{"text": "a document"}\n' * 100_000)
    sources = [str(tmp_path / "*.txt"), tmp_path / "big.jsonl"]
    plan = shard_plan.plan_shards(sources)
    # 30 files of 96 kB, eleven a shard; the last eight begin the big file's.
    paths = [[part.path for part in shard] for shard in plan]
    assert [len(members) for members in paths] == [11, 11, 9, 1, 1]
    assert paths[2][-1].endswith("big.jsonl")
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert sum(map(shard_plan.num_bytes_of, plan)) == total
    again = shard_plan.plan_shards(sources)
    for one, other in zip(plan, again, strict=True):
        assert [(x.path, x.start, x.end) for x in one] == [
            (x.path, x.start, x.end) for x in other
        ]


def test_the_split_is_that_of_hold_out(corpus):
    from unilmv2_tf.datasets import load_documents

    plan = shard_plan.plan_shards(corpus)
    for split in ("train", "validation"):
        found = [
            text
            for shard in plan
            for _, texts, _ in shard_plan.read_batches(shard, split, 0.05)
            for text in texts
        ]
        expected = load_documents(str(corpus), split).as_numpy_iterator()
        assert found == [record["text"] for record in expected]


def test_all_of_a_long_document_goes_one_way(tmp_path):
    path = tmp_path / "a.txt"
    documents = [f"document {n} " + "word " * 400_000 for n in range(4)]
    path.write_text("\n\n".join(documents))
    plan = shard_plan.plan_shards(path)
    assert len(plan) == 4
    found = {"train": [], "validation": []}
    for shard in plan:
        for split, starts in found.items():
            for _, _, is_start in shard_plan.read_batches(shard, split, 0.5):
                starts += is_start
    # Two MB are three texts.
    assert sum(map(sum, found.values())) == 4
    for starts in found.values():
        assert starts == [True, False, False] * (len(starts) // 3)


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.txt",
            b"fine\n\nfine\ncaf\xe9\n",
            r"a\.txt:4: not valid UTF-8: byte 4",
        ),
        ("a.jsonl", b'{"text": "a"}\n\n{"txt": "b"}', r"a\.jsonl:3: .* 'text'"),
        ("a.jsonl", b'\n{"text": ', r"a\.jsonl:2: not valid JSON"),
        ("a.jsonl", b'{"text": "caf\xe9"}', r"a\.jsonl:1: not valid UTF-8"),
        ("a.tsv", b"one\ntwo\tthree\n", r"a\.tsv:2: .* has 2"),
    ],
)
def test_wrong_records(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    (shard,) = shard_plan.plan_shards(str(path))
    with pytest.raises(ValueError, match=message):
        list(shard_plan.read_batches(shard, "train", 0))


def test_a_wrong_byte_far_into_a_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a line\n\n" * 200_000 + b"caf\xe9\n")
    with pytest.raises(ValueError, match=r"a\.txt:400001: .* byte 4 .* 0xe9"):
        for shard in shard_plan.plan_shards(path):
            list(shard_plan.read_batches(shard, "train", 0))


@pytest.mark.parametrize(
    "source, error, message",
    [
        ("missing.txt", FileNotFoundError, "missing.txt"),
        ("a.csv", FileNotFoundError, "a.csv"),
        ("docstrings:pairs", ValueError, "no documents"),
        ("https:x", ValueError, "unknown scheme 'https:'"),
        ([], ValueError, "at least one"),
        (3, ValueError, "source=3"),
        ("tfds:no_such_corpus", ValueError, "no_such_corpus"),
        ("tfds:ag_news_subset", FileNotFoundError, "tfds build"),
    ],
)
def test_sources_that_are_not_there(source, error, message, tmp_path):
    with pytest.raises(error, match=message):
        shard_plan.plan_shards(source, data_dir=str(tmp_path))


def test_hashing_is_the_library_s(tmp_path):
    # The rule in other words: Farmhash's bucket of the first bytes.
    path = tmp_path / "a.tsv"
    lines = [f"document number {n}" for n in range(300)]
    path.write_text("\n".join(lines))
    buckets = tf.strings.to_hash_bucket_fast(lines, 1_000_000).numpy()
    (shard,) = shard_plan.plan_shards(path)
    held = [
        text.decode()
        for _, texts, _ in shard_plan.read_batches(shard, "validation", 0.2)
        for text in texts
    ]
    assert held == [x for x, b in zip(lines, buckets) if b < 200_000]
    assert 30 < len(held) < 90
