"""What the next steps need, made in threads while the present step is at work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """A function of the step that is called some steps early.

    The function must depend on the step alone: then its values are the same with and without this, in any timing, also
    in a resumed run.

    >>> squares = Prefetcher(lambda step: step**2, ahead=2)
    >>> [squares(step) for step in range(4)]
    [0, 1, 4, 9]
    """

    def __init__(self, make: Callable[[int], T], *, ahead: int) -> None:
        self._make, self._ahead = make, ahead
        self._pool = ThreadPoolExecutor(max_workers=ahead)
        self._made: dict[int, Future[T]] = {}

    def __call__(self, step: int) -> T:
        """The step's value, waited for if need be; what `make` raised for this step is raised here."""
        wanted = range(step, step + self._ahead + 1)
        self._made = {number: self._made.get(number) or self._pool.submit(self._make, number) for number in wanted}
        return self._made.pop(step).result()
