import codecs
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing import join_word_pieces
from unilmv2_tf.preprocessing import load_vocabulary
from unilmv2_tf.preprocessing import save_vocabulary
from unilmv2_tf.preprocessing.text_cleaning import plain_text

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "fox", "jump", "##ed", "##s", "cafe", "café", "na", "##ive"]
CHARACTERS = list("abcé!?.,-'[]$^_`~#1٣½ß東京日한😀") + ["strasse", "ss", "##a"]
CHARACTERS += ["##b", "##é", "##東", "##1", "mask", "MASK", "cls", "A", "É"]
VOCABULARY = SPECIAL + WORDS + CHARACTERS

NASTY = [
    "",
    " ",
    "   the    fox  ",
    "\tthe\nfox\r\njumped\u00a0jumps\u3000a\u2028the\u2009fox",
    "café naïve CAFÉ Élan",
    "cafe\u0301 e\u0301",
    "東京the日本 한국",
    "the東fox京",
    "😀 a😀b 👩‍👩‍👧‍👦 🏳️‍🌈",
    "a\x00b\x07c the\u200b fox\u200f\ufeffa \ufffd \x0b\x85",
    "ju\u00admp\x00ed\x00",
    "a" * 100,
    "a" * 101,
    "a" + "b" * 300,
    "é" * 49 + " " + "é" * 60,
    "the-fox's, jumped! $1^_`~ #ab ##ed [a]",
    "Straße STRASSE ﬁ ½ ٣ Ⅷ",
    "[MASK] [CLS] the [SEP] [PAD] [UNK] [mask]",
    "unknownword xyz",
    "\u202ethe fox\u202c",
    "a\ud7ffb\ue000",
]


def tokenizer_of(**kwargs):
    return UniLMv2Tokenizer(VOCABULARY, **kwargs)


def eager_ids(tokenizer, texts):
    return [np.array(tokenizer(text)).tolist() for text in texts]


def graph_ids(tokenizer, texts):
    """Ids from a batched dataset, an unbatched one and a function."""
    dataset = tf.data.Dataset.from_tensor_slices(texts)
    batched = next(iter(dataset.batch(len(texts)).map(tokenizer))).to_list()
    single = [
        ids.tolist() for ids in dataset.map(tokenizer).as_numpy_iterator()
    ]
    traced = tf.function(tokenizer.tokenize)(tf.constant(texts)).to_list()
    assert batched == single == traced
    return batched


def preset(folder, tokenizer):
    # KerasHub knows a preset by its backbone.
    UniLMv2Backbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=1,
        num_heads=1,
        hidden_dim=2,
        intermediate_dim=2,
    ).save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))


def is_cjk(character):
    return unicodedata.name(character, "").startswith("CJK UNIFIED")


def is_punctuation(character):
    is_ascii_symbol = "!" <= character <= "~" and not character.isalnum()
    return is_ascii_symbol or unicodedata.category(character)[0] == "P"


def is_invisible(character):
    return (
        unicodedata.category(character) in {"Cc", "Cf", "Co"}
        and character not in "\t\n\r"
    ) or character == "\ufffd"


def reference_ids(text, lowercase=True, strip_accents=False, cjk=True):
    """WordPiece by hand: clean, lowercase, split, longest match first."""
    text = "".join(c for c in text if not is_invisible(c))
    if strip_accents:
        text = "".join(
            c
            for c in unicodedata.normalize("NFD", text)
            if unicodedata.category(c) != "Mn"
        )
    spaced = ""
    for character in text:
        if lowercase:
            character = character.lower()
        alone = is_punctuation(character) or (cjk and is_cjk(character))
        spaced += f" {character} " if alone else character
    tokens = [piece for word in spaced.split() for piece in pieces_of(word)]
    return [VOCABULARY.index(token) for token in tokens]


def pieces_of(word):
    if len(word) > 100:
        return ["[UNK]"]
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        fitting = [
            end
            for end in range(start + 1, len(word) + 1)
            if prefix + word[start:end] in VOCABULARY
        ]
        if not fitting:
            return ["[UNK]"]
        pieces.append(prefix + word[start : fitting[-1]])
        start = fitting[-1]
    return pieces


@pytest.mark.parametrize("cjk", [True, False])
@pytest.mark.parametrize("strip_accents", [False, True])
@pytest.mark.parametrize("lowercase", [True, False])
def test_eager_graph_and_by_hand(lowercase, strip_accents, cjk):
    tokenizer = tokenizer_of(
        lowercase=lowercase, strip_accents=strip_accents, split_on_cjk=cjk
    )
    by_hand = [
        reference_ids(text, lowercase, strip_accents, cjk) for text in NASTY
    ]
    assert eager_ids(tokenizer, NASTY) == by_hand
    assert graph_ids(tokenizer, NASTY) == by_hand


@pytest.fixture(scope="module")
def both_ways():
    tokenizer = tokenizer_of()
    signature = [tf.TensorSpec([None], tf.string)]
    return tokenizer.tokenize, tf.function(
        tokenizer.tokenize, input_signature=signature
    )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    texts=st.lists(
        st.text("aAbé ÉtheTHEfox\t東京!.[]#1😀ßmask'\u0301\u00a0\x00\u200d"),
        min_size=1,
        max_size=8,
    )
)
def test_eager_and_graph_agree_on_any_text(texts, both_ways):
    eager, graph = both_ways
    expected = [list(row) for row in eager(texts)]
    assert graph(tf.constant(texts)).to_list() == expected


def peer_of(vocabulary, lowercase):
    peer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            {token: i for i, token in enumerate(vocabulary)},
            unk_token="[UNK]",
            max_input_chars_per_word=100,
        )
    )
    peer.normalizer = tokenizers.normalizers.BertNormalizer(
        strip_accents=lowercase, lowercase=lowercase
    )
    peer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return peer


RANGES = {
    "latin": (0x20, 0x250),
    "greek": (0x370, 0x400),
    "extended greek": (0x1F00, 0x2000),
    "cyrillic": (0x400, 0x530),
    "hebrew": (0x591, 0x5F5),
    "arabic": (0x600, 0x700),
    "hindi": (0x900, 0x980),
    "thai": (0xE00, 0xE5C),
    "khmer": (0x1780, 0x17FA),
    "hangul": (0xAC00, 0xAD00),
    "kana": (0x3040, 0x3100),
    "ideographs": (0x4E00, 0x4F00),
    "compatibility ideographs": (0xF900, 0xFA00),
    "ideographic marks": (0x3000, 0x3040),
    "full width": (0xFF00, 0xFFF0),
    "ligatures": (0xFB00, 0xFB50),
    "circled": (0x2460, 0x2500),
    "letterlike": (0x2100, 0x2200),
    "marks": (0x2000, 0x2070),
    "accents": (0x300, 0x370),
    "emoji": (0x1F300, 0x1F650),
    "variation": (0xFE00, 0xFE10),
    "control": (0, 0xA0),
    "private use": (0xE000, 0xE020),
}


@functools.cache
def random_texts(number):
    rng = np.random.default_rng(0)
    ranges = list(RANGES.values())
    texts = []
    while len(texts) < number:
        words = []
        for _ in range(rng.integers(1, 6)):
            low, high = ranges[rng.integers(len(ranges))]
            size = rng.choice([1, 3, 8, 20, 60, 150], p=WORD_SIZES)
            word = "".join(map(chr, rng.integers(low, high, size)))
            words.append("https://ex.com/?b=" * (rng.random() < 0.1) + word)
        texts.append(rng.choice([" ", "", "\u3000", "\u200b"]).join(words))
    return texts


WORD_SIZES = [0.2, 0.3, 0.25, 0.15, 0.06, 0.04]


@functools.cache
def letters():
    found = set()
    for text in (
        "".join(map(chr, range(*limits))) for limits in RANGES.values()
    ):
        for case in (text, text.lower()):
            found |= {*case, *unicodedata.normalize("NFD", case)}
    found = sorted(found - set("\n\r"))
    return [*SPECIAL, *found, *("##" + letter for letter in found)]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize(
    "number", [1500, pytest.param(20_000, marks=pytest.mark.slow)]
)
def test_equals_another_library(lowercase, number):
    texts = random_texts(number)
    tokenizer = UniLMv2Tokenizer(letters(), lowercase=lowercase)
    peer = peer_of(letters(), lowercase)
    ours = tf.function(tokenizer.tokenize)(tf.constant(texts)).to_list()
    expected = [encoding.ids for encoding in peer.encode_batch(texts)]
    assert [i for i in range(number) if ours[i] != expected[i]] == []
    assert eager_ids(tokenizer, texts[:20]) == expected[:20]


def test_equals_the_tokenizer_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    path = tmp_path / "vocab.txt"
    save_vocabulary(letters(), path)
    peer = transformers.BertTokenizer(str(path))
    texts = random_texts(200)
    expected = peer(texts, add_special_tokens=False)["input_ids"]
    assert UniLMv2Tokenizer(str(path))(texts) == expected


@pytest.mark.parametrize("lowercase", [True, False])
def test_text_gives_special_tokens_only_if_allowed(lowercase):
    texts = [f"the {token} fox{token}" for token in SPECIAL]
    plain = tokenizer_of(lowercase=lowercase)
    for ids in (eager_ids(plain, texts), graph_ids(plain, texts)):
        # Unknown pieces are [UNK], however they came about.
        found = {i for row in ids for i in row if i < len(SPECIAL)}
        assert found <= {plain.unk_token_id}

    special = tokenizer_of(lowercase=lowercase, special_tokens_in_strings=True)
    expected = [
        [special.token_to_id(t) for t in ("the", token, "fox", token)]
        for token in SPECIAL
    ]
    assert eager_ids(special, texts) == expected
    assert graph_ids(special, texts) == expected


def test_ids_of_special_tokens():
    tokenizer = UniLMv2Tokenizer(
        ["a", "[MASK]", "[SEP]", "[P]", "[UNK]", "[CLS]", "[PAD]"],
        pseudo_token="[P]",
    )
    assert tokenizer.pad_token_id == 6
    assert tokenizer.unk_token_id == 4
    assert tokenizer.cls_token_id == tokenizer.start_token_id == 5
    assert tokenizer.sep_token_id == tokenizer.end_token_id == 2
    assert tokenizer.mask_token_id == 1
    assert tokenizer.pseudo_token_id == 3
    assert sorted(tokenizer.special_token_ids) == [1, 2, 3, 4, 5, 6]
    assert UniLMv2Tokenizer(SPECIAL).pseudo_token_id == 4


@pytest.mark.parametrize("missing", SPECIAL)
def test_a_missing_special_token_is_named(missing):
    with pytest.raises(ValueError, match=re.escape(missing)):
        UniLMv2Tokenizer([t for t in VOCABULARY if t != missing])


def test_a_missing_pseudo_token_is_named():
    with pytest.raises(ValueError, match=re.escape("[P]")):
        UniLMv2Tokenizer(VOCABULARY, pseudo_token="[P]")


CASES = pathlib.Path(__file__).parents[1] / "data" / "cases"


@pytest.mark.parametrize(
    "name, expected, size",
    [
        ("white_space", [5, 7], 8),
        ("duplicate", [6, 8], 9),
        ("blank_end", [5, 6], 8),
        ("blank_inside", [5, 7], 8),
        ("byte_order_mark", [5, 6], 7),
        # Two tokens of white space, one with a blank at its end, CRLF.
        ("mixed", [8, 10], 11),
    ],
)
@pytest.mark.filterwarnings("ignore:.* holds '\\[unused99\\]':UserWarning")
def test_ids_are_line_numbers(name, expected, size, tmp_path):
    path = CASES / "07_vocabularies" / f"{name}.txt"
    if name == "mixed":
        content = "\r\n".join(
            [*SPECIAL, "\u3000", "fox ", "\x85", "fox", "", "dog"]
        ).encode()
        path = tmp_path / "vocab.txt"
        path.write_bytes(content)
    content = path.read_bytes()
    tokens = load_vocabulary(path)
    from_file = UniLMv2Tokenizer(str(path))
    preset(tmp_path / "preset", from_file)
    from_preset = UniLMv2Tokenizer.from_preset(str(tmp_path / "preset"))
    for tokenizer in (from_file, UniLMv2Tokenizer(tokens), from_preset):
        assert tokenizer.get_vocabulary() == tokens
        assert tokenizer.vocabulary_size() == size
        assert eager_ids(tokenizer, ["fox dog"]) == [expected]
        assert graph_ids(tokenizer, ["fox dog"]) == [expected]
    written = next((tmp_path / "preset").rglob("vocabulary.txt")).read_bytes()
    content = content.replace(b"\r", b"").removeprefix(codecs.BOM_UTF8)
    assert written == content.removesuffix(b"\n") + b"\n"


def test_a_token_that_is_there_twice_is_noted():
    with pytest.warns(UserWarning, match="'fox' in lines 7 and 9, and 1 more"):
        tokenizer = UniLMv2Tokenizer([*SPECIAL, "a", "fox", "b", "fox", "b"])
    assert eager_ids(tokenizer, ["fox b"]) == [[8, 9]]
    assert tokenizer.token_to_id("fox") == 8
    assert tokenizer.id_to_token(6) == "fox"
    assert tokenizer.detokenize([6, 8]) == "fox fox"


@pytest.mark.parametrize("folder", ["09_long_words", "09_cleaning"])
def test_cases_of_cleaning(folder):
    tokenizer = UniLMv2Tokenizer(
        str(CASES / folder / "vocab.txt"), lowercase=folder == "09_cleaning"
    )
    lines = (CASES / folder / "texts.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    texts = [record["text"] for record in records]
    expected = [record["ids"] for record in records]
    assert eager_ids(tokenizer, texts) == expected
    assert graph_ids(tokenizer, texts) == expected


@pytest.mark.parametrize(
    "word, pieces",
    [("\u043f" * 100, 100), ("\u043f" * 101, 1), ("\u00e9" * 60, 60)],
)
def test_words_are_limited_in_characters(word, pieces):
    tokenizer = UniLMv2Tokenizer(
        [*SPECIAL, *"\u043fe\u00e9", "##\u043f", "##e", "##\u00e9"]
    )
    (ids,) = eager_ids(tokenizer, [word])
    assert len(ids) == pieces
    assert (ids == [tokenizer.unk_token_id]) == (pieces == 1)


def test_a_turkish_locale_changes_nothing():
    program = (
        "import unilmv2_tf as u; import numpy as np; t = u.UniLMv2Tokenizer("
        f"{[*SPECIAL, 'title']}); print(np.array(t('TITLE TITLE')).tolist())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split("\n")[-2] == "[5, 5]"


def test_added_tokens_are_matched_before_the_splitting(tmp_path):
    added = {"[E1]": 7, "[/E1]": 8, "\u00c9[": 11}
    tokenizer = UniLMv2Tokenizer([*SPECIAL, "fox", "[E1]"], added_tokens={})
    assert eager_ids(tokenizer, ["[E1]"]) == [[1, 1, 1]]
    tokenizer = UniLMv2Tokenizer(
        [*SPECIAL, "fox", "e"], added_tokens=added, lowercase=True
    )
    texts = ["[E1] Fox [/E1]", "fox[E1]fox", "[e1]", "\u00c9[fox \u00c9"]
    expected = [[7, 5, 8], [5, 7, 5], [1, 1, 1], [11, 5, 6]]
    assert tokenizer.vocabulary_size() == 12
    assert tokenizer.get_vocabulary()[9:] == ["", "", "\u00c9["]
    preset(tmp_path, tokenizer)
    again = UniLMv2Tokenizer.from_preset(str(tmp_path))
    assert again.added_tokens == added
    for each in (tokenizer, again):
        assert eager_ids(each, texts) == expected
        assert graph_ids(each, texts) == expected
    # The vocabulary of the file and the added tokens stay apart.
    assert len(load_vocabulary(next(tmp_path.rglob("vocabulary.txt")))) == 7
    with pytest.raises(ValueError, match=r"'\[E1\]' with the id 5, .* 'fox'"):
        UniLMv2Tokenizer([*SPECIAL, "fox"], added_tokens={"[E1]": 5})


def test_word_pieces_get_their_ids():
    tokenizer = tokenizer_of()
    rng = np.random.default_rng(0)
    lists = [list(rng.choice(VOCABULARY, 12)) for _ in range(50)]
    lists += [["[UNK]", "[SEP]"], ["##s"], [], ["no token"]]
    texts = [join_word_pieces(pieces) for pieces in lists]
    expected = [[VOCABULARY.index(x) for x in pieces] for pieces in lists[:-1]]
    expected.append([1])
    assert tokenizer(texts) == expected
    assert graph_ids(tokenizer, texts) == expected
    assert plain_text(join_word_pieces(["jump", "##ed", "fox"])) == "jumped fox"


def test_presets_of_earlier_versions_keep_their_ids():
    vocabulary = [*SPECIAL, ",", "\uff0c", "fi", "\ufb01", "ss", "\u00df"]
    tokenizer = UniLMv2Tokenizer(vocabulary)
    config = {
        k: v for k, v in tokenizer.get_config().items() if k != "cleaning"
    }
    earlier = UniLMv2Tokenizer.from_config(config)
    earlier.set_vocabulary(vocabulary)
    assert earlier.cleaning == "keras_hub"
    assert eager_ids(tokenizer, ["\uff0c \ufb01 \u00df"]) == [[6, 8, 10]]
    assert eager_ids(earlier, ["\uff0c \ufb01 \u00df"]) == [[5, 7, 9]]
    with pytest.raises(ValueError, match="must be one of bert, keras_hub"):
        UniLMv2Tokenizer(vocabulary, cleaning="none")


def test_a_vocabulary_file(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    tokenizer = UniLMv2Tokenizer(str(path))
    assert tokenizer.get_vocabulary() == VOCABULARY
    assert eager_ids(tokenizer, NASTY) == eager_ids(tokenizer_of(), NASTY)


OPTIONS = {
    "lowercase": False,
    "pseudo_token": "mask",
    "special_tokens_in_strings": True,
    "split_on_cjk": False,
    "strip_accents": True,
}


def test_config_round_trip():
    config = json.loads(json.dumps(tokenizer_of(**OPTIONS).get_config()))
    assert OPTIONS.items() <= config.items()
    again = UniLMv2Tokenizer.from_config(config)
    again.set_vocabulary(VOCABULARY)
    assert again.pseudo_token_id == VOCABULARY.index("mask")
    assert eager_ids(again, NASTY) == eager_ids(tokenizer_of(**OPTIONS), NASTY)
    assert again.get_config() == tokenizer_of(**OPTIONS).get_config() | {
        "name": again.name
    }


def test_keras_serialization():
    tokenizer = tokenizer_of(**OPTIONS)
    again = keras.layers.deserialize(keras.layers.serialize(tokenizer))
    assert isinstance(again, UniLMv2Tokenizer)
    assert OPTIONS.items() <= again.get_config().items()


@pytest.mark.parametrize("options", [{}, OPTIONS])
def test_preset_round_trip(options, tmp_path):
    tokenizer = tokenizer_of(**options)
    preset(tmp_path, tokenizer)
    again = UniLMv2Tokenizer.from_preset(str(tmp_path))
    assert again.get_config() == tokenizer.get_config()
    assert again.get_vocabulary() == VOCABULARY
    assert again.pseudo_token_id == tokenizer.pseudo_token_id
    expected = eager_ids(tokenizer, NASTY)
    assert eager_ids(again, NASTY) == expected
    assert graph_ids(again, NASTY) == expected


def test_detokenize():
    tokenizer = tokenizer_of()
    texts = ["The fox jumped!", "", "zzz fox"]
    ids = [np.array(tokenizer(text)).tolist() for text in texts]
    expected = ["the fox jumped !", "", "[UNK] fox"]
    assert [tokenizer.detokenize(row) for row in ids] == expected
    in_graph = tf.function(tokenizer.detokenize)(tf.ragged.constant(ids))
    assert [text.decode() for text in in_graph.numpy()] == expected


def test_accents_go_with_the_case_unless_told_otherwise():
    vocabulary = [*SPECIAL, "cafe", "caf\u00e9", "Caf\u00e9"]
    by_default = {
        lowercase: UniLMv2Tokenizer(vocabulary, lowercase=lowercase)
        for lowercase in (True, False)
    }
    kept = UniLMv2Tokenizer(vocabulary, strip_accents=False)
    assert eager_ids(by_default[True], ["Caf\u00e9"]) == [[5]]
    assert eager_ids(by_default[False], ["Caf\u00e9"]) == [[7]]
    assert eager_ids(kept, ["Caf\u00e9"]) == [[6]]
