"""Which token sees which in a masked row, as a matrix, a picture and text."""

import dataclasses
import unicodedata

import numpy as np
from keras import ops

from unilmv2_tf.layers import step_visibility
from unilmv2_tf.optional_imports import optional_import
from unilmv2_tf.plots.figures import QUIET_COLOR
from unilmv2_tf.plots.figures import TEXT_COLOR
from unilmv2_tf.plots.figures import new_figure
from unilmv2_tf.plots.figures import save_figure
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.text_cleaning import clean_words
from unilmv2_tf.preprocessing.text_cleaning import is_blank
from unilmv2_tf.preprocessing.vocabulary import SPECIAL_TOKENS

_SEGMENTS = ("context", "revealed", "pseudo")
_COLORS = ("#8db2de", "#2a9d76", "#dd7a2e")
_HIDDEN_COLOR = "#eef0f3"


@dataclasses.dataclass(frozen=True)
class _LabeledRow:
    """A label and a step for each slot; `bounds` separate the segments."""

    labels: list
    steps: np.ndarray
    bounds: tuple

    @property
    def segments(self):
        return np.digitize(np.arange(len(self.labels)), self.bounds)

    @property
    def visible(self):
        visible = step_visibility(self.steps, self.steps)
        return np.array(ops.convert_to_numpy(visible))

    @property
    def runs(self):
        """Ranges (start, end) of slots with the same segment and step."""
        kinds = np.stack([self.segments, self.steps])
        changes = np.any(kinds[:, 1:] != kinds[:, :-1], axis=0)
        starts = [0, *np.flatnonzero(changes) + 1]
        return list(zip(starts, [*starts[1:], kinds.shape[1]]))


def _make_row(tokens, steps, target_positions, context_tokens=None):
    tokens, steps = list(tokens), [int(step) for step in steps]
    positions = [int(position) for position in target_positions]
    if len(steps) != len(positions):
        raise ValueError(
            "`steps` and `target_positions` must have an entry for each masked "
            f"token. Received: {len(steps)} steps, {len(positions)} positions"
        )
    if any(step < 1 for step in steps):
        raise ValueError(
            "`steps` must be above 0, the step of the context. "
            f"Received: steps={steps}"
        )
    if any(not 0 <= position < len(tokens) for position in positions):
        raise ValueError(
            f"`target_positions` must be in [0, {len(tokens)}), positions of "
            f"`tokens`. Received: target_positions={positions}"
        )
    if context_tokens is None:
        context_tokens = [
            "[M]" if position in positions else token
            for position, token in enumerate(tokens)
        ]
    targets = [tokens[position] for position in positions]
    n, m = len(context_tokens), len(steps)
    return _LabeledRow(
        labels=[*context_tokens, *targets, *(f"P({t})" for t in targets)],
        steps=np.array([0] * n + steps + [-s for s in steps], dtype="int32"),
        bounds=(n, n + m),
    )


def format_visibility(
    tokens, steps, target_positions, context_tokens=None
) -> str:
    """Draws as text which query (row) sees which key (column), marked `#`."""
    row = _make_row(tokens, steps, target_positions, context_tokens)
    step_width = max(len(str(step)) for step in row.steps)
    label_width = max(_width(label) for label in row.labels)

    def line(step, label, cells):
        cells = [_padded(cell, 2) for cell in cells]
        for bound in reversed(row.bounds):
            cells.insert(bound, "| ")
        label = _padded(label, label_width)
        return f"{step:>{step_width}}  {label}  {''.join(cells)}".rstrip()

    columns = [_letters(label) for label in row.labels]
    height = max(map(len, columns))
    columns = [[""] * (height - len(column)) + column for column in columns]
    lines = [line("", "", letters) for letters in zip(*columns)]
    for query, marks in enumerate(np.where(row.visible, "#", ".")):
        if query == 0 or query in row.bounds:
            lines.append("-" * len(line("", "", marks)))
        lines.append(line(row.steps[query], row.labels[query], marks))
    return "\n".join(lines)


def _letters(label):
    """Splits a label into letters with their accents."""
    letters = []
    for character in label:
        if letters and unicodedata.combining(character):
            letters[-1] += character
        else:
            letters.append(character)
    return letters


def _width(text):
    """The number of terminal columns of a text."""
    return sum(
        2 if unicodedata.east_asian_width(letter[0]) in "WF" else 1
        for letter in _letters(text)
    )


def _padded(text, width):
    return text + " " * (width - _width(text))


def plot_visibility(
    tokens,
    steps,
    target_positions,
    context_tokens=None,
    title: str | None = None,
    path=None,
):
    """Draws which token sees which in a masked row.

    Rows are queries, columns keys; a cell has the color of the key's segment
    where the query attends to the key.

    Args:
        tokens: list of strings, the original text.
        steps: sequence of m ints above 0, the factorization steps of the
            masked tokens.
        target_positions: sequence of m ints, their positions in `tokens`.
        context_tokens: list of strings, the context as the model reads it; for
            sequence-to-sequence training the source, which `tokens` continues.
            Defaults to `None`, `tokens` with `[M]` at `target_positions`.
        title: string. Defaults to `None`.
        path: string or path. The picture file. Defaults to `None`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if steps and positions do not fit together.

    Example:

    >>> from unilmv2_tf.plots import plot_visibility
    >>> figure = plot_visibility(
    ...     ["x1", "x2", "x3"], steps=[1, 2], target_positions=[2, 0])
    >>> figure.axes[0].images[0].get_array().shape
    (7, 7)

    Reference:
        Bao et al., 2020, figures 4 and 5.
    """
    colors = optional_import("matplotlib.colors", "plots")
    patches = optional_import("matplotlib.patches", "plots")
    row = _make_row(tokens, steps, target_positions, context_tokens)
    size = len(row.labels)
    cell = 0.34 if size <= 16 else 0.27 if size <= 32 else 0.22
    font_size = min(10.0, 37.0 * cell)
    # The mean width of a letter is about 0.6 of the font size.
    letter = 0.6 * font_size / 72
    labels = letter * max(map(len, row.labels))
    words = letter * max(40, 1.2 * len(title or ""))
    figure = new_figure(
        figsize=(
            max(cell * size + labels + 18 * letter, words) + 0.4,
            cell * size + labels + 8 * 1.5 * font_size / 72,
        ),
        facecolor="white",
        layout="constrained",
    )
    axes = figure.add_subplot()
    axes.imshow(
        np.where(row.visible, row.segments + 1, 0),
        cmap=colors.ListedColormap([_HIDDEN_COLOR, *_COLORS]),
        vmin=0,
        vmax=3,
        extent=(0, size, size, 0),
        interpolation="none",
    )
    _draw_grid(axes, row)

    # A dollar sign in a text starts no formula.
    style = {"fontsize": font_size, "color": TEXT_COLOR, "parse_math": False}
    centers = np.arange(size) + 0.5
    axes.set_xticks(centers, row.labels, rotation=90, **style)
    axes.set_yticks(centers, row.labels, **style)
    axes.tick_params(length=0, labelbottom=False, labeltop=True)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, loc="left", fontweight="bold", parse_math=False)

    # The segment and the step of queries on the right, of keys below.
    middles = [(start + end) / 2 for start, end in row.runs]
    names = [_SEGMENTS[row.segments[start]] for start, _ in row.runs]
    numbers = [
        f"{row.steps[start]}".replace("-", "\N{MINUS SIGN}")
        for start, _ in row.runs
    ]
    queries = [f"{name}, step {n}" for name, n in zip(names, numbers)]
    style = {"fontsize": font_size, "color": QUIET_COLOR}
    right = axes.secondary_yaxis("right")
    right.set_yticks(middles, queries, **style)
    below = axes.secondary_xaxis("bottom")
    below.set_xticks(middles, numbers, **style)
    for edge in (right, below):
        edge.tick_params(length=0)
        edge.spines[:].set_visible(False)
    figure.legend(
        handles=[
            patches.Patch(color=color, label=f"visible: {name}")
            for color, name in zip(_COLORS, _SEGMENTS)
        ],
        loc="outside lower left",
        ncols=len(_SEGMENTS),
        frameon=False,
        fontsize=font_size,
    )
    save_figure(figure, path)
    return figure


def _draw_grid(axes, row):
    size = len(row.labels)
    # Dark lines last, because white ones would cut them.
    for positions, color, width in (
        (np.arange(size + 1), "white", 1.2),
        ([start for start, _ in row.runs[1:]], "white", 2.4),
        (row.bounds, TEXT_COLOR, 1.0),
    ):
        axes.hlines(positions, 0, size, color=color, linewidth=width)
        axes.vlines(positions, 0, size, color=color, linewidth=width)


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
        mask_selection_rate: See `UniLMv2PseudoMaskedLMPreprocessor`, as for
            `block_probability`, `sequence_length`, `whole_words` and `seed`.
            The rate is higher than in pre-training, to see more.
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
    lines = {"text": tokens, "context": context_tokens}
    for position, step in zip(target_positions, steps):
        lines.setdefault(f"step {step}", []).append(tokens[position])
    return "\n".join(
        f"{name:<8} {' '.join(words)}" for name, words in lines.items()
    )


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
    if is_blank(text):
        raise ValueError("`text` must hold a word. Received an empty text.")
    # Without a vocabulary each word is a token.
    words = text.translate(clean_words(True, True, True)).split()
    tokenizer = UniLMv2Tokenizer(
        vocabulary or list(dict.fromkeys([*SPECIAL_TOKENS, *words]))
    )
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
