"""The WordPiece tokenizer, and how it cleans text and splits it into words.

White space, control and format characters separate words; punctuation
characters and CJK ideographs are words of their own. Case is folded after the
split: an ellipsis is one word of three dots.
"""

import re
import unicodedata

import keras
import keras_hub

from unilmv2_tf.preprocessing.tensorflow_graph import tf
from unilmv2_tf.preprocessing.tensorflow_graph import tf_text

# Spaces that KerasHub takes for letters.
_SPACES = (
    r"[\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}"
    r"\x{3000}]"
)
# Invisible characters that KerasHub takes for spaces. TensorFlow Text would
# even drop what follows a NUL.
_INVISIBLE = (
    r"[\x{0}-\x{8}\x{B}\x{C}\x{E}-\x{1F}\x{7F}-\x{9F}\p{Cf}\p{Co}\x{FFFD}]"
)
_SEPARATOR = r"[\s\p{Cc}\p{Cf}]"
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
_IDEOGRAPH = (
    r"[\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}"
    r"\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{2F800}-\x{2FA1F}]"
)


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Tokenizer(keras_hub.tokenizers.WordPieceTokenizer):
    """A WordPiece tokenizer with the special tokens of UniLMv2.

    The vocabulary must hold `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`.
    In released checkpoints `[MASK]` serves as the pseudo mask `[P]` too. As in
    BERT, all kinds of white space separate words, and invisible characters are
    dropped.

    Args:
        vocabulary: list of strings, or the path of a file with one token a
            line.
        lowercase: bool. Whether to lowercase the text. Defaults to `True`.
        pseudo_token: string. The token that serves as `[P]`. Defaults to
            `"[MASK]"`.
        special_tokens_in_strings: bool. Whether special tokens in texts are
            mapped to their ids, instead of being split like other text.
            Defaults to `False`.
        strip_accents: bool. Whether to remove accents from letters. Defaults to
            `None`, the value of `lowercase`.
        **kwargs: See `keras_hub.tokenizers.WordPieceTokenizer`.

    Raises:
        ValueError: if the vocabulary lacks a special token or holds a token
            twice.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "jump", "##ed"])
    >>> np.array(tokenizer("Jumped")).tolist()
    [5, 6]
    >>> tokenizer.detokenize([5, 6])
    'jumped'
    """

    def __init__(
        self,
        vocabulary=None,
        lowercase: bool = True,
        pseudo_token: str = "[MASK]",
        special_tokens_in_strings: bool = False,
        strip_accents: bool | None = None,
        **kwargs,
    ):
        # KerasHub has no public way to declare special tokens, and without it
        # its masked language model preprocessing may mask them.
        for token, name in (
            ("[PAD]", "pad_token"),
            ("[UNK]", "unk_token"),
            ("[CLS]", "cls_token"),
            ("[SEP]", "sep_token"),
            ("[MASK]", "mask_token"),
            (pseudo_token, "pseudo_token"),
            ("[CLS]", "start_token"),
            ("[SEP]", "end_token"),
        ):
            self._add_special_token(token, name)
        super().__init__(
            vocabulary=vocabulary,
            lowercase=lowercase,
            special_tokens_in_strings=special_tokens_in_strings,
            strip_accents=lowercase if strip_accents is None else strip_accents,
            **kwargs,
        )

    def set_vocabulary(self, vocabulary):
        if vocabulary is not None and not isinstance(vocabulary, str):
            vocabulary = list(vocabulary)
            check_no_duplicates(vocabulary)
        try:
            super().set_vocabulary(vocabulary)
        except RuntimeError:
            # TensorFlow Text doesn't name the duplicate token of a file.
            check_no_duplicates(self.vocabulary)
            raise

    def tokenize(self, inputs):
        return super().tokenize(clean(inputs))

    def get_config(self):
        config = super().get_config()
        config["pseudo_token"] = self.pseudo_token
        # KerasHub leaves it out.
        config["split_on_cjk"] = self.split_on_cjk
        return config


def check_no_duplicates(tokens, name="`vocabulary`"):
    """Raises if a token occurs twice."""
    first_line = {}
    for line, token in enumerate(tokens, start=1):
        if token in first_line:
            raise ValueError(
                f"{name} must not hold a token twice. Received: {token!r} in "
                f"lines {first_line[token]} and {line}. Remove one of them, "
                "unless the model was trained with both."
            )
        first_line[token] = line


class _CleaningTable(dict):
    """A table for `str.translate`, filled as characters occur."""

    def __missing__(self, code):
        category = unicodedata.category(chr(code))
        if category.startswith("Z"):
            self[code] = " "
        elif chr(code) in "\t\n\r":
            self[code] = code
        else:
            is_invisible = category in ("Cc", "Cf", "Co") or code == 0xFFFD
            self[code] = None if is_invisible else code
        return self[code]


_CLEANING_TABLE = _CleaningTable()


def clean(texts):
    """Makes all white space plain and drops invisible characters."""
    if isinstance(texts, bytes):
        texts = texts.decode("utf-8", errors="replace")
    if isinstance(texts, str):
        return texts.translate(_CLEANING_TABLE)
    if isinstance(texts, (list, tuple)):
        return [clean(text) for text in texts]
    if not isinstance(texts, (tf.Tensor, tf.RaggedTensor)):
        texts = tf.convert_to_tensor(texts)
    if texts.dtype != tf.string:
        return texts
    for pattern, replacement in ((_SPACES, " "), (_INVISIBLE, "")):
        texts = tf.ragged.map_flat_values(
            tf.strings.regex_replace, texts, pattern, replacement
        )
    return texts


def normalize(texts, strip_accents=True, split_on_cjk=True):
    """Strips accents and puts spaces around CJK ideographs, in a graph."""
    if split_on_cjk:
        texts = tf.strings.regex_replace(texts, _IDEOGRAPH, r" \0 ")
    if strip_accents:
        texts = tf_text.normalize_utf8(texts, "NFD")
        texts = tf.strings.regex_replace(texts, r"\p{Mn}", "")
    return texts


def split_words(texts, split_on_cjk=True, unsplit=()):
    """Splits normalized texts into words; returns also their byte offsets."""
    patterns = [re.escape(token) for token in unsplit]
    patterns.append(_PUNCTUATION)
    if split_on_cjk:
        patterns.append(_IDEOGRAPH)
    kept = "|".join(patterns)
    words, starts, _ = tf_text.regex_split_with_offsets(
        texts, f"{kept}|{_SEPARATOR}", kept
    )
    return words, starts
