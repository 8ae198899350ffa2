"""Fills gaps in texts, the most certain ones first."""

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
        gaps = _Gaps(rows, tokenizer.mask_token_id)
        gaps.fill(_predictor(task, gaps, top_k or 1), num_steps)
        results += [
            _result(text, gaps, row, tokenizer, top_k)
            for row, text in enumerate(batch)
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


class _Gaps:
    """The gaps of a batch: when each was filled, and with which token."""

    def __init__(self, rows, mask_token_id):
        self.rows = rows
        is_gap = rows["token_ids"] == mask_token_id
        self.num_gaps = is_gap.sum(axis=1)
        shape = len(is_gap), int(self.num_gaps.max(initial=0))
        self.is_used = np.arange(shape[1]) < self.num_gaps[:, None]
        self.positions = np.zeros(shape, "int32")
        self.positions[self.is_used] = np.nonzero(is_gap)[1]
        self.token_ids = np.zeros(shape, "int32")
        # The step at which each one was filled, 0 before.
        self.filled_at = np.zeros(shape, "int32")
        self.candidate_ids = self.probabilities = None

    def fill(self, predict, num_steps):
        """Fills some gaps of each row in each step.

        `predict(steps, token_ids)` returns candidates and their probabilities,
        `(batch, gaps, k)`, best first.
        """
        most = self.is_used.shape[1]
        num_steps = min(num_steps or most, most)
        for step in range(1, num_steps + 1):
            is_open = self.is_used & (self.filled_at == 0)
            # Open gaps are predicted in this step, so no other gap sees them.
            steps = np.where(is_open, step, self.filled_at)
            candidate_ids, probabilities = predict(steps, self.token_ids)
            if self.candidate_ids is None:
                self.candidate_ids = np.zeros_like(candidate_ids)
                self.probabilities = np.zeros_like(probabilities)
            # The open gaps are spread evenly over the remaining steps.
            num_open = is_open.sum(axis=1)
            quota = -(-num_open // (num_steps - step + 1))
            confidence = np.where(is_open, probabilities[..., 0], -1.0)
            order = np.argsort(-confidence, axis=1, kind="stable")
            rank = np.argsort(order, axis=1, kind="stable")
            chosen = is_open & (rank < quota[:, None])
            self.filled_at[chosen] = step
            self.token_ids[chosen] = candidate_ids[..., 0][chosen]
            self.candidate_ids[chosen] = candidate_ids[chosen]
            self.probabilities[chosen] = probabilities[chosen]


def _predictor(task, gaps, num_candidates):
    tokenizer = task.preprocessor.tokenizer
    segment_ids = np.full_like(gaps.rows["token_ids"], task.source_segment_id)
    penalty = np.zeros(task.backbone.vocabulary_size, "float32")
    penalty[sorted(set(tokenizer.special_token_ids))] = _NO_TOKEN

    def predict(steps, token_ids):
        hidden_states = task.backbone.encode_blocks(
            token_ids=gaps.rows["token_ids"],
            segment_ids=segment_ids,
            padding_mask=gaps.rows["padding_mask"],
            revealed_token_ids=token_ids,
            pseudo_token_ids=np.full_like(token_ids, task.pseudo_token_id),
            target_segment_ids=np.full_like(token_ids, task.source_segment_id),
            target_positions=gaps.positions,
            steps=steps,
            predicted_only=True,
        )
        logits = task.language_model_head(hidden_states)
        probabilities, candidate_ids = ops.top_k(
            ops.softmax(ops.cast(logits, "float32") + penalty), num_candidates
        )
        return (
            ops.convert_to_numpy(candidate_ids),
            ops.convert_to_numpy(probabilities),
        )

    return predict


def _result(text, gaps, row, tokenizer, top_k):
    num_gaps = int(gaps.num_gaps[row])
    words = [
        tokenizer.id_to_token(int(token_id))
        for token_id in gaps.token_ids[row, :num_gaps]
    ]
    filled = fill_gaps(text, words, tokenizer.suffix_indicator)
    if top_k is None:
        return filled
    return {
        "text": filled,
        "gaps": [
            {
                "step": int(gaps.filled_at[row, gap]),
                "candidates": [
                    (tokenizer.id_to_token(int(token_id)), float(probability))
                    for token_id, probability in zip(
                        gaps.candidate_ids[row, gap],
                        gaps.probabilities[row, gap],
                    )
                ],
            }
            for gap in range(num_gaps)
        ],
    }


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
