"""A scan at a glance, so that the same scan is known again under another name, resolution, brightness or direction.

A scan that was cropped to another field of view is not known again: thumbnails are compared point by point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from sss_model.volumes import Volume

SHAPE = (8, 32, 32)
_ROWS = 256  # thumbnails compared with all others at once


@dataclass(frozen=True)
class Twin:
    """The scan most like another one: its number, and their correlation, at most 1."""

    index: int
    similarity: float


def thumbnail(image: Volume) -> np.ndarray:
    """The scan's local contrast on a coarse grid of `SHAPE`, slices first, with mean 0 and length 1: sums of products
    are correlations. All zeros for a flat scan."""
    slices = np.moveaxis(image.array, image.slice_axis, 0)
    low, high = np.percentile(slices, (1, 99))
    # Smooth by what the thumbnail's pixels cover, so that picking some of them doesn't alias.
    widths = [0.4 * max(have / want - 1, 0) for have, want in zip(slices.shape, SHAPE, strict=True)]
    smooth = gaussian_filter(np.clip(slices, low, high).astype(np.float32), widths, mode="nearest")
    small = zoom(smooth, np.array(SHAPE) / smooth.shape, order=1, grid_mode=True, mode="nearest")
    # Bodies are alike at large: what tells one from another are its smaller structures.
    local = small - gaussian_filter(small, (0, 3, 3), mode="nearest")
    local -= local.mean()
    length = float(np.linalg.norm(local))
    return (local / length if length > 0 else local).astype(np.float32)


def most_alike(thumbnails: Sequence[np.ndarray], persons: Sequence[str]) -> list[Twin | None]:
    """For each scan the one of another person that it resembles most, mirrored or not; None where there is no other."""
    if not thumbnails:
        return []
    stack = np.stack(thumbnails)
    flat = stack.reshape(len(stack), -1)
    owners = np.unique(np.array(persons), return_inverse=True)[1]
    found: list[Twin | None] = []
    for start in range(0, len(stack), _ROWS):
        rows = slice(start, start + _ROWS)
        alike = np.max([_mirrored(stack[rows], axes) @ flat.T for axes in _MIRRORS], axis=0)
        alike[owners[rows, None] == owners[None]] = -np.inf
        for best, row in zip(alike.argmax(axis=1), alike, strict=True):
            found.append(Twin(int(best), float(row[best])) if np.isfinite(row[best]) else None)
    return found


_MIRRORS = [tuple(axis for axis, turned in enumerate(turns, 1) if turned) for turns in product((False, True), repeat=3)]


def _mirrored(stack: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.flip(stack, axes).reshape(len(stack), -1)
