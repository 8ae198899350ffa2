"""How BERT, and KerasHub with it, cuts text into words.

White space, control and format characters separate; punctuation and CJK
ideographs are words of their own. The case is folded after the cut: an
ellipsis is one word of three dots.
"""

import re

from unilmv2_tf.preprocessing.libraries import tf
from unilmv2_tf.preprocessing.libraries import tf_text

_SPACE = r"[\s\p{Cc}\p{Cf}]"
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
_IDEOGRAPH = (
    r"[\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}"
    r"\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{2F800}-\x{2FA1F}]"
)


def normalize(texts, strip_accents=True, split_on_cjk=True):
    """What happens to characters before text is cut into words.

    Args:
        texts: string tensor of any shape.
        strip_accents: bool. Whether to take accents off letters. Defaults to
            `True`.
        split_on_cjk: bool. Whether to put spaces around CJK ideographs.
            Defaults to `True`.

    Returns:
        A string tensor of the same shape. Each character was replaced by
        itself; only the order of accents may have changed.

    Example:

    >>> import tensorflow as tf
    >>> normalize(tf.constant("Caf\\u00e9")).numpy()
    b'Cafe'
    """
    if split_on_cjk:
        texts = tf.strings.regex_replace(texts, _IDEOGRAPH, r" \0 ")
    if strip_accents:
        texts = tf_text.normalize_utf8(texts, "NFD")
        texts = tf.strings.regex_replace(texts, r"\p{Mn}", "")
    return texts


def cut(texts, split_on_cjk=True, uncut=()):
    """Cuts normalized texts into words.

    Args:
        texts: string tensor of shape `(batch,)`.
        split_on_cjk: bool. Whether ideographs are words. Defaults to `True`.
        uncut: strings that are words wherever they stand. Defaults to none.

    Returns:
        A tuple of ragged tensors of shape `(batch, words)`: the words, and
        the int64 bytes of the text at which they begin.

    Example:

    >>> import tensorflow as tf
    >>> words, starts = cut(tf.constant(["A fox, jumping"]))
    >>> words.to_list()[0], starts.to_list()[0]
    ([b'A', b'fox', b',', b'jumping'], [0, 2, 5, 7])
    """
    words = [re.escape(token) for token in uncut]
    words.append(_PUNCTUATION)
    if split_on_cjk:
        words.append(_IDEOGRAPH)
    words = "|".join(words)
    cuts = f"{words}|{_SPACE}"
    words, starts, _ = tf_text.regex_split_with_offsets(texts, cuts, words)
    return words, starts
