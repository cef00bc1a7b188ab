"""Whether a label map lies on what it outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from sss_model.volumes import Volume

# How far a label map is moved to see whether it would fit better there, in radii of a disc of the labelled area, and in
# which directions. The rim of background that counts, too, is as wide as the smallest move.
_STEPS = (0.2, 0.4, 0.8)
_DIRECTIONS = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y)


@dataclass(frozen=True)
class Alignment:
    """How a label map sits on its image.

    Attributes:
        fit_ratio: the share of the image's variance that the label's classes explain (η²) where the label is, over the
            share they explain where it would fit best nearby; below 1 the label would fit better elsewhere. None where
            the image is flat.
        dark_share: labelled voxels that have the image's lowest value, as a share of all labelled ones.
    """

    fit_ratio: float | None
    dark_share: float


def measure_alignment(image: Volume, label: Volume) -> Alignment | None:
    """Of an image and a label map of the same shape, slice by slice; None where nothing is labelled."""
    labelled = label.array > 0
    if not labelled.any():
        return None
    dark = image.array[labelled] == image.array.min()
    picture, classes = (np.moveaxis(array, image.slice_axis, 0) for array in (image.array, label.array))
    return Alignment(_fit_ratio(picture, classes), float(dark.mean()))


def _fit_ratio(image: np.ndarray, label: np.ndarray) -> float | None:
    low, high = np.percentile(image, (1, 99))
    drawn = (label > 0).any(axis=(1, 2))
    image, label = np.clip(image[drawn], low, high), label[drawn]
    radius = float(np.sqrt(np.count_nonzero(label) / len(label) / np.pi))
    rim = _pixels(_STEPS[0], radius)
    near = binary_dilation(label > 0, np.ones((1, 2 * rim + 1, 2 * rim + 1)))
    # What a move takes out of the image lands on NaN and is left out.
    margin = ((0, 0), *[(_pixels(_STEPS[-1], radius),) * 2] * 2)
    padded = np.pad(image.astype(np.float64), margin, constant_values=np.nan)
    places, classes = np.flatnonzero(np.pad(near, margin)), label[near].astype(np.intp)
    here, *elsewhere = (
        _explained(padded.ravel()[places + down * padded.shape[2] + across], classes)
        for down, across in [(0, 0), *_moves(radius)]
    )
    return here / max(elsewhere) if max(elsewhere) > 0 else None


def _moves(radius: float) -> list[tuple[int, int]]:
    ways = [(x / np.hypot(x, y), y / np.hypot(x, y)) for x, y in _DIRECTIONS]
    return [(round(x * far), round(y * far)) for far in (_pixels(step, radius) for step in _STEPS) for x, y in ways]


def _pixels(step: float, radius: float) -> int:
    """A move in whole pixels, none shorter than two."""
    return max(2, round(step * radius))


def _explained(values: np.ndarray, classes: np.ndarray) -> float:
    """η²: the variance between the classes' means over the whole variance."""
    inside = ~np.isnan(values)
    values, classes = values[inside], classes[inside]
    if not len(values):
        return 0.0
    values = values - values.mean()
    counts = np.bincount(classes)
    means = np.bincount(classes, values) / np.maximum(counts, 1)
    whole = float(values @ values)
    return float(counts @ means**2) / whole if whole else 0.0
