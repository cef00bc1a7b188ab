"""Masks that a viewer saved, put back on their scans' own grids."""

from __future__ import annotations

from itertools import product

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from sss_model.errors import InputError
from sss_model.volumes import Source, Volume, on_source_grid

_SLACK = 0.1
"""How far voxels may lie from their scan's, in shares of the smallest voxel side: headers hold 32-bit numbers."""


def on_grid_of(scan: Volume, mask: Volume, where: str) -> Volume:
    """The mask's voxels on the scan's grid, with the scan's header.

    A viewer writes headers of its own: it may store axes in another order, put the voxel size into an affine that had
    none, or place a scan that has no place. So voxels are compared by where they lie, not headers by their fields.

    Args:
        where: opens the sentence of an error.

    Raises:
        InputError: another shape or voxel size, or voxels that lie elsewhere.
    """
    # Without a place in the header every program invents one; only the order in which voxels are stored counts then.
    nowhere = not int(scan.source.header["sform_code"]) and not int(scan.source.header["qform_code"])
    array = apply_orientation(on_source_grid(mask), io_orientation(scan.source.affine)) if nowhere else mask.array
    spacing = _turned(mask.source.spacing, scan) if nowhere else mask.spacing
    if array.shape != scan.array.shape:
        found, expected = ("x".join(map(str, volume.source.shape)) for volume in (mask, scan))
        raise InputError(f"{where}: shape {found}; expected that of its scan, {expected}")
    if not np.allclose(spacing, scan.spacing, rtol=1e-3):
        raise InputError(
            f"{where}: voxels of {_millimetres(spacing)}; expected its scan's, {_millimetres(scan.spacing)}"
        )
    apart = 0.0 if nowhere else float(np.linalg.norm(_corners(mask.source) - _corners(scan.source), axis=1).max())
    if apart > _SLACK * min(scan.spacing):
        raise InputError(f"{where}: lies up to {apart:.3g} mm from its scan's voxels; expected the same grid")
    return scan.like(np.ascontiguousarray(array))


def _turned(spacing: tuple[float, ...], scan: Volume) -> list[float]:
    turned = np.empty(3)
    turned[io_orientation(scan.source.affine)[:, 0].astype(int)] = spacing
    return [float(side) for side in turned]


def _corners(source: Source) -> np.ndarray:
    """Where the corner voxels of the canonical array lie: (8, 3), in mm."""
    first_zoom = float(source.header.get_zooms()[0])
    placed = source.affine.copy()
    placed[:3, :3] *= np.asarray(source.spacing) / np.linalg.norm(placed[:3, :3], axis=0)
    placed[:3, 3] *= source.spacing[0] / first_zoom
    orientation = io_orientation(source.affine)
    canonical = placed @ inv_ornt_aff(orientation, source.shape)
    ends = np.empty(3)
    ends[orientation[:, 0].astype(int)] = np.asarray(source.shape) - 1
    corners = np.array([[*(ends * place), 1.0] for place in product((0, 1), repeat=3)])
    return (corners @ canonical.T)[:, :3]


def _millimetres(sides: tuple[float, ...] | list[float]) -> str:
    return " x ".join(f"{side:.4g}" for side in sides) + " mm"
