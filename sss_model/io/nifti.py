"""Voxels that come without a NIfTI header, written as NIfTI."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io.formats import encode_nifti


def write_nifti(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write voxels (i, j, k), compressed where the name ends in .gz; the same voxels give the same bytes.

    Args:
        affine: (4, 4), voxel to world in mm, RAS+.
    """
    header = nib.Nifti1Image(array, affine).header
    header.set_xyzt_units("mm")
    write_atomically(path, encode_nifti(array, header, compress=path.name.endswith(".gz")))


def affine_of_spacing(spacing: tuple[float, float, float]) -> np.ndarray:
    """(4, 4) affine of axial slices of which nothing else is known.

    As a radiologist looks at them: columns run to the patient's left, rows to the back, slices upwards.
    """
    x, y, z = spacing
    return np.diag([-x, -y, z, 1.0])


def parse_spacing(text: str) -> tuple[float, float, float]:
    """Read ``1.5,1.5,10``: mm between columns, rows and slices; raises `InputError` for anything else."""
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"spacing: found {text!r}; expected three numbers in mm, such as 1.5,1.5,10") from None
    if not all(0 < value < float("inf") for value in (x, y, z)):
        raise InputError(f"spacing: found {text!r}; expected three positive numbers in mm")
    return x, y, z


def smallest_integers(array: np.ndarray) -> np.ndarray:
    """Whole numbers as int16 where they fit, else int32; other numbers as float32."""
    if not np.array_equal(array, np.rint(array)):
        return array.astype(np.float32)
    fits = array.size == 0 or (array.min() >= -(2**15) and array.max() < 2**15)
    return array.astype(np.int16 if fits else np.int32)
