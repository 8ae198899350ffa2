"""How text becomes words: BERT's cleaning, and splitting."""

import functools
import unicodedata

from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import tf_text

CLEANINGS = ("bert", "keras_hub")
# BERT maps longer words to `[UNK]`.
MAX_WORD_CHARACTERS = 100
# Begins each piece of a list of WordPieces. Control characters are dropped in
# texts, so that none has a reason to hold this sequence.
PIECE_MARK = "\x10\x1f\x10"
_INVISIBLE = (
    r"[\x{0}-\x{8}\x{B}\x{C}\x{E}-\x{1F}\x{7F}-\x{9F}\p{Cf}\p{Co}\x{FFFD}]"
)
_SEPARATOR = (
    r"[\s\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}"
    r"\x{3000}]"
)
# Without punctuation of later Unicode, which BERT's tables take for letters.
_PUNCTUATION = r"[!-/:-@\[-`{-~]|[^\P{P}\x{61D}\x{2E43}-\x{2E5D}]"
_IDEOGRAPH = (
    r"[\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}"
    r"\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{2F800}-\x{2FA1F}]"
)


def normalize(texts, lowercase, strip_accents):
    """Cleans a tensor of texts character by character, as BERT does.

    Without its context a character becomes what it becomes in a text, which is
    how `offsets.py` finds the characters of a token.
    """
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


@functools.lru_cache(4096)
def _is_no_token(character):
    category = unicodedata.category(character)
    return (
        category in ("Cc", "Cf", "Co", "Mn", "Zs", "Zl", "Zp")
        or character == "\ufffd"
    )


def is_blank(text):
    """Returns whether cleaning leaves no token of a text.

    >>> is_blank(" \\u200b\\u3000\\x00\\ue000"), is_blank("\\u200b.")
    (True, False)
    """
    return PIECE_MARK not in text and all(map(_is_no_token, text))


def join_word_pieces(pieces) -> str:
    """Makes a text of WordPieces, which every tokenizer turns into their ids.

    Args:
        pieces: list of strings, tokens of the vocabulary: special tokens too,
            and `##` pieces at the beginning. Others become `[UNK]`.

    Returns:
        A string, to be passed to tokenizers, preprocessors and tasks. The
        pieces are marked by control characters, which are dropped in texts.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es"])
    >>> text = join_word_pieces(["##es", "[SEP]", "fox"])
    >>> np.array(tokenizer(text)).tolist()
    [6, 3, 5]
    """
    return " ".join(PIECE_MARK + piece for piece in pieces)


def plain_text(text):
    """The text to read of a text that may be of `join_word_pieces`."""
    return text.replace(f" {PIECE_MARK}##", "").replace(PIECE_MARK, "")
