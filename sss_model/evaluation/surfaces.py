"""Overlap of two masks of one structure, and the distances between their surfaces in mm, as MONAI measures them."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy import ndimage


def overlap(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Dice and Jaccard, 0 to 1, of two boolean masks of one shape that are not both empty.

    >>> overlap(np.array([True, True, False]), np.array([False, True, True]))
    (0.5, 0.3333333333333333)
    """
    shared = int(np.count_nonzero(truth & prediction))
    total = int(np.count_nonzero(truth)) + int(np.count_nonzero(prediction))
    return 2 * shared / total, shared / (total - shared)


def crop_pair(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut both masks, not both empty, to the box that holds them.

    Neither surfaces nor their distances change by it: what is outside a grid counts as background, as it is outside
    the box.
    """
    box = ndimage.find_objects((truth | prediction).astype(np.uint8))[0]
    return truth[box], prediction[box]


class Surfaces(NamedTuple):
    """How far two surfaces are apart, in mm, and which share of both lies within a tolerance, 0 to 1."""

    hd95_mm: float
    asd_mm: float
    nsd: float


def compare_surfaces(
    truth: np.ndarray, prediction: np.ndarray, *, spacing: tuple[float, ...], tolerance_mm: float
) -> Surfaces:
    """Compare the surfaces of two masks, neither of them empty.

    >>> truth, prediction = np.zeros((2, 8, 8), bool)
    >>> truth[2:6, 2:6] = prediction[2:6, 3:7] = True
    >>> compare_surfaces(truth, prediction, spacing=(1.5, 1.5), tolerance_mm=1.0)
    Surfaces(hd95_mm=1.5, asd_mm=0.75, nsd=0.5)

    A mask's surface is its voxels that touch, by a face, what is outside; each has the distance to the nearest surface
    voxel of the other mask. `hd95_mm` is the greater of the two directed 95th percentiles; `asd_mm` is symmetric: the
    mean over the distances of both directions put together; `nsd`, the normalised surface Dice, is the share of them
    that are no more than the tolerance.

    Args:
        truth, prediction: boolean masks of one shape, 2-D or 3-D.
        spacing: mm per axis.
        tolerance_mm: the distance up to which surfaces agree.

    Source:
        Nikolov et al. 2021 (arXiv 1809.04430) for the surface Dice, in MONAI's form, which counts voxels.
    """
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_dice import compute_surface_dice
    from monai.metrics.surface_distance import compute_average_surface_distance
    from torch import from_numpy

    # MONAI's masks are batches of one-hot channels.
    y, y_pred = (from_numpy(mask[np.newaxis, np.newaxis].copy()) for mask in crop_pair(truth, prediction))
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it passes itself.
        warnings.filterwarnings("ignore", category=FutureWarning, module="monai")
        hd95 = compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95, spacing=spacing)
        asd = compute_average_surface_distance(y_pred, y, include_background=True, symmetric=True, spacing=spacing)
        nsd = compute_surface_dice(y_pred, y, [tolerance_mm], include_background=True, spacing=spacing)
    return Surfaces(float(hd95), float(asd), float(nsd))
