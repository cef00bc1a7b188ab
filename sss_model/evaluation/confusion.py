"""Confusion of classes, counted in voxels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from sss_model.files import write_atomically


def count_confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Voxels (classes, classes) int64 of two label maps of one shape: row is the true class, column the predicted.

    >>> count_confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    pairs = truth.ravel().astype(np.int64) * classes + prediction.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def write_confusion(counts: np.ndarray, labels: Mapping[str, int], path: Path) -> None:
    """Write voxel counts as CSV, a row a true class and a column a predicted one."""
    names = sorted(labels, key=labels.__getitem__)
    table = pd.DataFrame(counts, index=pd.Index(names, name="true"), columns=names)
    write_atomically(path, table.to_csv().encode())


def confusion_shares(path: Path) -> tuple[list[str], list[list[float]]]:
    """Classes and, per true class, the per cent of its voxels that were given to each class.

    Shares and not counts, because background outnumbers every structure a thousand times. A class without a voxel has
    a row of zeros.
    """
    counts = pd.read_csv(path, index_col="true")
    shares = 100 * counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    return list(counts.columns), shares.round(2).to_numpy().tolist()
