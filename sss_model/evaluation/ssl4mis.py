"""The SSL4MIS protocol for ACDC, whose figures can be compared with published tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from sss_model.evaluation.surfaces import crop_pair, overlap


class Ssl4mis(NamedTuple):
    """One structure of one volume; overlaps 0 to 1, distances in voxels, blind to spacing."""

    dice: float
    jaccard: float
    hd95_voxel: float
    asd_voxel: float


def score_ssl4mis(truth: np.ndarray, prediction: np.ndarray) -> Ssl4mis:
    """Score one structure as SSL4MIS's test does, with medpy's definitions.

    The surface of a mask is what a binary erosion with 1-connectivity removes. `hd95_voxel` is the 95th percentile of
    both directed sets of surface distances put together (MONAI's takes one percentile of each); `asd_voxel` is the mean
    of one direction, prediction to truth.

    >>> truth, prediction = np.zeros((2, 4, 8, 8), bool)
    >>> truth[1:3, 2:6, 2:6] = prediction[1:3, 2:6, 3:7] = True
    >>> score_ssl4mis(truth, prediction)
    Ssl4mis(dice=0.75, jaccard=0.6, hd95_voxel=1.0, asd_voxel=0.25)

    An empty prediction sets all four to 0, distances too: BCP's rule, which makes a missed structure improve the mean
    distances. An empty truth, on which medpy raises, is treated alike.

    Args:
        truth, prediction: boolean masks of one shape, 3-D for a volume, on the source grid.

    Source:
        Luo et al., SSL4MIS, code/test_2D_fully.py; Bai et al., BCP (CVPR 2023), code/test_ACDC.py; medpy.metric.binary.
    """
    if not (truth.any() and prediction.any()):
        return Ssl4mis(0.0, 0.0, 0.0, 0.0)
    dice, jaccard = overlap(truth, prediction)
    truth, prediction = crop_pair(truth, prediction)
    to_truth, to_prediction = surface_distances(prediction, truth), surface_distances(truth, prediction)
    hd95 = np.percentile(np.concatenate([to_truth, to_prediction]), 95)
    return Ssl4mis(dice, jaccard, float(hd95), float(to_truth.mean()))


def surface_distances(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance in voxels from every surface voxel of one mask to the nearest one of another; both are not empty."""
    return ndimage.distance_transform_edt(~_surface(end))[_surface(start)]


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)
