"""Charts as geometry in SVG units; a template draws them in the page's own colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 320.0, 150.0
"""The drawing area of a curve; tick labels lie outside."""


@dataclass(frozen=True)
class Tick:
    """A grid line: where it is, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """One scalar over the steps of a training: the ``points`` of a polyline, and the grid behind it."""

    title: str
    points: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    last: str


@dataclass(frozen=True)
class Dot:
    """One measurement, and what it says when pointed at."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Scatter:
    """Errors over sizes: dots, level lines, and the grid behind them; `zero` is where there is no error."""

    title: str
    note: str
    dots: tuple[Dot, ...]
    lines: tuple[Tick, ...]
    zero: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Bar:
    """A column of a diagram, from its upper left corner; `share` is how much of everything is in it."""

    x: float
    y: float
    width: float
    height: float
    share: float
    text: str


@dataclass(frozen=True)
class Reliability:
    """How often a model is right over how sure it is; on the diagonal both are the same."""

    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Axis:
    """Evenly spaced round values that hold a range."""

    ticks: np.ndarray

    @classmethod
    def holding(cls, low: float, high: float) -> Axis:
        from matplotlib.ticker import MaxNLocator

        high = high if high > low else low + 1
        return cls(_trimmed(np.asarray(MaxNLocator(nbins=4).tick_values(low, high)), low, high))

    @classmethod
    def up_to_one(cls, low: float) -> Axis:
        """The same for shares of 0 to 1, of which the last tick is 1 and none is above."""
        from matplotlib.ticker import MaxNLocator

        # Counted down from 1, since steps such as 0.08 that are counted up from 0 would pass it.
        below = max(1 - low, 0.02)
        ticks = np.asarray(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(0, below))
        return cls(1 - _trimmed(ticks, 0, below)[::-1])

    def share(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """Where values lie between the first tick (0) and the last (1)."""
        return (np.asarray(values, dtype=float) - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])

    def grid(self, start: float, end: float) -> tuple[Tick, ...]:
        """The ticks, laid out from `start` to `end`."""
        places = start + (end - start) * self.share(self.ticks)
        return tuple(Tick(float(at), f"{value:,.10g}") for at, value in zip(places, self.ticks, strict=True))


def _trimmed(ticks: np.ndarray, low: float, high: float) -> np.ndarray:
    """Ticks without those of a locator that went a step farther than the range needs."""
    slack = 1e-9 * (high - low)
    first = int(np.flatnonzero(ticks <= low + slack)[-1])
    last = int(np.flatnonzero(ticks >= high - slack)[0])
    return ticks[first : last + 1]


def curve(title: str, steps: Sequence[float], values: Sequence[float], *, top: float = 0.0) -> Curve:
    """Lay a curve out; `steps` ascend, both are finite and there is at least one. The axis holds 0 and `top`."""
    across, up = Axis.holding(0, max(steps)), Axis.holding(min(0.0, *values), max(top, *values))
    places = zip(WIDTH * across.share(steps), HEIGHT * (1 - up.share(values)), strict=True)
    return Curve(
        title=title,
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        x_ticks=across.grid(0, WIDTH),
        y_ticks=up.grid(HEIGHT, 0),
        last=f"{values[-1]:.3f}",
    )


def reliability(table: np.ndarray) -> Reliability | None:
    """Lay out a reliability diagram (Guo et al., ICML 2017).

    Args:
        table: (3, bins), what `sss_model.evaluation.calibration.count_reliability` gives.

    Returns:
        A bar for each bin that has voxels; None where none has.
    """
    voxels, sure, right = table
    if not voxels.sum():
        return None
    axis, bins = Axis.holding(0.0, 1.0), len(voxels)
    bars = []
    for place in np.flatnonzero(voxels):
        accuracy, share = right[place] / voxels[place], voxels[place] / voxels.sum()
        said = f"{sure[place] / voxels[place]:.0%} sure, {accuracy:.0%} right: {share:.1%} of the voxels"
        left = WIDTH * place / bins
        height = HEIGHT * accuracy
        bars.append(Bar(float(left), float(HEIGHT - height), WIDTH / bins, float(height), float(share), said))
    return Reliability(tuple(bars), axis.grid(0, WIDTH), axis.grid(HEIGHT, 0))


def bland_altman(
    title: str, pairs: Sequence[tuple[float, float, str]], agreement: Mapping[str, float | None], *, unit: str
) -> Scatter:
    """Lay out measured minus true over the mean of both.

    Args:
        pairs: (true, measured, name) of each, at least one.
        agreement: what `sss_model.evaluation.volumetry.agreement` says of them; a level line each for bias and limits.
    """
    sizes = [(true + measured) / 2 for true, measured, _ in pairs]
    errors = [measured - true for true, measured, _ in pairs]
    levels = {name: level for name in ("bias", "low", "high") if (level := agreement[name]) is not None}
    across = Axis.holding(min(0.0, *sizes), max(sizes))
    up = Axis.holding(min(0.0, *errors, *levels.values()), max(0.0, *errors, *levels.values()))

    def height(value: float) -> float:
        return float(HEIGHT * (1 - up.share([value])[0]))

    places = zip(WIDTH * across.share(sizes), errors, pairs, strict=True)
    return Scatter(
        title=title,
        note=f"bias {levels['bias']:+.1f} {unit}",
        dots=tuple(Dot(float(x), height(error), f"{pair[2]}: {error:+.1f} {unit}") for x, error, pair in places),
        lines=tuple(Tick(height(level), f"{name} {level:+.1f}") for name, level in levels.items()),
        zero=height(0.0),
        x_ticks=across.grid(0, WIDTH),
        y_ticks=up.grid(HEIGHT, 0),
    )
