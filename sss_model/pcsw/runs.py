"""A label map as horizontal runs: areas, boxes and centroids cost a few hundred numbers a slice this way,
not its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK = 16  # Slices at a time: what is scanned again is still in the cache, and temporaries stay small.


@dataclass(frozen=True, eq=False)
class Runs:
    """The stretches of equal non-zero labels along the rows of a (D, H, W) map, in raster order.

    Attributes:
        starts, ends: (R,) positions in the flattened map, first and one past the last; a run stays in its row.
        values: (R,) the labels, from 1.
        shape: (D, H, W) of the map.
    """

    starts: np.ndarray
    ends: np.ndarray
    values: np.ndarray
    shape: tuple[int, int, int]

    @property
    def lengths(self) -> np.ndarray:
        """(R,) pixels."""
        return self.ends - self.starts

    @property
    def rows(self) -> np.ndarray:
        """(R,) rows within their slices."""
        return self.starts // self.shape[2] % self.shape[1]

    @property
    def columns(self) -> np.ndarray:
        """(R,) columns of the first pixels."""
        return self.starts % self.shape[2]

    @property
    def slices(self) -> np.ndarray:
        """(R,) slices."""
        return self.starts // (self.shape[1] * self.shape[2])

    def of(self, chosen: np.ndarray) -> Runs:
        """Those that a boolean (R,) picks."""
        return Runs(self.starts[chosen], self.ends[chosen], self.values[chosen], self.shape)

    def in_slice(self, index: int) -> Runs:
        """Those of one slice, as runs of a map (1, H, W)."""
        pixels = self.shape[1] * self.shape[2]
        first, last = np.searchsorted(self.starts, (index * pixels, (index + 1) * pixels))
        starts, ends = self.starts[first:last] - index * pixels, self.ends[first:last] - index * pixels
        return Runs(starts, ends, self.values[first:last], (1, *self.shape[1:]))

    def paint(self, values: np.ndarray, elsewhere: int) -> np.ndarray:
        """A (D, H, W) map of the type of `values`, (R,), one a run; what no run covers is `elsewhere`."""
        bounds = np.zeros(2 * len(self.starts) + 2, np.int64)
        bounds[1:-1:2], bounds[2:-1:2], bounds[-1] = self.starts, self.ends, np.prod(self.shape)
        colours = np.full(len(bounds) - 1, elsewhere, values.dtype)
        colours[1::2] = values
        return np.repeat(colours, np.diff(bounds)).reshape(self.shape)


def find_runs(labels: np.ndarray) -> Runs:
    """The runs of a contiguous (D, H, W) integer map whose zeros are nothing."""
    depth, height, width = labels.shape
    starts = np.concatenate(
        [_changes(labels[first : first + _BLOCK]) + first * height * width for first in range(0, depth, _BLOCK)]
    )
    values = labels.reshape(-1)[starts].astype(np.int64)
    ends = np.append(starts[1:], labels.size)
    return Runs(starts, ends, values, (depth, height, width)).of(values > 0)


def _changes(labels: np.ndarray) -> np.ndarray:
    """Positions in the flattened map where a row begins or the label changes."""
    flat = labels.reshape(-1)
    changes = np.ones(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=changes[1:])
    changes.reshape(labels.shape)[..., 0] = True
    return np.flatnonzero(changes)
