"""How bright a scan is, and how much of it says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sss_model.volumes import Volume


@dataclass(frozen=True)
class Intensities:
    """A scan's brightness, in the file's unit.

    Attributes:
        low, high: 1st and 99th percentile.
        distinct: whether any two voxels differ.
        flat_share: the share of voxels that have the median's value exactly: of the commonest one, if that is more than
            half of the scan.
        blank_slices: slices in which no two voxels differ.
    """

    low: float
    high: float
    distinct: bool
    flat_share: float
    blank_slices: int


def measure_intensities(image: Volume) -> Intensities:
    """Of an image whose voxels are all finite."""
    low, middle, high = np.percentile(image.array, (1, 50, 99), method="lower")
    within = tuple(axis for axis in range(3) if axis != image.slice_axis)
    blank = image.array.min(axis=within) == image.array.max(axis=within)
    return Intensities(
        low=float(low),
        high=float(high),
        distinct=bool(image.array.min() < image.array.max()),
        flat_share=float(np.mean(image.array == middle)),
        blank_slices=int(np.count_nonzero(blank)),
    )
