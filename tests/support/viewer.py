"""What a viewer does to a mask, and what a folder holds."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np


def redraw(path: Path, *, voxels: int = 5, dtype: type = np.uint8, affine: np.ndarray | None = None) -> None:
    """Save a mask as a viewer does, some background voxels drawn as class 1."""
    image = nib.load(path)
    array = np.asarray(image.dataobj).copy()
    free = np.argwhere(array == 0)[:voxels]
    array[tuple(free.T)] = 1
    saved = nib.Nifti1Image(array.astype(dtype), image.affine if affine is None else affine)
    saved.header.set_zooms(image.header.get_zooms())
    nib.save(saved, path)


def listing(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, and its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
