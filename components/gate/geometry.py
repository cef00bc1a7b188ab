"""A case's grids, side by side: the image's and the label map's."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np

from sss_model.screening.case_facts import CaseFacts
from sss_model.volumes import Source


def geometry_columns(facts: CaseFacts) -> dict[str, Any]:
    """Of the table of cases; None where a file can't be read or, but for the shapes, where shapes differ already."""
    image = facts.image.grid
    label = facts.label.grid if facts.label else None
    alike = image is not None and label is not None and image.shape == label.shape
    return {
        "image_shape": shape_text(image.shape) if image else None,
        "label_shape": shape_text(label.shape) if label else None,
        "image_spacing": millimetres(image.spacing) if image else None,
        "label_spacing": millimetres(label.spacing) if label else None,
        "spacing_error": _spacing_error(image, label) if alike and image and label else None,
        "offset_voxels": _offset(image, label) if alike and image and label else None,
    }


def shape_text(shape: Iterable[int]) -> str:
    """As people write it: 256x216x10."""
    return "x".join(str(size) for size in shape)


def millimetres(spacing: Iterable[float]) -> str:
    """The finest axis first, whichever it is in the file."""
    return " × ".join(f"{round(float(value), 2):g}" for value in sorted(spacing)) + " mm"


def _spacing_error(image: Source, label: Source) -> float:
    """The largest difference between their voxel sizes, relative to the image's."""
    return float(np.max(np.abs(np.array(label.spacing) / image.spacing - 1)))


def _offset(image: Source, label: Source) -> float:
    """How far apart their headers place a corner of the scan, at most, in voxels of the image.

    Affines alone are compared: where they carry a voxel size, a wrong one moves corners, too; that is counted once, as
    a wrong voxel size, so the label's is set to the image's first.
    """
    corners = np.array([(*corner, 1) for corner in product(*((0, size - 1) for size in image.shape))], float).T
    scale = np.append(np.array(image.spacing) / label.spacing, 1.0)
    places = image.affine @ corners
    moved = label.affine @ (corners * (scale[:, None] if _carries_spacing(label) else 1.0))
    voxel = np.linalg.norm(image.affine[:3, :3], axis=0).min()
    return float(np.linalg.norm((places - moved)[:3], axis=0).max() / voxel)


def _carries_spacing(grid: Source) -> bool:
    return bool(np.allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), grid.spacing, rtol=1e-2))
