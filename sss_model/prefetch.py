"""What the next steps need, made in threads while the present step is at work."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Prefetcher(Generic[K, T]):
    """A function that is called for what is expected next.

    It must depend on its argument alone: then its values are the same with and without this, in any timing, also in a
    resumed run.

    >>> squares = Prefetcher(lambda step: step**2, workers=2)
    >>> [squares(step, step + 1, step + 2) for step in range(4)]
    [0, 1, 4, 9]
    """

    def __init__(self, make: Callable[[K], T], *, workers: int) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(max_workers=workers)
        self._made: dict[K, Future[T]] = {}

    def __call__(self, now: K, *following: K) -> T:
        """The value for `now`, waited for if need be; what `make` raised for it is raised here. What was made for
        others than those `following` is forgotten."""
        self._made = {key: self._made.get(key) or self._pool.submit(self._make, key) for key in (now, *following)}
        return self._made.pop(now).result()
