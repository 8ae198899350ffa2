"""Texts with gaps, for infilling: to rows of integers, and filled."""

import numpy as np

GAP = "[MASK]"


def rows_with_gaps(texts, tokenizer, max_length):
    """Turns texts into rows `[CLS] text [SEP]`; a gap is one `[MASK]` token."""
    rows = []
    for text in texts:
        row = [tokenizer.cls_token_id]
        for part in tokenizer(text.split(GAP)):
            row += [*part, tokenizer.mask_token_id]
        # A gap follows each part but the last.
        row[-1] = tokenizer.sep_token_id
        if len(row) > max_length:
            raise ValueError(
                "A text must fit into a row with its special tokens. Received: "
                f"{text!r}, {len(row)} tokens, more than {max_length}. Shorten "
                "it, or fill its parts one by one."
            )
        rows.append(row)
    width = max(map(len, rows), default=0)
    token_ids = np.full((len(rows), width), tokenizer.pad_token_id, "int32")
    padding_mask = np.zeros_like(token_ids)
    for index, row in enumerate(rows):
        token_ids[index, : len(row)] = row
        padding_mask[index, : len(row)] = 1
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "padding_mask": padding_mask,
    }


def fill_gaps(text, tokens, suffix_indicator="##"):
    """Puts one token into each gap of a text, and keeps the rest."""
    filled, *parts = text.split(GAP)
    for token, part in zip(tokens, parts):
        if token.startswith(suffix_indicator):
            filled = filled.rstrip() + token[len(suffix_indicator) :]
        else:
            filled = _join(filled, token)
        filled = _join(filled, part)
    return filled


def _join(left, right):
    if left[-1:].isalnum() and right[:1].isalnum():
        return f"{left} {right}"
    return left + right
