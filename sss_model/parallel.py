"""The same work on many files at once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Each thread may hold a decompressed volume, so a machine of many cores must not run as many.
_MOST_THREADS = 8
_SECONDS_A_LINE = 10.0


def for_each(function: Callable[[Item], Result], items: Sequence[Item], *, description: str) -> list[Result]:
    """Apply `function` in threads (decompression releases Python's lock); results keep the items' order.

    Shows a progress bar on a terminal and, where the work takes long, plain lines in a log. The first exception ends
    the work and is raised.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        results = pool.map(function, items)
        if console.is_terminal:
            return list(track(results, description, len(items), console=console, transient=True))
        return list(_told(results, description, len(items)))


def _told(results: Iterable[Result], description: str, count: int) -> Iterator[Result]:
    said = time.monotonic()
    for number, result in enumerate(results, start=1):
        yield result
        if time.monotonic() - said >= _SECONDS_A_LINE:
            said = time.monotonic()
            print(f"{description}: {number} of {count}", file=sys.stderr, flush=True)
