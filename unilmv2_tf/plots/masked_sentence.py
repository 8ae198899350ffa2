"""A sentence masked as in pre-training, drawn: `unilmv2 show-mask`."""

import numpy as np
from keras import ops

from unilmv2_tf.plots.mask_plots import format_visibility
from unilmv2_tf.plots.mask_plots import plot_visibility
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing import learn_vocabulary
from unilmv2_tf.preprocessing import load_vocabulary
from unilmv2_tf.preprocessing.vocabulary import SPECIAL_TOKENS

# Draws among which `show_mask` chooses.
_NUM_DRAWS = 64


def show_mask(
    text: str,
    tokenizer,
    mask_selection_rate: float = 0.4,
    block_probability: float = 0.4,
    sequence_length: int = 24,
    whole_words: bool = False,
    seed: int = 0,
    path=None,
):
    """Masks a sentence as pre-training does, and draws which token sees which.

    Among several draws it shows the first with at least two factorization
    steps and, if possible, a span of several tokens.

    Args:
        text: string. Truncated to what fits into the row.
        tokenizer: A `UniLMv2Tokenizer`.
        mask_selection_rate, block_probability, sequence_length, whole_words,
            seed: See `UniLMv2PseudoMaskedLMPreprocessor`. The rate is higher
            than in pre-training, to see more.
        path: string or path. The picture file. Defaults to `None`.

    Returns:
        A tuple of a string and a `matplotlib.figure.Figure`.

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
    drawing = f"{_summary(**example)}\n\n{format_visibility(**example)}"
    return drawing, plot_visibility(**example, path=path)


def _named(example, tokenizer):
    """Converts a masked row to arguments of `plot_visibility`."""
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
            for position, target_step in zip(target_positions, steps)
            if target_step == step
        ]
        lines.append((f"step {step}", predicted))
    return "\n".join(f"{name:<8} {' '.join(words)}" for name, words in lines)


def show_mask_command(
    text: str,
    output: str = "mask.png",
    vocabulary: str | None = None,
    mask_selection_rate: float = 0.4,
    block_probability: float = 0.4,
    seed: int = 0,
):
    """Draws which token sees which when a sentence is masked.

    Args:
        text: The sentence.
        output: The PNG file to write.
        vocabulary: A vocabulary file. Without one, the words of the sentence
            are the vocabulary.
        mask_selection_rate: The least share of tokens that are masked.
        block_probability: The probability that a span is longer than one token.
        seed: The random seed of the masking.
    """
    if not text.strip():
        raise ValueError(
            "`text` must hold at least one word. Received an empty text."
        )
    if vocabulary is None:
        tokenizer = _tokenizer_of_words(text)
    else:
        tokenizer = UniLMv2Tokenizer(load_vocabulary(vocabulary))
    drawing, _ = show_mask(
        text,
        tokenizer,
        mask_selection_rate,
        block_probability,
        sequence_length=40,
        seed=seed,
        path=output,
    )
    print(drawing)
    print(f"\nwritten to {output}")


def _tokenizer_of_words(text):
    # Pieces that occur twice are merged, so the repeated text has all words.
    # Shorter pieces go, because they might come up as random tokens.
    tokens = learn_vocabulary([text, text], vocabulary_size=4096)
    token_ids = np.unique(UniLMv2Tokenizer(tokens)(text))
    words = [tokens[token_id] for token_id in token_ids]
    return UniLMv2Tokenizer(
        [*SPECIAL_TOKENS, *(w for w in words if w not in SPECIAL_TOKENS)]
    )
