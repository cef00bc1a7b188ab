"""BTCV as Medical-SAM2 offers it: a JPEG file per slice and its labels as a NumPy array.

Source: github.com/SuperMedIntel/Medical-SAM2, ``Training/image/CASE/0.jpg`` and ``Training/mask/CASE/0.npy``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sss_model.datasets.inventory import Scan
from sss_model.datasets.nifti import affine_of_spacing, write_nifti
from sss_model.datasets.pictures import read_picture
from sss_model.errors import InputError

_SIDES = {"Training": "", "Test": "test"}


def find_cases(source: Path) -> dict[str, tuple[Path, Path | None, str]]:
    """Case to the folders of its slices and masks and to the side it is on; empty where the layout is another."""
    depths = ("", "*/", "*/*/", "*/*/*/")
    roots = [path.parent.parent for depth in depths for path in sorted(source.glob(f"{depth}Training/image"))]
    if not roots:
        return {}
    return {
        image.name: (image, mask if (mask := roots[0] / part / "mask" / image.name).is_dir() else None, side)
        for part, side in _SIDES.items()
        for image in sorted((roots[0] / part / "image").glob("[!.]*"))
        if image.is_dir()
    }


def convert(scan: Scan, image: Path, label: Path | None, *, spacing: tuple[float, float, float]) -> None:
    """Stack a case's slices, numbered from 0, into volumes.

    Raises:
        InputError: a slice is missing or of another size, or one has no mask.
    """
    affine = affine_of_spacing(spacing)
    pixels = _stack([_grey(path) for path in _numbered(scan.image, ".jpg")], scan.image)
    write_nifti(pixels.astype(np.uint8), affine, image)
    if label and scan.label:
        mask = _stack([_array(path) for path in _numbered(scan.label, ".npy")], scan.label)
        if mask.shape != pixels.shape:
            raise InputError(f"{scan.label}: masks of {mask.shape}; expected {pixels.shape}, as its slices have")
        write_nifti(mask, affine, label)


def _numbered(folder: Path, ending: str) -> list[Path]:
    paths = {path.stem: path for path in folder.glob(f"[!.]*{ending}")}
    wanted = [str(number) for number in range(len(paths))]
    missing = [name for name in wanted if name not in paths]
    if not paths or missing:
        first = missing[0] if missing else "0"
        raise InputError(f"{folder}: no {first}{ending}; expected slices numbered from 0 without a gap")
    return [paths[name] for name in wanted]


def _grey(path: Path) -> np.ndarray:
    array = read_picture(path)
    return array if array.ndim == 2 else np.rint(array.mean(2))


def _array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise InputError(f"{path}: not a readable NumPy file; expected a slice's labels") from None
    if array.ndim != 2 or not np.array_equal(array, np.rint(array)):
        raise InputError(f"{path}: shape {array.shape}, type {array.dtype}; expected whole numbers in two dimensions")
    return array.astype(np.int16)


def _stack(slices: list[np.ndarray], folder: Path) -> np.ndarray:
    """(columns, rows, slices), as NIfTI stores them."""
    shapes = {array.shape for array in slices}
    if len(shapes) > 1:
        raise InputError(f"{folder}: slices of {' and '.join(map(str, sorted(shapes)))}; expected one size")
    return np.ascontiguousarray(np.stack(slices).transpose(2, 1, 0))
