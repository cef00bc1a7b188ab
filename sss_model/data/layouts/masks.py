"""Masks of any numbering: their values, and the classes 0, 1, 2, … that these become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io import pictures
from sss_model.io.formats import decode_nifti, encode_nifti
from sss_model.parallel import for_each

ENDINGS = (".nii.gz", ".nii", *pictures.PICTURE_ENDINGS)

# More than any mask of the field has: a file with more is an image, or a mask with blurred edges.
MOST_VALUES = 256


def lower_ending(path: Path) -> str:
    """A scan's, mask's or picture's ending in lower case, ``.nii.gz`` as a whole."""
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), path.suffix.lower())


def values_of(masks: Sequence[Path]) -> list[int]:
    """The values that occur in masks, sorted; raises `InputError` for a file that is no mask."""
    found = for_each(_values, masks, description="Reading masks")
    return sorted(set().union(*found))


def classes_of(values: Sequence[int], names: Sequence[str] | None) -> tuple[dict[str, int], dict[int, int]]:
    """Name the classes, and number them without gaps.

    >>> classes_of([0, 2, 5], ["tumour", "oedema"])
    ({'background': 0, 'tumour': 1, 'oedema': 2}, {0: 0, 2: 1, 5: 2})

    Args:
        values: what occurs in the masks; 0 is background.
        names: of the other values, in their order; None calls them after their value.

    Returns:
        Class name to number, background 0 first; value in a mask to number.

    Raises:
        InputError: not as many names as values.
    """
    foreground = [value for value in values if value != 0]
    if names is not None and len(names) != len(foreground):
        listed = ", ".join(map(str, foreground)) or "none"
        raise InputError(f"labels: {len(names)} names for the values {listed}; expected a name for each")
    chosen = names if names is not None else [f"class{value}" for value in foreground]
    if len({"background", *chosen}) != len(chosen) + 1:
        raise InputError(f"labels: {', '.join(chosen)}; expected different names, none of them background")
    numbers = {value: number for number, value in enumerate(foreground, start=1)}
    labels = {"background": 0} | {name: number for number, name in enumerate(chosen, start=1)}
    return labels, {0: 0, **numbers}


def write_mask(source: Path, target: Path, numbers: Mapping[int, int]) -> None:
    """Write a mask with its values renumbered, on its own grid."""
    if lower_ending(source) in pictures.PICTURE_ENDINGS:
        pictures.write_picture(_renumbered(pictures.read_mask(source), numbers, source), target)
        return
    array, header = decode_nifti(source.read_bytes(), str(source))
    header = header.copy()
    header["scl_slope"], header["scl_inter"] = 1, 0
    compress = target.name.endswith(".gz")
    write_atomically(target, encode_nifti(_renumbered(array, numbers, source), header, compress=compress))


def _renumbered(array: np.ndarray, numbers: Mapping[int, int], source: Path) -> np.ndarray:
    values, inverse = np.unique(array, return_inverse=True)
    unknown = [value for value in values.tolist() if value not in numbers]
    if unknown:
        raise InputError(f"{source}: a value {unknown[0]}; expected one of {', '.join(map(str, numbers))}")
    return np.array([numbers[int(value)] for value in values], np.uint8)[inverse].reshape(array.shape)


def _values(path: Path) -> set[int]:
    values = np.unique(_reader(path)(path))
    broken = values[~np.isfinite(values) | (values != np.rint(values))]
    if broken.size:
        raise InputError(f"{path}: a voxel is {broken[0]}; expected whole numbers, as masks have")
    if values.size > MOST_VALUES or values.min() < 0:
        raise InputError(
            f"{path}: {values.size} values from {values.min()} to {values.max()}; "
            "expected a mask, a few values from 0 up"
        )
    return {int(value) for value in values}


def _reader(path: Path) -> Callable[[Path], np.ndarray]:
    if lower_ending(path) in pictures.LOSSY:
        raise InputError(
            f"{path}: a JPEG mask, whose values are blurred at the edges; expected PNG or another exact kind"
        )
    if lower_ending(path) in pictures.PICTURE_ENDINGS:
        return pictures.read_mask
    return lambda file: decode_nifti(file.read_bytes(), str(file))[0]
