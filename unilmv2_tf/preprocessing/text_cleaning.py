"""How text becomes words: BERT's cleaning, and splitting.

Cleaning depends on no other characters of the text, so that `offsets.py` and
`clean_words` can do it character by character.
"""

import functools
import re
import unicodedata

from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import tf_text

CLEANINGS = ("bert", "keras_hub")
# BERT maps longer words to `[UNK]`.
MAX_WORD_CHARACTERS = 100
# Begins each piece of `join_word_pieces`: code points that Unicode reserves for
# such uses.
PIECE_MARK = "\ufdd0\ufdd1"

_INVISIBLE = (
    r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F\p{Cf}\p{Co}" + "\ufffd]"
)  # fmt: skip
_SEPARATOR = (
    r"[\s\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}"
    r"\x{3000}]"
)
# Punctuation of later Unicode, which BERT's tables take for letters.
_LATER = "\u061d\u2e43-\u2e5d"
_PUNCTUATION = r"[!-/:-@\[-`{-~]|[^\P{P}" + _LATER + "]"
_IDEOGRAPH = (
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df"
    "\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f]"
)


def normalize(texts, lowercase, strip_accents):
    """Cleans a tensor of texts as BERT does."""
    texts = tf.strings.regex_replace(texts, _INVISIBLE, "")
    if strip_accents:
        texts = tf_text.normalize_utf8(texts, "NFD")
        texts = tf.strings.regex_replace(texts, r"\p{Mn}", "")
    if lowercase:
        # The library makes another letter of a sigma that ends a word, and, in
        # a Turkish locale, of an I.
        texts = tf.strings.lower(texts)
        texts = tf.strings.regex_replace(texts, "\u03a3", "\u03c3")
        if not strip_accents:
            texts = tf.strings.regex_replace(texts, "\u0130", "i\u0307")
        texts = tf.strings.lower(texts, encoding="utf-8")
    return texts


def split_words(texts, split_on_cjk=True):
    """Splits normalized texts into words; returns also first bytes and ends.

    Punctuation characters and CJK ideographs are words of their own.
    """
    kept = f"{_PUNCTUATION}|{_IDEOGRAPH}" if split_on_cjk else _PUNCTUATION
    return tf_text.regex_split_with_offsets(texts, f"{kept}|{_SEPARATOR}", kept)


class _CleanWords(dict):
    """Both in Python: a table for `str.translate` before `str.split`."""

    def __init__(self, lowercase, strip_accents, split_on_cjk):
        self.lowercase, self.strip_accents = lowercase, strip_accents
        self.split_on_cjk = split_on_cjk

    def __missing__(self, code):
        text = "" if _is_invisible(chr(code)) else chr(code)
        if self.strip_accents:
            text = unicodedata.normalize("NFD", text)
            text = "".join(x for x in text if unicodedata.category(x) != "Mn")
        if self.lowercase:
            text = text.lower()
        self[code] = "".join(f" {x} " if self._is_word(x) else x for x in text)
        return self[code]

    def _is_word(self, character):
        if "!" <= character <= "~":
            return not character.isalnum()
        if re.match(_IDEOGRAPH, character):
            return self.split_on_cjk
        is_punctuation = unicodedata.category(character)[0] == "P"
        return is_punctuation and not re.match(f"[{_LATER}]", character)


# Keras would replace an attribute of a layer by a plain dictionary.
clean_words = functools.cache(_CleanWords)


def _is_invisible(character):
    category = unicodedata.category(character)
    is_white_space = character in "\t\n\r"
    return character == "\ufffd" or (
        category in ("Cc", "Cf", "Co") and not is_white_space
    )


def is_blank(text):
    """Returns whether cleaning leaves no token of a text.

    >>> is_blank(" \\u200b\\u3000\\x00\\ue000"), is_blank("\\u200b.")
    (True, False)
    """
    return all(
        character.isspace()
        or _is_invisible(character)
        or unicodedata.category(character) == "Mn"
        for character in text
    )


def join_word_pieces(pieces) -> str:
    """Makes a text of WordPieces, which every tokenizer turns into their ids.

    Args:
        pieces: list of strings, tokens of the vocabulary: special tokens too,
            and `##` pieces at the beginning. Others become `[UNK]`.

    Returns:
        A string, to be passed to tokenizers, preprocessors and tasks.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es"])
    >>> text = join_word_pieces(["##es", "[SEP]", "fox"])
    >>> np.array(tokenizer(text)).tolist()
    [6, 3, 5]
    """
    return " ".join(map(encode_piece, pieces))


def encode_piece(piece):
    """Makes a word of a piece, which cleaning and splitting leave as it is."""
    return PIECE_MARK + piece.encode("utf-8", "replace").hex()


def plain_text(text):
    """The text to read of a text that may be one of `join_word_pieces`."""
    if PIECE_MARK not in text:
        return text
    pieces = (
        bytes.fromhex(word.removeprefix(PIECE_MARK)).decode("utf-8")
        if re.fullmatch(f"{PIECE_MARK}([0-9a-f]{{2}})+", word)
        else word
        for word in text.split(" ")
    )
    return " ".join(pieces).replace(" ##", "")
