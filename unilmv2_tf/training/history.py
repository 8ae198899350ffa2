"""The metrics of a training: `history.csv`, `curves.png`, TensorBoard."""

import csv
import os

from unilmv2_tf.filesystem import replacing
from unilmv2_tf.plots import plot_history
from unilmv2_tf.plots.figures import try_plot


class History:
    """A row of metrics for each reported step, up to the step of a resume."""

    def __init__(self, folder, step, tensorboard=False):
        self.path = os.path.join(folder, "history.csv")
        self._curves = os.path.join(folder, "curves.png")
        self.rows = [
            row for row in read_history(self.path) if row["step"] <= step
        ]
        self._events = None
        if tensorboard:
            import tensorflow as tf

            self._events = tf.summary.create_file_writer(
                os.path.join(folder, "tensorboard")
            )

    def add(self, step, metrics):
        """Adds a dict of metrics to the row of a step."""
        metrics = {name: float(value) for name, value in metrics.items()}
        if not self.rows or self.rows[-1]["step"] != step:
            self.rows.append({"step": step})
        self.rows[-1].update(metrics)
        if self._events:
            import tensorflow as tf

            with self._events.as_default(step):
                for name, value in metrics.items():
                    tf.summary.scalar(name, value)

    def best(self, key="val_loss"):
        """The lowest value so far, infinity if there is none."""
        return min(
            (row[key] for row in self.rows if key in row), default=float("inf")
        )

    def write(self):
        """Writes `history.csv` atomically."""
        if not self.rows:
            return
        with (
            replacing(self.path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            names = dict.fromkeys(name for row in self.rows for name in row)
            writer = csv.DictWriter(file, fieldnames=list(names))
            writer.writeheader()
            writer.writerows(self.rows)
        if self._events:
            self._events.flush()

    def draw(self):
        """Plots the curves."""
        if self.rows:
            try_plot(plot_history, self.rows, self._curves)


def read_history(path):
    """The rows of a `history.csv` as dicts of numbers, without empty cells."""
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
