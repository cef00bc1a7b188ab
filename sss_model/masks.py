"""Two binary masks of one structure: how they overlap, and the part of the grid that holds them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def overlap(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Dice and Jaccard, 0 to 1, of two boolean masks of one shape that are not both empty."""
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
