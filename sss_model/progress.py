"""Progress of long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

_MEGABYTE = 1e6


@dataclass(frozen=True)
class _Unit:
    """What is counted: its columns of a bar, and its words in a line of a log."""

    columns: tuple[type[ProgressColumn], ...]
    words: Callable[[float, float], str]


_UNITS = {
    "budget": _Unit((TaskProgressColumn, TimeElapsedColumn), lambda done, total: f"{done / total:.0%}"),
    "items": _Unit((MofNCompleteColumn, TimeRemainingColumn), lambda done, total: f"{done:.0f} of {total:.0f}"),
    "bytes": _Unit(
        (DownloadColumn, TransferSpeedColumn, TimeRemainingColumn),
        lambda done, total: f"{done / _MEGABYTE:.1f} of {total / _MEGABYTE:.1f} MB",
    ),
}


class ProgressBar:
    """Progress of long work, for the length of a ``with`` block.

    >>> with ProgressBar("evaluate", unit="items") as progress:
    ...     progress.show(1, total=2, note="patient001")
    ...     progress.show(2, total=2, note="patient002")
    evaluate: 1 of 2, patient001
    evaluate: 2 of 2, patient002
    """

    def __init__(
        self,
        title: str,
        *,
        unit: Literal["budget", "items", "bytes"],
        log_lines: int | None = None,
        log_seconds: float = 0.0,
        stderr: bool = False,
        enabled: bool = True,
    ) -> None:
        """
        Args:
            unit: what is counted: the share of a budget, items, or bytes.
            log_lines: lines that a log gets in all, evenly spaced; by default one at every call of `show`.
            log_seconds: time from one line of a log to the next, at least.
            stderr: whether to write there and to erase the bar at the end, for commands whose answer has stdout.
            enabled: False shows nothing, as in all processes of a distributed training but the first.
        """
        self._title, self._unit, self._lines, self._seconds = title, _UNITS[unit], log_lines, log_seconds
        self._console = Console(stderr=stderr)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *(column() for column in self._unit.columns),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            transient=stderr,
            disable=not (enabled and self._console.is_terminal),
        )
        self._task = self._bar.add_task(title, total=None, note="")
        self._log = enabled and not self._console.is_terminal
        self._last_line, self._last_time = -1, time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, done: float, *, total: float, note: str = "") -> None:
        """Report that `done` of `total` is done, with a few words about the latest part."""
        self._bar.start()  # at once would show a bar where there turns out to be nothing to do
        self._bar.update(self._task, completed=done, total=total, note=note)
        if self._log and self._line_due(done / total if total else 1.0):
            self._print(f"{self._title}: {self._unit.words(done, total)}{f', {note}' if note else ''}")

    def warn(self, sentence: str) -> None:
        """Print a warning above the bar."""
        self._print(f"warning: {sentence}")

    def _line_due(self, share: float) -> bool:
        line = self._last_line + 1 if self._lines is None else int(share * self._lines)
        now = time.monotonic()
        if line == self._last_line or now - self._last_time < self._seconds:
            return False
        self._last_line, self._last_time = line, now
        return True

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
