"""One sentence, masked as pre-training masks it."""

import numpy as np
from keras import ops

from unilmv2_tf.plots.text_drawing import format_visibility
from unilmv2_tf.plots.visibility import plot_visibility
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor

# Draws of which one is shown.
_NUM_DRAWS = 64


def show_mask(
    text,
    tokenizer,
    mask_selection_rate=0.4,
    block_probability=0.4,
    sequence_length=24,
    whole_words=False,
    seed=0,
    path=None,
):
    """Masks a sentence as pre-training does, and draws who sees whom.

    Of several draws the first is shown that has at least two factorization
    steps, and among them a span of several tokens, if there is one.

    Args:
        text: string. What does not fit into the row is cut off.
        tokenizer: a `UniLMv2Tokenizer`.
        mask_selection_rate: float. The least share of tokens that are masked;
            more than in pre-training (0.15), to see more. Defaults to `0.4`.
        block_probability: float. The probability that a span is longer than
            one token. Defaults to `0.4`.
        sequence_length: int. The longest row. Defaults to `24`.
        whole_words: bool. Whether spans are of whole words. Defaults to
            `False`.
        seed: int. Defaults to `0`.
        path: str or path. A file to write the picture to. Defaults to `None`.

    Returns:
        A tuple of the drawing as text, a string, and as a
        `matplotlib.figure.Figure`.

    Raises:
        ValueError: if there is nothing to mask in the text.

    Example:

    >>> from unilmv2_tf.plots import show_mask
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> drawing, figure = show_mask("the fox", tokenizer)
    >>> print(drawing.splitlines()[0])
    text     [CLS] the [SEP] fox [SEP]
    """
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        tokenizer,
        sequence_length=sequence_length,
        mask_selection_rate=mask_selection_rate,
        block_probability=block_probability,
        whole_words=whole_words,
        seed=seed,
    )
    x, _, _ = preprocessor(
        {"text": [text] * _NUM_DRAWS, "epoch": list(range(_NUM_DRAWS))}
    )
    x = {name: np.array(ops.convert_to_numpy(x[name])) for name in x}
    num_steps = x["mask_steps"].max(axis=1)
    if not num_steps.any():
        raise ValueError(
            "There must be something to mask: a word in `text`, and a "
            f"`mask_selection_rate` above 0. Received: text={text!r}, "
            f"mask_selection_rate={mask_selection_rate}"
        )
    has_span = (x["mask_steps"] > 0).sum(axis=1) > num_steps
    draw = int(np.argmax(2 * np.minimum(num_steps, 2) + has_span))
    example = _named({name: rows[draw] for name, rows in x.items()}, tokenizer)
    summary = _summary(**example)
    grid = format_visibility(**example)
    return f"{summary}\n\n{grid}", plot_visibility(**example, path=path)


def _named(example, tokenizer):
    """Words for the ids of one masked row; the steps in their order."""
    is_token = example["padding_mask"] > 0
    context = example["token_ids"][is_token]
    used = np.flatnonzero(example["mask_steps"])
    used = used[np.argsort(example["mask_steps"][used], kind="stable")]
    positions = example["mask_positions"][used]
    original = context.copy()
    original[positions] = example["revealed_token_ids"][used]
    return {
        "tokens": [tokenizer.id_to_token(i) for i in original],
        "steps": example["mask_steps"][used].tolist(),
        "target_positions": positions.tolist(),
        "context_tokens": [
            "[M]" if i == tokenizer.mask_token_id else tokenizer.id_to_token(i)
            for i in context
        ],
    }


def _summary(tokens, steps, target_positions, context_tokens):
    lines = [("text", tokens), ("context", context_tokens)]
    for step in sorted(set(steps)):
        predicted = [
            tokens[position]
            for position, its_step in zip(target_positions, steps)
            if its_step == step
        ]
        lines.append((f"step {step}", predicted))
    return "\n".join(f"{name:<8} {' '.join(words)}" for name, words in lines)
