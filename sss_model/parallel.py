"""Apply a function to many files in threads, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sss_model.progress import ProgressBar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 8
"""Each thread may hold a decompressed volume, so a machine of many cores must not run as many threads."""
_SECONDS_A_LINE = 10.0


def for_each(function: Callable[[Item], Result], items: Sequence[Item], *, description: str) -> list[Result]:
    """Apply `function` in threads (decompression releases Python's lock); results keep the items' order.

    Shows a progress bar on a terminal and, where the work takes long, plain lines in a log. The first exception ends
    the work and is raised.
    """
    with (
        ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool,
        ProgressBar(description, unit="items", log_seconds=_SECONDS_A_LINE, stderr=True) as progress,
    ):
        results = []
        for result in pool.map(function, items):
            results.append(result)
            progress.show(len(results), total=len(items))
        return results
