"""A row of context, revealed and pseudo tokens, with labels."""

import dataclasses

import numpy as np
from keras import ops

from unilmv2_tf.layers import step_visibility


@dataclasses.dataclass(frozen=True)
class LabelledRow:
    """A label and a step for each slot of a row.

    Args:
        labels: list of strings.
        steps: int array, of the same length.
        bounds: the slots where the second and the third block begin.
    """

    labels: list
    steps: np.ndarray
    bounds: tuple

    @property
    def blocks(self):
        """The block of each slot: 0 context, 1 revealed, 2 pseudo."""
        return np.digitize(np.arange(len(self.labels)), self.bounds)

    @property
    def visible(self):
        """A bool array (queries, keys)."""
        visible = step_visibility(self.steps, self.steps)
        return np.array(ops.convert_to_numpy(visible))

    @property
    def runs(self):
        """Slots in a row with one block and step: lists (start, end)."""
        kinds = list(zip(self.blocks, self.steps))
        starts = [
            slot
            for slot, kind in enumerate(kinds)
            if slot == 0 or kinds[slot - 1] != kind
        ]
        return list(zip(starts, [*starts[1:], len(kinds)]))


def make_row(tokens, steps, target_positions, context_tokens=None):
    """Puts the three blocks of a row together.

    Args:
        tokens: list of strings, the original text.
        steps: sequence of m ints above 0.
        target_positions: sequence of m ints.
        context_tokens: list of strings. Defaults to `None`, `tokens` with
            `[M]` at `target_positions`.

    Returns:
        A `LabelledRow`.

    Raises:
        ValueError: if steps and positions do not fit together.

    Example:

    >>> row = make_row(["a", "b"], [1], [0])
    >>> row.labels, row.steps.tolist(), row.bounds
    (['[M]', 'b', 'a', 'P(a)'], [0, 0, 1, -1], (2, 3))
    """
    tokens, steps = list(tokens), [int(step) for step in steps]
    positions = [int(position) for position in target_positions]
    if len(steps) != len(positions):
        raise ValueError(
            "`steps` and `target_positions` must name the same tokens, one "
            f"entry each. Received: {len(steps)} steps, {len(positions)} "
            "positions"
        )
    if any(step < 1 for step in steps):
        raise ValueError(
            "`steps` must be above 0; the context has step 0 by itself. "
            f"Received: steps={steps}"
        )
    if any(not 0 <= position < len(tokens) for position in positions):
        raise ValueError(
            f"`target_positions` must be in [0, {len(tokens)}), the places of "
            f"`tokens`. Received: target_positions={positions}"
        )
    if context_tokens is None:
        context_tokens = [
            "[M]" if place in positions else token
            for place, token in enumerate(tokens)
        ]
    targets = [tokens[position] for position in positions]
    n, m = len(context_tokens), len(steps)
    return LabelledRow(
        labels=[*context_tokens, *targets, *(f"P({t})" for t in targets)],
        steps=np.array([0] * n + steps + [-s for s in steps], dtype="int32"),
        bounds=(n, n + m),
    )


def visibility_matrix(steps, context_length):
    """Computes who sees whom in a row of context, revealed and pseudo tokens.

    Args:
        steps: sequence of m ints above 0, the factorization steps of the
            masked tokens.
        context_length: int. The number of context tokens.

    Returns:
        A bool array of shape `(context_length + 2 * m, context_length + 2 *
        m)`, True where the query (row) may attend to the key (column).

    Example:

    >>> from unilmv2_tf.plots import visibility_matrix
    >>> visibility_matrix([1, 2], context_length=1).astype(int)
    array([[1, 0, 0, 0, 0],
           [1, 1, 0, 0, 0],
           [1, 1, 1, 0, 0],
           [1, 0, 0, 1, 0],
           [1, 1, 0, 0, 1]])

    Reference:
        Bao et al., 2020, section 3.2, figure 5.
    """
    tokens = [""] * max(context_length, 1)
    row = make_row(tokens, steps, [0] * len(steps), [""] * context_length)
    return row.visible
