"""Calibration: agreement of the confidence of a model with its accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from sss_model.errors import InputError
from sss_model.files import write_atomically

BINS = 15
_VOXELS, _CONFIDENCE, _CORRECT = range(3)


def near_structures(
    truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...], band_mm: float
) -> np.ndarray:
    """The voxels within `band_mm` of any structure of two label maps, structures included; a boolean mask.

    Nearly all of a scan is obvious background, on which any model looks calibrated.
    """
    inside = (truth != 0) | (prediction != 0)
    if not inside.any():
        return inside
    near: np.ndarray = ndimage.distance_transform_edt(~inside, sampling=spacing) <= band_mm
    return near


def count_reliability(truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Sort voxels into bins by the confidence of the model in the class that it chose.

    Args:
        truth, prediction: class indices, of one shape.
        confidence: the softmax probability of the chosen class, 0 to 1.

    Returns:
        (3, BINS) float64: per bin of equal width, how many voxels there are, the sum of their confidence, and how many
        are right. Tables of several scans may be added.
    """
    places = np.minimum((confidence * BINS).astype(int), BINS - 1).ravel()
    weights = (None, confidence.ravel(), (truth == prediction).ravel())
    return np.stack([np.bincount(places, weight, BINS).astype(float) for weight in weights])


def expected_calibration_error(table: np.ndarray) -> float | None:
    """Mean distance between confidence and accuracy over the bins of `count_reliability`, weighted by their voxels.

    None where there is no voxel.

    >>> table = np.array([[10.0, 30.0], [4.0, 27.0], [5.0, 24.0]])  # voxels, sums of confidence, correct voxels
    >>> expected_calibration_error(table)
    0.1

    Source:
        Guo et al., ICML 2017.
    """
    voxels = table[_VOXELS].sum()
    return float(np.abs(table[_CONFIDENCE] - table[_CORRECT]).sum() / voxels) if voxels else None


def read_calibration_error(path: Path) -> float | None:
    """The error that ``calibration.csv`` amounts to; raises `InputError` where that file can't be read."""
    try:
        rows = pd.read_csv(path)
        parts = (rows["confidence"] - rows["accuracy"]).abs() * rows["voxels"]
        return float(parts.sum() / rows["voxels"].sum()) if rows["voxels"].sum() else None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: can't be read; expected the reliability table that sss evaluate leaves") from None


def write_reliability(table: np.ndarray, path: Path) -> None:
    """Write ``calibration.csv``: a row a bin, its mean confidence and accuracy blank where it has no voxel."""
    voxels = table[_VOXELS]
    shares = np.divide(table[1:], voxels, out=np.full((2, BINS), np.nan), where=voxels > 0)
    edges = np.linspace(0, 1, BINS + 1)
    rows = pd.DataFrame(
        {
            "from": edges[:-1],
            "to": edges[1:],
            "voxels": voxels.astype(int),
            "confidence": shares[0],
            "accuracy": shares[1],
        }
    )
    write_atomically(path, rows.round(6).to_csv(index=False).encode())
