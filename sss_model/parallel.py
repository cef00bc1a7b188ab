"""The same work on many files at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Each thread may hold a decompressed volume, so a machine of many cores must not run as many.
_MOST_THREADS = 8


def for_each(function: Callable[[Item], Result], items: Sequence[Item], *, description: str) -> list[Result]:
    """Apply `function` in threads (decompression releases Python's lock); results keep the items' order.

    Shows a progress bar on a terminal. The first exception ends the work and is raised.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        results = pool.map(function, items)
        return list(
            track(results, description, len(items), console=console, transient=True, disable=not console.is_terminal)
        )
