"""Fills gaps in texts, the most certain ones first."""

import keras
import numpy as np
from keras import ops

# Added to the logits of tokens that may not fill a gap.
_NO_TOKEN = -1e9


def infill(task, texts, num_steps, top_k, batch_size):
    """See `LanguageModelTask.infill`."""
    _check_task(task)
    tokenizer = task.preprocessor.tokenizer
    for name, value, most in (
        ("num_steps", num_steps, float("inf")),
        ("top_k", top_k, tokenizer.vocabulary_size()),
        ("batch_size", batch_size, float("inf")),
    ):
        if value is not None and not 1 <= value <= most:
            raise ValueError(
                f"`{name}` must be in [1, {most}]. Received: {name}={value}"
            )
    is_single = isinstance(texts, str)
    texts = [texts] if is_single else list(texts)
    max_length = task.backbone.max_sequence_length
    results = []
    for first in range(0, len(texts), batch_size):
        batch = texts[first : first + batch_size]
        rows = rows_with_gaps(batch, tokenizer, max_length)
        filled = _fill(task, rows, num_steps, top_k or 1)
        results += [
            _result(text, *values, tokenizer, top_k)
            for text, *values in zip(batch, *filled)
        ]
    return results[0] if is_single else results


def _check_task(task):
    if task.preprocessor is None:
        raise ValueError(
            "`infill()` needs a `preprocessor`, given to the constructor, for "
            "its tokenizer. Received: preprocessor=None"
        )
    objectives = getattr(task, "objectives", ("par",))
    if "par" not in objectives:
        raise ValueError(
            '`infill()` predicts in the steps of the objective "par". '
            f"Received: a task with objectives={objectives}. Train one with "
            'objectives=("ae", "par")'
        )


def _fill(task, rows, num_steps, num_candidates):
    """Fills some gaps of each row in each step.

    Returns the number of gaps of each row, and for each gap its step and the
    candidates in that step, best first, with their probabilities.
    """
    is_gap = rows["token_ids"] == task.preprocessor.tokenizer.mask_token_id
    num_gaps = is_gap.sum(axis=1)
    most = int(num_gaps.max(initial=0))
    is_used = np.arange(most) < num_gaps[:, None]
    positions = np.zeros(is_used.shape, "int32")
    positions[is_used] = np.nonzero(is_gap)[1]
    # The step at which each gap was filled, 0 before.
    filled_at = np.zeros_like(positions)
    token_ids = np.zeros((*positions.shape, num_candidates), "int32")
    probabilities = np.zeros(token_ids.shape, "float32")
    num_steps = min(num_steps or most, most)
    for step in range(1, num_steps + 1):
        is_open = is_used & (filled_at == 0)
        # Open gaps are predicted in this step, so no other gap sees them.
        steps = np.where(is_open, step, filled_at)
        found = _predict(
            task, rows, positions, steps, token_ids[..., 0], num_candidates
        )
        # The open gaps are spread evenly over the remaining steps.
        quota = -(-is_open.sum(axis=1) // (num_steps - step + 1))
        confidence = np.where(is_open, found[1][..., 0], -1.0)
        order = np.argsort(-confidence, axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        chosen = is_open & (rank < quota[:, None])
        filled_at[chosen] = step
        token_ids[chosen], probabilities[chosen] = (x[chosen] for x in found)
    return num_gaps, filled_at, token_ids, probabilities


def _predict(task, rows, positions, steps, token_ids, num_candidates):
    """Candidates and their probabilities, `(batch, gaps, k)`, best first."""
    segments = {
        name: np.full_like(x, task.source_segment_id)
        for name, x in (
            ("segment_ids", rows["token_ids"]),
            ("target_segment_ids", token_ids),
        )
    }
    hidden_states = task.backbone.encode_blocks(
        token_ids=rows["token_ids"],
        padding_mask=rows["padding_mask"],
        revealed_token_ids=token_ids,
        pseudo_token_ids=np.full_like(token_ids, task.pseudo_token_id),
        target_positions=positions,
        steps=steps,
        predicted_only=True,
        **segments,
    )
    logits = ops.cast(task.language_model_head(hidden_states), "float32")
    penalty = np.zeros(task.backbone.vocabulary_size, "float32")
    penalty[[*task.preprocessor.tokenizer.special_token_ids]] = _NO_TOKEN
    best = ops.top_k(ops.softmax(logits + penalty), num_candidates)
    return ops.convert_to_numpy(best[1]), ops.convert_to_numpy(best[0])


def _result(
    text, num_gaps, filled_at, token_ids, probabilities, tokenizer, top_k
):
    candidates = [
        [
            (tokenizer.id_to_token(token_id), probability)
            for token_id, probability in zip(*gap)
        ]
        for gap in zip(token_ids[:num_gaps].tolist(), probabilities.tolist())
    ]
    words = [found[0][0] for found in candidates]
    filled = fill_gaps(text, words, tokenizer.suffix_indicator)
    if top_k is None:
        return filled
    gaps = [
        {"step": step, "candidates": found}
        for step, found in zip(filled_at.tolist(), candidates)
    ]
    return {"text": filled, "gaps": gaps}


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
    token_ids = keras.utils.pad_sequences(
        rows, padding="post", value=tokenizer.pad_token_id
    )
    lengths = np.array([len(row) for row in rows])[:, None]
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "padding_mask": (np.arange(token_ids.shape[1]) < lengths).astype(
            "int32"
        ),
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
