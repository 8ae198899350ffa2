import sys
import time

import rich.console
import rich.progress

# Between two lines where no bar can be drawn.
SECONDS_PER_LINE = 20


class Progress:
    """Shows progress, rate and time left: a bar on a terminal, lines in a log.

    >>> with Progress("training", num_steps=2, file=sys.stdout) as progress:
    ...     for _ in range(2):
    ...         progress.advance({"loss": 1.25})
    training: 2/2 steps, ... examples/s, 0:00 left, loss 1.25
    """

    def __init__(
        self,
        label,
        num_steps,
        start_step=0,
        examples_per_step=1,
        file=None,
        unit="examples",
        is_shown=True,
        step_unit="steps",
    ):
        self.label = label
        self.num_steps = num_steps
        self.start_step = start_step
        self.step = start_step
        self.examples_per_step = examples_per_step
        self.unit = unit
        self.file = sys.stderr if file is None else file
        self.is_shown = is_shown
        self.step_unit = step_unit
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TextColumn("{task.fields[rate]}"),
            rich.progress.TimeRemainingColumn(),
            rich.progress.TextColumn("{task.fields[figures]}"),
            console=rich.console.Console(file=self.file),
            disable=not (is_shown and self.file.isatty()),
        )

    def __enter__(self):
        self._start = self._last_line = time.monotonic()
        self._bar.start()
        self._task = self._bar.add_task(
            self.label,
            total=self.num_steps,
            completed=self.start_step,
            rate="",
            figures="",
        )
        return self

    def __exit__(self, *error):
        self._bar.stop()

    def advance(self, figures=None, steps=1):
        """Counts steps and shows `figures`, a dict of numbers."""
        self.step += steps
        now = time.monotonic()
        done = self.step - self.start_step
        seconds_per_step = (now - self._start) / done
        rate = f"{self.examples_per_step / seconds_per_step:.1f} {self.unit}/s"
        shown = ", ".join(
            f"{name} {_short(float(value))}"
            for name, value in (figures or {}).items()
        )
        self._bar.update(
            self._task, completed=self.step, rate=rate, figures=shown
        )
        is_last = self.num_steps is not None and self.step >= self.num_steps
        is_due = now - self._last_line >= SECONDS_PER_LINE
        if not self.is_shown or self.file.isatty():
            return
        if is_due or is_last:
            self._last_line = now
            print(
                f"{self.label}: {self._so_far()}, {rate}"
                + self._left(seconds_per_step)
                + (f", {shown}" if shown else ""),
                file=self.file,
                flush=True,
            )

    def _so_far(self):
        of_all = "" if self.num_steps is None else f"/{self.num_steps}"
        return f"{self.step}{of_all} {self.step_unit}"

    def _left(self, seconds_per_step):
        if self.num_steps is None:
            return ""
        seconds = int(seconds_per_step * (self.num_steps - self.step))
        return f", {seconds // 60}:{seconds % 60:02d} left"


def _short(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
