"""Where a structure lies and how large it is, as its label map says."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np

from sss_model.volumes import Volume


@dataclass(frozen=True)
class Structure:
    """One class in one label map.

    Attributes:
        name: the class.
        millilitres: its volume.
        parts: how many connected parts it has; voxels touch by a face, an edge or a corner.
        gap_mm: from the box around its largest part to the box around the farthest other one; 0 for a single part.
    """

    name: str
    millilitres: float
    parts: int
    gap_mm: float


def measure_structures(label: Volume, labels: dict[str, int]) -> list[Structure]:
    """Every class of `labels`, background apart, that `label` has a voxel of."""
    drawn = np.nonzero(label.array)
    if not len(drawn[0]):
        return []
    near = label.array[tuple(slice(axis.min(), axis.max() + 1) for axis in drawn)]
    parts = cc3d.connected_components(np.asfortranarray(near), connectivity=26)
    statistics = cc3d.statistics(parts)
    sizes = statistics["voxel_counts"][1:].astype(np.int64)
    boxes = np.array([[(axis.start, axis.stop) for axis in box] for box in statistics["bounding_boxes"][1:]])
    spacing, values = np.array(label.spacing), _class_of_each(parts, near)
    return [
        Structure(
            name=name,
            millilitres=float(sizes[of_class].sum() * spacing.prod() / 1000),
            parts=int(of_class.sum()),
            gap_mm=_largest_gap(sizes[of_class], boxes[of_class], spacing),
        )
        for name, value in labels.items()
        if value and (of_class := values == value).any()
    ]


def _class_of_each(parts: np.ndarray, classes: np.ndarray) -> np.ndarray:
    found = np.zeros(int(parts.max()) + 1, classes.dtype)
    found[parts.ravel()] = classes.ravel()
    return found[1:]


def _largest_gap(sizes: np.ndarray, boxes: np.ndarray, spacing: np.ndarray) -> float:
    """From the largest part; `boxes` (n, 3, 2) hold each axis' first voxel and the one past the last."""
    start, stop = boxes[sizes.argmax()].T
    between = np.maximum(np.maximum(boxes[:, :, 0] - stop, start - boxes[:, :, 1]), 0)
    return float(np.linalg.norm(between * spacing, axis=1).max())
