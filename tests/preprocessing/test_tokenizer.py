import json
import re
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
    """WordPiece by hand: clean, split, fold the case, longest match first."""
    text = "".join(c for c in text if not is_invisible(c))
    if strip_accents:
        text = "".join(
            c
            for c in unicodedata.normalize("NFD", text)
            if unicodedata.category(c) != "Mn"
        )
    spaced = ""
    for character in text:
        alone = is_punctuation(character) or (cjk and is_cjk(character))
        spaced += f" {character} " if alone else character
    tokens = []
    for word in spaced.split():
        if lowercase:
            for _ in range(2):
                word = unicodedata.normalize("NFKC", word).casefold()
            # Marks that only choose a glyph vanish in the folding.
            word = re.sub("[\ufe00-\ufe0f]", "", word)
        tokens += pieces_of(word)
    return [VOCABULARY.index(token) for token in tokens]


def pieces_of(word):
    if len(word.encode()) > 100:
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


@settings(max_examples=60, deadline=None, derandomize=True)
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


@pytest.mark.parametrize("lowercase", [True, False])
def test_equals_another_library(lowercase):
    """BERT's rules, where they are the same: not for NFKC's foldings."""
    peer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            {token: i for i, token in enumerate(VOCABULARY)},
            unk_token="[UNK]",
            max_input_chars_per_word=100,
        )
    )
    peer.normalizer = tokenizers.normalizers.BertNormalizer(
        strip_accents=lowercase, lowercase=lowercase
    )
    peer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    texts = [
        text
        for text in NASTY
        if not re.search("[ßﬁ½Ⅷ\ufe0f]", text) and "é" * 60 not in text
    ]
    assert len(texts) >= 15
    tokenizer = tokenizer_of(lowercase=lowercase, strip_accents=lowercase)
    expected = [peer.encode(text).ids for text in texts]
    assert eager_ids(tokenizer, texts) == expected
    assert graph_ids(tokenizer, texts) == expected


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


@pytest.mark.parametrize("from_file", [False, True])
def test_a_token_that_is_there_twice_is_named(from_file, tmp_path):
    vocabulary = [*SPECIAL, "a", "fox", "b", "fox"]
    if from_file:
        path = tmp_path / "vocabulary.txt"
        path.write_text("\n".join(vocabulary))
        vocabulary = str(path)
    with pytest.raises(ValueError, match="'fox' in lines 7 and 9"):
        UniLMv2Tokenizer(vocabulary)


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
    # KerasHub knows a preset by its backbone.
    UniLMv2Backbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=1,
        num_heads=1,
        hidden_dim=2,
        intermediate_dim=2,
    ).save_to_preset(str(tmp_path))
    tokenizer.save_to_preset(str(tmp_path))
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
