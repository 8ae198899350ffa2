import csv
import os
import sys

from unilmv2_tf.filesystem import replacing
from unilmv2_tf.plots import plot_history


class History:
    """The figures of a training, a row for each step that was reported.

    Args:
        folder: string. Where `history.csv` and `curves.png` are.
        step: int. The step that the training goes on from; what was written
            beyond it is forgotten.
    """

    def __init__(self, folder, step):
        self.path = os.path.join(folder, "history.csv")
        self._curves = os.path.join(folder, "curves.png")
        self.rows = [
            row for row in read_history(self.path) if row["step"] <= step
        ]

    def add(self, step, figures):
        """Adds figures to the row of a step.

        Args:
            step: int.
            figures: dict of floats.
        """
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update(
            {name: float(value) for name, value in figures.items()}
        )

    def best(self):
        """The lowest validation loss so far.

        Returns:
            A float, infinity if there is none.
        """
        return min(
            (row["val_loss"] for row in self.rows if "val_loss" in row),
            default=float("inf"),
        )

    def write(self):
        """Writes `history.csv`, whole or not at all."""
        if self.rows:
            write_history(self.path, self.rows)

    def draw(self):
        """Draws `curves.png`."""
        if self.rows:
            try:
                plot_history(self.rows, self._curves)
            except OSError as error:
                # A picture is not worth a training.
                print(f"warning: no curves.png: {error}", file=sys.stderr)


def read_history(path):
    """Reads a history that `write_history` wrote.

    Args:
        path: string.

    Returns:
        A list of dicts of numbers, empty if there is no such file. What a row
        lacks is left out of it.
    """
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {
                key: int(value) if key == "step" else float(value)
                for key, value in row.items()
                if value
            }
            for row in csv.DictReader(file)
        ]


def write_history(path, history):
    """Writes a history as CSV, whole or not at all.

    Args:
        path: string.
        history: list of dicts; not all need have all keys.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.training.history import read_history, write_history
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "history.csv")
    ...     write_history(path, [{"step": 50, "loss": 1.5}])
    ...     read_history(path)
    [{'step': 50, 'loss': 1.5}]
    """
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        names = dict.fromkeys(name for row in history for name in row)
        writer = csv.DictWriter(file, fieldnames=list(names))
        writer.writeheader()
        writer.writerows(history)
