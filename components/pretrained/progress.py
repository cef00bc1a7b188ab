"""Progress of a download: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from sss_model.progress import ProgressBar

_LINES = 10
_MB = 1_000_000


class DownloadProgress(ProgressBar):
    """Shows how much of a file is here."""

    def __init__(self, name: str, *, size: int) -> None:
        console = Console()
        self._bar = Progress(
            TextColumn(name),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=size)
        self._name, self._size, self._plain, self._line = name, size, not console.is_terminal, -1

    def show(self, here: int) -> None:
        """Report that so many bytes are here."""
        self._bar.update(self._task, completed=here)
        line = _LINES * here // max(1, self._size)
        if self._plain and line != self._line:
            self._line = line
            print(f"{self._name}: {here / _MB:.1f} of {self._size / _MB:.1f} MB", flush=True)
