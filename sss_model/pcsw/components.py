"""Connected components of each slice of a class map: the nodes of PCSW's graph."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np


@dataclass(frozen=True, eq=False)
class Components:
    """n components, numbered from 0 in raster order; pixels touch by an edge or a corner.

    Attributes:
        labels: (D, H, W) the component's number plus one, 0 for background.
        slices, classes: (n,) slice and class (from 1) of each.
        areas: (n,) pixels.
        moments: (n, 2) twice the sum over pixels of column and row; integers, so that a mirrored map gives exactly
            mirrored centroids.
        boxes: (n, 4) x0, y0, x1, y1: first column and row, and one past the last.
        confidences: (n,) sum over pixels of the probability.
    """

    labels: np.ndarray
    slices: np.ndarray
    classes: np.ndarray
    areas: np.ndarray
    moments: np.ndarray
    boxes: np.ndarray
    confidences: np.ndarray

    @property
    def depth(self) -> int:
        """Slices of the map."""
        return int(self.labels.shape[0])

    def __len__(self) -> int:
        return len(self.slices)

    def paint(self, values: np.ndarray, background: int) -> np.ndarray:
        """(D, H, W) map with each component's value, (n,), and `background` elsewhere."""
        table = np.empty(len(self) + 1, values.dtype)
        table[0], table[1:] = background, values
        return np.take(table, self.labels)


def find_components(classes: np.ndarray, confidence: np.ndarray, foreground: int) -> Components:
    """Label the components of a (D, H, W) class map, 0 to `foreground`, slice by slice, and measure them.

    >>> classes = np.array([[[1, 1, 0, 2], [0, 0, 0, 2]]])
    >>> found = find_components(classes, np.full(classes.shape, 0.5), foreground=2)
    >>> found.classes.tolist(), found.areas.tolist(), found.boxes.tolist()
    ([1, 2], [2, 2], [[0, 0, 2, 1], [3, 0, 4, 2]])
    """
    height = classes.shape[1]
    stacked, count = _label_slices(classes, foreground)
    statistics = cc3d.statistics(stacked, no_slice_conversion=True)
    areas = statistics["voxel_counts"][1:].astype(np.int64)
    top, bottom, left, right = np.asarray(statistics["bounding_boxes"], np.int64)[1:].T
    slices = top // height
    # A centroid times its area is a sum of whole numbers: rounding makes it exact again.
    rows, columns = np.rint(statistics["centroids"][1:] * areas[:, None]).astype(np.int64).T
    pixels = np.flatnonzero(stacked.reshape(-1) > 0)
    nodes = stacked.reshape(-1)[pixels].astype(np.int64) - 1
    kinds = np.zeros(count, np.int64)
    kinds[nodes] = classes.reshape(-1)[pixels]
    return Components(
        labels=stacked.reshape(classes.shape),
        slices=slices,
        classes=kinds,
        areas=areas,
        moments=2 * np.stack([columns, rows - slices * height * areas], axis=1),
        boxes=np.stack([left, top - slices * height, right + 1, bottom - slices * height + 1], axis=1),
        # Sums of probabilities from 1/64 are exact in float64, whatever their order.
        confidences=np.bincount(nodes, weights=confidence.reshape(-1)[pixels], minlength=count),
    )


def _label_slices(classes: np.ndarray, foreground: int) -> tuple[np.ndarray, int]:
    """(D · H, W) labels of all slices, one below the other, in one call, and their number.

    Odd slices get class codes of their own, so that no two slices touch.
    """
    codes = classes.astype(np.uint8 if 2 * foreground < 256 else np.uint16)
    np.add(codes[1::2], foreground, out=codes[1::2], where=codes[1::2] != 0)
    labels, count = cc3d.connected_components(
        codes.reshape(-1, classes.shape[2]), connectivity=8, return_N=True, binary_image=False
    )
    return labels, count
