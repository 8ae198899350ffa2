import unicodedata

import keras
import keras_hub

from unilmv2_tf.preprocessing.libraries import tf

# Spaces that KerasHub takes for letters, and what it takes for spaces although
# nobody sees it. TensorFlow Text would even drop what follows a NUL.
_SPACES = (
    r"[\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}"
    r"\x{3000}]"
)
_INVISIBLE = (
    r"[\x{0}-\x{8}\x{B}\x{C}\x{E}-\x{1F}\x{7F}-\x{9F}\p{Cf}\p{Co}\x{FFFD}]"
)


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class UniLMv2Tokenizer(keras_hub.tokenizers.WordPieceTokenizer):
    """A WordPiece tokenizer with the special tokens of UniLMv2.

    The vocabulary must hold `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`.
    The pseudo mask `[P]` of the paper has no entry of its own in released
    checkpoints: the `[MASK]` embedding stands for it. A model pre-trained from
    scratch may give it one, with `pseudo_token`. Spaces of any kind separate
    words, and invisible characters are dropped, as BERT does it.

    Args:
        vocabulary: list of strings, or the path of a file with one token a
            line.
        lowercase: bool. Whether to lowercase the text. Defaults to `True`.
        pseudo_token: string. The token that stands for `[P]`. Defaults to
            `"[MASK]"`.
        special_tokens_in_strings: bool. Whether special tokens in texts become
            their ids, instead of being split as any other text. Defaults to
            `False`.
        strip_accents: bool. Whether to take accents off letters. Defaults to
            `None`: as `lowercase`, which is how BERT's uncased vocabularies
            were made.
        **kwargs: see `keras_hub.tokenizers.WordPieceTokenizer`.

    Raises:
        ValueError: if the vocabulary lacks a special token or holds a token
            twice.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox",
    ...      "jump", "##ed"])
    >>> np.array(tokenizer("The fox jumped")).tolist()
    [5, 6, 7, 8]
    >>> tokenizer.detokenize([5, 6, 7, 8])
    'the fox jumped'
    >>> tokenizer.pseudo_token_id
    4
    """

    def __init__(
        self,
        vocabulary=None,
        lowercase=True,
        pseudo_token="[MASK]",
        special_tokens_in_strings=False,
        strip_accents=None,
        **kwargs,
    ):
        # KerasHub's own way to declare special tokens; there is no public one,
        # and without it a masker may mask them.
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
            _check_no_duplicates(vocabulary)
        try:
            super().set_vocabulary(vocabulary)
        except RuntimeError:
            # TensorFlow Text doesn't say which token of a file is there twice.
            _check_no_duplicates(self.vocabulary)
            raise

    def tokenize(self, inputs):
        return super().tokenize(clean(inputs))

    def get_config(self):
        config = super().get_config()
        config["pseudo_token"] = self.pseudo_token
        # KerasHub leaves it out.
        config["split_on_cjk"] = self.split_on_cjk
        return config


class _Cleaning(dict):
    """A table for `str.translate`, made as characters are met."""

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


_CLEANING = _Cleaning()


def clean(texts):
    """Makes spaces of all kinds plain, and drops what nobody sees.

    Args:
        texts: string, list of strings, array, tensor or ragged tensor.

    Returns:
        The same, cleaned; integers as they are.

    Example:

    >>> clean("a\\u200b\\u3000b")
    'a b'
    """
    if isinstance(texts, bytes):
        texts = texts.decode("utf-8", errors="replace")
    if isinstance(texts, str):
        return texts.translate(_CLEANING)
    if isinstance(texts, (list, tuple)):
        return [clean(text) for text in texts]
    if not isinstance(texts, (tf.Tensor, tf.RaggedTensor)):
        texts = tf.convert_to_tensor(texts)
    if texts.dtype != tf.string:
        return texts
    texts = tf.ragged.map_flat_values(
        tf.strings.regex_replace, texts, _SPACES, " "
    )
    return tf.ragged.map_flat_values(
        tf.strings.regex_replace, texts, _INVISIBLE, ""
    )


def _check_no_duplicates(vocabulary):
    first_line = {}
    for line, token in enumerate(vocabulary, start=1):
        if token in first_line:
            raise ValueError(
                "`vocabulary` must not hold a token twice. Received: "
                f"{token!r} in lines {first_line[token]} and {line}. Remove "
                "one of them, if the model was not trained with both."
            )
        first_line[token] = line
