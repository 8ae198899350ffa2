import functools
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.offsets import tokens_with_offsets

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyzé東京日한글ᅡ가ßΩ12"
WORDS = "the fox jump ##ed cafe café strasse mask cls . , - [ ] ' 😀 ﬁ"
VOCABULARY = list(
    dict.fromkeys(
        [
            *SPECIAL,
            *WORDS.split(),
            *LETTERS,
            *("##" + letter for letter in LETTERS),
        ]
    )
)
OPTIONS = {
    "default": {},
    "cased": {"lowercase": False},
    "accents": {"strip_accents": False},
    "special": {"special_tokens_in_strings": True},
    "no_cjk": {"split_on_cjk": False},
    "keras_hub": {"cleaning": "keras_hub"},
    "added": {"added_tokens": {"<e>": len(VOCABULARY)}},
}


@functools.cache
def tokenizer_and_function(name):
    tokenizer = UniLMv2Tokenizer(VOCABULARY, **OPTIONS[name])
    function = tf.function(
        lambda texts: tokens_with_offsets(tokenizer, texts),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    return tokenizer, function


def located(texts, name="default"):
    """The tokens of each text with what they stand for in it."""
    tokenizer, function = tokenizer_and_function(name)
    ids, starts, ends = (x.to_list() for x in function(tf.constant(texts)))
    return [
        [
            (tokenizer.id_to_token(i), text[start:end])
            for i, start, end in zip(*row)
        ]
        for text, *row in zip(texts, ids, starts, ends)
    ]


@pytest.mark.parametrize(
    "text, name, expected",
    [
        ("  The   FOX\u3000jumped", "default", "The FOX jump ed"),
        ("Cafe\u0301s", "default", "Cafe\u0301 s"),
        ("Cafe\u0301s", "accents", "Cafe\u0301s"),
        ("e\u200d\u0301 a", "accents", "e\u200d\u0301 a"),
        ("a\u200b the\ufe0f", "default", "a the\ufe0f"),
        ("ju\u00admp\x00ed\x00", "default", "ju\u00admp ed"),
        ("\x00\u202ethe", "default", "the"),
        ("the東京fox", "default", "the 東 京 fox"),
        ("Stra\u00dfe", "default", "S t r a \u00df e"),
        ("\ufb03x", "default", "\ufb03x"),
        ("x\ufb03", "keras_hub", "x \ufb03 \ufb03 \ufb03"),
        ("한글", "accents", "한 글"),
        ("한글", "default", "한글"),
        ("\u03a3\u03a3 fox", "default", "\u03a3\u03a3 fox"),
        # Unknown words.
        ("\u2603\u0301 😀😀 😀", "default", "\u2603\u0301 😀😀 😀"),
        ("a" * 101, "default", "a" * 101),
        ("[MASK]the[CLS]", "special", "[MASK] the [CLS]"),
        ("[MASK]", "default", "[ MASK ]"),
        ("the <e>\u0301fox\x00<e>", "added", "the <e> fox <e>"),
    ],
)
def test_tokens_stand_for_their_characters(text, name, expected):
    assert [piece for _, piece in located([text], name)[0]] == expected.split(
        " "
    )


CHARACTERS = st.one_of(
    st.characters(exclude_categories=["Cs", "Cn"]),
    st.sampled_from(
        "aAbé ÉtheTHEfox\t東京!.[]#1😀ßmask'\u0301\u00a0\x00\u200d"
    ),
    st.characters(categories=["Mn", "Mc", "Me"]),
    st.characters(min_codepoint=0x1100, max_codepoint=0x11FF),
    st.characters(min_codepoint=0xAC00, max_codepoint=0xAC20),
    st.characters(min_codepoint=0xFB00, max_codepoint=0xFFEF),
)
TEXTS = st.lists(st.text(CHARACTERS, max_size=20), min_size=1, max_size=8)


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(texts=TEXTS)
def test_any_text(name, texts):
    tokenizer, function = tokenizer_and_function(name)
    ids, starts, ends = (x.to_list() for x in function(tf.constant(texts)))
    assert ids == [np.array(tokenizer(text)).tolist() for text in texts]
    for text, row_starts, row_ends in zip(texts, starts, ends):
        for start, end in zip(row_starts, row_ends):
            assert 0 <= start < end <= len(text)
            # A lost accent goes with its letter.
            is_accent = unicodedata.category(text[end : end + 1] or "a") == "Mn"
            assert not (is_accent and tokenizer.strip_accents)
        assert row_starts == sorted(row_starts)
        assert row_ends == sorted(row_ends)


@pytest.mark.parametrize("lowercase", [True, False])
def test_equals_another_library(lowercase):
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
    rng = np.random.default_rng(0)
    pieces = [
        "the",
        "Fox",
        " ",
        "  ",
        "\t",
        "É",
        "caf\u00e9s",
        "東",
        "日本",
        "😀",
    ]
    pieces += [
        "-",
        "'",
        "jumped",
        "\u00ad",
        "\u200b",
        "\u00a0",
        "ab",
        "zq",
        ".",
    ]
    texts = ["".join(rng.choice(pieces, 30)) for _ in range(200)]
    _, function = tokenizer_and_function("default" if lowercase else "cased")
    ids, starts, ends = (x.to_list() for x in function(tf.constant(texts)))
    for text, *row in zip(texts, ids, starts, ends):
        encoding = peer.encode(text)
        assert encoding.ids == row[0]
        assert encoding.offsets == list(zip(*row[1:]))


def test_texts_do_not_influence_each_other():
    texts = ["\u0301the", "", "fox\u0301", "\u0301", "\u0301 a\u0301", "jumped"]
    together = located(texts)
    assert together == [located([text])[0] for text in texts]
    assert together[0] == [("the", "the")]
    assert together[2] == [("fox", "fox\u0301")]
