"""Progress of long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class ProgressBar:
    """A bar for the length of a ``with`` block; what draws it is its `_bar`."""

    _bar: Progress

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class TrainingProgress(ProgressBar):
    """Shows how much of the budget is used and how the training stands."""

    _LINES = 20

    def __init__(self, title: str, *, enabled: bool) -> None:
        self._console = Console()
        self._bar = Progress(
            TextColumn(title),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=not (enabled and self._console.is_terminal),
        )
        self._task = self._bar.add_task(title, total=1.0, note="")
        self._plain, self._title, self._lines_shown = enabled and not self._console.is_terminal, title, -1

    def warn(self, sentence: str) -> None:
        """Say what somebody should know; the bar goes on below it."""
        self._console.print(f"warning: {sentence}", markup=False, highlight=False, soft_wrap=True)

    def show(self, *, step: int, progress: float, loss: float, best_dice: float) -> None:
        """Report a step; `progress` is the share of the budget, `best_dice` is negative before the first validation."""
        note = f"step {step}, loss {loss:.3f}" + (f", best val Dice {best_dice:.3f}" if best_dice >= 0 else "")
        self._bar.update(self._task, completed=progress, note=note)
        line = int(progress * self._LINES)
        if self._plain and line != self._lines_shown:
            self._lines_shown = line
            print(f"{self._title}: {progress:.0%}, {note}", flush=True)
