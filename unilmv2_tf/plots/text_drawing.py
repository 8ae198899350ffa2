"""Who sees whom, as plain text."""

import unicodedata

import numpy as np

from unilmv2_tf.plots.row import make_row


def format_visibility(tokens, steps, target_positions, context_tokens=None):
    """Draws who sees whom as plain text.

    Rows are queries, columns keys, `#` stands where the one sees the other.
    Column labels are read from top to bottom.

    Args:
        tokens: list of strings, the original text.
        steps: sequence of m ints above 0, the factorization steps of the
            masked tokens.
        target_positions: sequence of m ints, where in `tokens` they stand.
        context_tokens: list of strings, the context as the model reads it.
            Defaults to `None`, `tokens` with `[M]` at `target_positions`.

    Returns:
        A string of several lines.

    Raises:
        ValueError: if steps and positions do not fit together.

    Example:

    >>> from unilmv2_tf.plots import format_visibility
    >>> print(format_visibility(["a", "b"], steps=[1], target_positions=[0]))
                  |   | P
              [   |   | (
              M   |   | a
              ] b | a | )
    ---------------------
     0  [M]   # # | . | .
     0  b     # # | . | .
    ---------------------
     1  a     # # | # | .
    ---------------------
    -1  P(a)  # # | . | #
    """
    row = make_row(tokens, steps, target_positions, context_tokens)
    step_width = max(len(str(step)) for step in row.steps)
    label_width = max(_width(label) for label in row.labels)

    def line(step, label, cells):
        cells = [_padded(cell, 2) for cell in cells]
        for bound in reversed(row.bounds):
            cells.insert(bound, "| ")
        label = _padded(label, label_width)
        return f"{step:>{step_width}}  {label}  {''.join(cells)}".rstrip()

    lines = [line("", "", letters) for letters in _upright(row.labels)]
    for query, marks in enumerate(np.where(row.visible, "#", ".")):
        if query == 0 or query in row.bounds:
            lines.append("-" * len(line("", "", marks)))
        lines.append(line(row.steps[query], row.labels[query], marks))
    return "\n".join(lines)


def _upright(labels):
    """The letters of the labels from top to bottom, one list a line."""
    letters = [_letters(label) for label in labels]
    height = max(len(column) for column in letters)
    columns = [[""] * (height - len(column)) + column for column in letters]
    return zip(*columns)


def _letters(label):
    """Splits a label, accents kept with their letters."""
    letters = []
    for character in label:
        if letters and unicodedata.combining(character):
            letters[-1] += character
        else:
            letters.append(character)
    return letters


def _width(text):
    """Columns of a terminal that a text takes."""
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def _padded(text, width):
    return text + " " * (width - _width(text))
