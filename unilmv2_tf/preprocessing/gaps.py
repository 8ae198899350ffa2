"""Texts with gaps: to integers, and back to texts without."""

from unilmv2_tf.preprocessing.graph import graph_preprocessing
from unilmv2_tf.preprocessing.libraries import tf
from unilmv2_tf.preprocessing.rows import assemble_rows

GAP = "[MASK]"


class GapRows:
    """Turns texts with gaps into rows `[CLS] text [SEP]`.

    A gap is written `[MASK]`, anywhere in a text, and becomes one `[MASK]`
    token, whatever the tokenizer makes of special tokens in strings.

    Args:
        tokenizer: a `UniLMv2Tokenizer`.
        sequence_length: int. The longest row.

    Call arguments:
        texts: list of strings.

    Returns:
        A dict of `token_ids`, `segment_ids` and `padding_mask`, int tensors of
        shape `(batch, n)`, as wide as the longest row.

    Raises:
        ValueError: if a text does not fit.

    Example:

    >>> from unilmv2_tf import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> GapRows(tokenizer, 9)(["the [MASK]fox", "fox"])["token_ids"].tolist()
    [[2, 5, 4, 6, 3], [2, 6, 3, 0, 0]]
    """

    def __init__(self, tokenizer, sequence_length):
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length

    def __call__(self, texts):
        rows = {
            name: tf.convert_to_tensor(x).numpy()
            for name, x in self._rows(list(texts)).items()
        }
        lengths = rows["padding_mask"].sum(axis=1)
        if lengths.max() > self.sequence_length:
            raise ValueError(
                "A text must fit into a row with its special tokens. Received: "
                f"{texts[int(lengths.argmax())]!r}, {lengths.max()} tokens, of "
                f"at most {self.sequence_length}. Shorten it, or fill its "
                "parts one by one"
            )
        return rows

    @graph_preprocessing
    def _rows(self, texts):
        parts = tf.strings.split(texts, GAP)
        pieces = self.tokenizer(parts.flat_values)
        # A gap follows each part, and the last one of each text is too much.
        gaps = tf.fill(
            [pieces.nrows(), 1],
            tf.cast(self.tokenizer.mask_token_id, pieces.dtype),
        )
        tokens = parts.with_flat_values(tf.concat([pieces, gaps], axis=1))
        tokens = tokens.merge_dims(1, 2)[:, :-1]
        num_tokens = tokens.row_lengths()
        longest = tf.cast(tf.reduce_max(num_tokens), tf.int32) + 2
        return assemble_rows(
            tokens.to_tensor(), num_tokens, num_tokens, self.tokenizer, longest
        )


def fill_gaps(text, tokens, suffix_indicator="##"):
    """Puts tokens where a text has gaps; the rest stays as it is.

    Args:
        text: string.
        tokens: list of strings, one for each gap.
        suffix_indicator: string. What a token begins with that goes on a word.
            Defaults to `"##"`.

    Returns:
        A string.

    Example:

    >>> from unilmv2_tf.preprocessing.gaps import fill_gaps
    >>> fill_gaps("The [MASK][MASK] jump [MASK]!", ["brown", "fox", "##ed"])
    'The brown fox jumped!'
    """
    filled, *parts = text.split(GAP)
    for token, part in zip(tokens, parts):
        if token.startswith(suffix_indicator):
            filled = filled.rstrip() + token[len(suffix_indicator) :]
        else:
            filled = _with_space_between(filled, token)
        filled = _with_space_between(filled, part)
    return filled


def _with_space_between(left, right):
    if left[-1:].isalnum() and right[:1].isalnum():
        return f"{left} {right}"
    return left + right
