import collections
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing import join_word_pieces
from unilmv2_tf.preprocessing import vocabulary as module
from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary
from unilmv2_tf.preprocessing.vocabulary import save_vocabulary

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "The quick brown Fox jumped over the lazy dog.",
    "A quick-witted fox's jumping; the dog's lazier…",
    "Élan, naïve café — 東京 (Tokyo) costs ½ or \uff035.",
] * 3


tokenizer = UniLMv2Tokenizer


def pieces_of(text, vocabulary, in_graph, **kwargs):
    layer = tokenizer(vocabulary, **kwargs)
    if in_graph:
        dataset = tf.data.Dataset.from_tensors(text).map(layer)
        (ids,) = dataset.as_numpy_iterator()
    else:
        ids = layer(text)
    return [vocabulary[token] for token in np.array(ids)]


def slow_merges(words, size):
    """Byte-pair encoding as it is defined, one merge after the other."""
    words = {
        (word[0], *("##" + letter for letter in word[1:])): count
        for word, count in words.items()
    }
    symbols = {symbol for word in words for symbol in word}
    pieces = sorted(symbols, key=lambda symbol: (symbol[:2] == "##", symbol))
    rank = {piece: number for number, piece in enumerate(pieces)}
    while len(pieces) < size:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda p: (-pairs[p], rank[p[0]], rank[p[1]]))
        merged = best[0] + best[1][2:]
        if merged not in rank:
            rank[merged] = len(pieces)
            pieces.append(merged)
        words = {merge(word, best, merged): n for word, n in words.items()}
    return pieces


def merge(word, pair, merged):
    result, position = [], 0
    while position < len(word):
        if word[position : position + 2] == pair:
            result.append(merged)
            position += 2
        else:
            result.append(word[position])
            position += 1
    return tuple(result)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text("abcd", min_size=1, max_size=6),
        st.integers(1, 5),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 12),
)
def test_merges_are_those_of_byte_pair_encoding(words, extra):
    symbols = {
        "##" * (place > 0) + letter
        for word in words
        for place, letter in enumerate(word)
    }
    size = len(symbols) + extra
    text = " ".join(" ".join([word] * count) for word, count in words.items())
    learned = learn_vocabulary([text], size + len(SPECIAL))
    assert learned == SPECIAL + slow_merges(words, size)


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("strip_accents", [False, True])
def test_no_unknowns_in_the_text_it_was_learned_from(
    in_graph, lowercase, strip_accents
):
    options = {"lowercase": lowercase, "strip_accents": strip_accents}
    learned = learn_vocabulary(TEXTS, 300, **options)
    for text in TEXTS[:3]:
        pieces = pieces_of(text, learned, in_graph, **options)
        assert "[UNK]" not in pieces, (text, pieces)


def test_repeated_words_become_pieces_as_the_tokenizer_sees_them():
    learned = learn_vocabulary(TEXTS, 300)
    pieces = pieces_of(
        TEXTS[2], learned, in_graph=True, lowercase=True, strip_accents=True
    )
    assert pieces[:4] == ["elan", ",", "naive", "cafe"]
    assert pieces[5:8] == ["東", "京", "("]


def test_the_size_is_exact_where_the_text_allows_it():
    full = learn_vocabulary(TEXTS, 1000)
    assert len(full) < 1000
    for size in range(len(full) - 30, len(full) + 1):
        # Fewer pieces are the first ones of more pieces.
        assert learn_vocabulary(TEXTS, size) == full[:size]


def test_order_and_uniqueness():
    learned = learn_vocabulary(TEXTS, 200)
    assert learned[:5] == SPECIAL
    assert len(set(learned)) == len(learned)


def test_datasets_of_strings_records_and_lists_are_the_same():
    strings = tf.data.Dataset.from_tensor_slices(TEXTS)
    pairs = tf.data.Dataset.from_tensor_slices(
        {"encoder_text": TEXTS[:5], "decoder_text": TEXTS[5:] + [""]}
    )
    expected = learn_vocabulary(TEXTS, 150)
    assert learn_vocabulary(strings, 150) == expected
    assert learn_vocabulary(strings.map(lambda x: {"text": x}), 150) == expected
    assert learn_vocabulary(iter(TEXTS), 150) == expected
    assert learn_vocabulary(reversed(TEXTS), 150) == expected
    assert learn_vocabulary(pairs, 150) == expected


def test_word_pieces_are_joined():
    pieces = join_word_pieces(["a", "##b", "c"])
    for documents in (
        [pieces] * 2,
        tf.data.Dataset.from_tensors(pieces).repeat(2),
    ):
        assert learn_vocabulary(documents, 20)[5:] == ["a", "c", "##b", "ab"]


def test_rare_characters_give_way_to_common_ones():
    text = "common letters " * 40_000 + "☃ "
    learned = learn_vocabulary([text], 100)
    assert "c" in learned and "☃" not in learned


def test_words_longer_than_the_tokenizer_takes_are_passed_over():
    learned = learn_vocabulary(["x" * 101 + " y y", "z" * 100 + " y"], 50)
    assert "y" in learned and "z" in learned and "x" not in learned


@pytest.mark.slow
def test_the_same_in_every_process():
    program = (
        "import json, sys; "
        "from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary; "
        "print(json.dumps(learn_vocabulary(json.loads(sys.argv[1]), 120)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, json.dumps(TEXTS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2", "3")
    }
    assert [json.loads(output) for output in outputs] == [
        learn_vocabulary(TEXTS, 120)
    ]


@pytest.mark.parametrize(
    ("documents", "size", "message"),
    [
        (["a"], 5, "must leave room"),
        (["a"], 0, "must leave room"),
        (["abcdef"], 10, "at least 11 for this text. Received: 10"),
        ([], 100, "no word at all"),
        (["  ", "\n"], 100, "no word at all"),
        ("a text", 100, "not one string"),
        ([b"bytes"], 100, "type bytes"),
    ],
)
def test_what_cannot_be_learned(documents, size, message):
    with pytest.raises(ValueError, match=message):
        learn_vocabulary(documents, size)


def test_a_file_is_written_and_read(tmp_path):
    path = tmp_path / "vocabulary.txt"
    tokens = [*SPECIAL, "é", "##é", "東"]
    save_vocabulary(tokens, path)
    assert path.read_text(encoding="utf-8").split("\n") == [*tokens, ""]
    assert load_vocabulary(path) == tokens
    assert tokenizer(str(path)).get_vocabulary() == tokens
    assert os.listdir(tmp_path) == ["vocabulary.txt"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "vocabulary.txt"
    save_vocabulary(SPECIAL, path)

    def replace(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save_vocabulary([*SPECIAL, "new"], path)
    assert os.listdir(tmp_path) == ["vocabulary.txt"]
    assert load_vocabulary(path) == SPECIAL


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"special tokens \[PAD\], \[UNK\], \[CLS\], \[SEP\], \[MASK\] "),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe", r"special token \[MASK\] must"),
        (b'\xef\xbb\xbf{"[PAD]": 0}', "is JSON, and a vocabulary is text"),
        (b'[\n"[PAD]"]', "is JSON"),
        (b"[PAD]\r[UNK]\nx", "must not hold a line break"),
        (b"[PAD]\n[UNK]\nx\xff", "txt:3: not valid UTF-8: byte 2 .* 0xff"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_vocabulary(path)
    assert str(path) in str(caught.value)


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "vocabulary.txt"
    for tokens in (["[PAD]"], [*SPECIAL, "a\nb"], [1]):
        with pytest.raises(ValueError, match="`vocabulary`"):
            save_vocabulary(tokens, path)
    assert os.listdir(tmp_path) == []


def test_windows_line_ends_are_accepted(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes("\r\n".join(SPECIAL).encode())
    assert load_vocabulary(path) == SPECIAL
