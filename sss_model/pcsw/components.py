"""The slice-wise components of a class map: the nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np

# A label map as horizontal runs: areas, boxes and centroids cost a few hundred numbers a slice this way,
# not its pixels.


_RUN_BLOCK = 16  # Slices at a time: what is scanned again is still in the cache, and temporaries stay small.


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
        [_changes(labels[first : first + _RUN_BLOCK]) + first * height * width for first in range(0, depth, _RUN_BLOCK)]
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


_BLOCK = 16  # slices


@dataclass(frozen=True, eq=False)
class Components:
    """n components, numbered from 0 in raster order; pixels touch by an edge or a corner.

    Attributes:
        runs: their runs in the (D, H, W) map, valued by the component's number plus one.
        slices, classes: (n,) where each lies and what it is, classes from 1.
        areas: (n,) pixels.
        moments: (n, 2) twice the sum over pixels of column and row; integers, so that a mirrored map gives exactly
            mirrored centroids.
        boxes: (n, 4) x0, y0, x1, y1: first column and row, and one past the last.
        confidences: (n,) sum over pixels of the probability.
    """

    runs: Runs
    slices: np.ndarray
    classes: np.ndarray
    areas: np.ndarray
    moments: np.ndarray
    boxes: np.ndarray
    confidences: np.ndarray

    @property
    def depth(self) -> int:
        """Slices of the map."""
        return self.runs.shape[0]

    def __len__(self) -> int:
        return len(self.slices)


def find_components(classes: np.ndarray, confidence: np.ndarray, foreground: int) -> Components:
    """Split a (D, H, W) class map, 0 to `foreground`, into components with what the graph asks of them."""
    runs, sums, count = _labelled(classes, confidence, foreground)
    nodes = runs.values - 1
    slices, kinds = np.empty(count, np.int64), np.empty(count, np.int64)
    slices[nodes] = runs.slices
    kinds[nodes] = classes.reshape(-1)[runs.starts]
    lengths, rows, columns = runs.lengths, runs.rows, runs.columns
    return Components(
        runs=runs,
        slices=slices,
        classes=kinds,
        areas=_totals(nodes, lengths, count),
        moments=np.stack(
            [
                _totals(nodes, lengths * (2 * columns + lengths - 1), count),
                _totals(nodes, lengths * 2 * rows, count),
            ],
            axis=1,
        ),
        boxes=_boxes(nodes, columns, rows, lengths, count),
        confidences=np.bincount(nodes, weights=sums, minlength=count),
    )


def _labelled(classes: np.ndarray, confidence: np.ndarray, foreground: int) -> tuple[Runs, np.ndarray, int]:
    """The components' runs, valued by number plus one; (R,) sums of probability; how many components there are.

    A block of slices after the other: maps as large as the whole would cost more to allocate than to compute.
    """
    depth, height, width = classes.shape
    parts, sums, count = [], [np.zeros(0)], 0
    for first in range(0, depth, _BLOCK):
        labels, found = _label_slices(classes[first : first + _BLOCK], foreground)
        runs, offset = find_runs(labels), first * height * width
        parts.append((runs.starts + offset, runs.ends + offset, runs.values + count))
        sums.append(_sums(confidence[first : first + _BLOCK], labels, runs))
        count += found
    starts, ends, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Runs(starts, ends, values, (depth, height, width)), np.concatenate(sums), count


def _label_slices(classes: np.ndarray, foreground: int) -> tuple[np.ndarray, int]:
    """All slices in one call, laid one under the other; odd ones get codes of their own, so that none touch."""
    dtype = np.uint8 if 2 * foreground < 256 else np.uint16
    codes: np.ndarray = classes.astype(dtype)
    np.add(codes[1::2], foreground, out=codes[1::2], where=codes[1::2] != 0)
    labels, count = cc3d.connected_components(
        codes.reshape(-1, classes.shape[2]), connectivity=8, return_N=True, binary_image=False
    )
    return labels.reshape(classes.shape), count


def _totals(nodes: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Sums of integers a node; float64 holds them exactly."""
    return np.bincount(nodes, weights=values, minlength=count).astype(np.int64)


def _boxes(nodes: np.ndarray, columns: np.ndarray, rows: np.ndarray, lengths: np.ndarray, count: int) -> np.ndarray:
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, 0
    np.minimum.at(boxes[:, 0], nodes, columns)
    np.minimum.at(boxes[:, 1], nodes, rows)
    np.maximum.at(boxes[:, 2], nodes, columns + lengths)
    np.maximum.at(boxes[:, 3], nodes, rows + 1)
    return boxes


def _sums(confidence: np.ndarray, labels: np.ndarray, runs: Runs) -> np.ndarray:
    """(R,) sums over each run. In float64 they are exact for probabilities from 1/64, so their order is no matter."""
    if not len(runs.starts):
        return np.zeros(0)
    return np.add.reduceat(confidence[labels > 0], np.cumsum(runs.lengths) - runs.lengths, dtype=np.float64)
