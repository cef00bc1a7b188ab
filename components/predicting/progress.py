"""Progress over scans: a bar on a terminal, a plain line a scan in a log; both on stderr, the answer has stdout."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sss_model.progress import ProgressBar


class ScanProgress(ProgressBar):
    """Shows how many scans are done."""

    def __init__(self, title: str) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=None, note="")
        self._title, self._plain, self._console = title, not console.is_terminal, console

    def show(self, note: str, number: int, total: int) -> None:
        """Report that a scan, the `number`-th of `total`, is done."""
        self._bar.update(self._task, completed=number, total=total, note=note)
        if self._plain:
            line = f"{self._title}: {number} of {total}, {note}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
