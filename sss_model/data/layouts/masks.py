"""The values that masks hold, and the classes 0, 1, 2, … that they become."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io import pictures
from sss_model.io.formats import decode_nifti, encode_nifti
from sss_model.parallel import for_each

# Which mask belongs to which image, found out from a folder's names.


ENDINGS = (".nii.gz", ".nii", *pictures.ENDINGS)
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "scans")
MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "segmentations", "segmentation", "annotations", "ground_truth"),
    *("ground truths", "groundtruth", "gt"),
)
MASK_SUFFIXES = tuple(
    separator + word
    for word in ("mask", "seg", "segmentation", "label", "labels", "annotation", "gt")
    for separator in ("_", "-", ".")
)


@dataclass(frozen=True)
class Pair:
    """A case's image and, where it has one, its mask."""

    case: str
    image: Path
    mask: Path | None


def find_pairs(folder: Path, images: str | None = None, masks: str | None = None) -> list[Pair]:
    """Match images and masks.

    They lie in two folders, of names like those in `IMAGE_FOLDERS` and `MASK_FOLDERS`, or side by side in one, where a
    mask is called as its image with one of `MASK_SUFFIXES`.

    Args:
        images, masks: the two folders' names inside `folder`, where they are others.

    Raises:
        InputError: no such folder, two files of one case, or a mask without an image.
    """
    pictures_in, masks_in = _folder(folder, images, IMAGE_FOLDERS), _folder(folder, masks, MASK_FOLDERS)
    here = files_in(pictures_in or folder)
    there = files_in(masks_in) if masks_in else [path for path in here if _without_suffix(stem(path)) != stem(path)]
    pictured = _by_case([path for path in here if path not in set(there)], strip=False)
    masked = _matched(there, pictured)
    return [Pair(case, path, masked.get(case)) for case, path in sorted(pictured.items())]


def files_in(folder: Path) -> list[Path]:
    """The images of a folder, hidden ones left out."""
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS) and path.name[0] != ".")


def ending_of(path: Path) -> str:
    """The file's ending in small letters, ``.nii.gz`` as a whole."""
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), path.suffix.lower())


def stem(path: Path) -> str:
    """The name without ending and without nnU-Net's channel number ``_0000``."""
    return path.name[: -len(ending_of(path))].removesuffix("_0000")


def _folder(parent: Path, wanted: str | None, usual: Iterable[str]) -> Path | None:
    if wanted is not None:
        if not (parent / wanted).is_dir():
            raise InputError(f"{parent / wanted}: no such folder; expected images or masks there")
        return parent / wanted
    found = [path for path in sorted(parent.iterdir()) if path.is_dir() and path.name.lower() in usual]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise InputError(f"{parent}: {names} could both be meant; expected one, or its name (--images, --masks)")
    return found[0] if found else None


def _by_case(paths: Iterable[Path], *, strip: bool) -> dict[str, Path]:
    cases: dict[str, Path] = {}
    for path in paths:
        case = _without_suffix(stem(path)) if strip else stem(path)
        if case in cases:
            raise InputError(f"{path}: case {case} is also {cases[case].name}; expected one file a case")
        cases[case] = path
    return cases


def _matched(masks: list[Path], images: Mapping[str, Path]) -> dict[str, Path]:
    exact = [path for path in masks if stem(path) in images]
    others = [path for path in masks if stem(path) not in images]
    cases = _by_case(exact, strip=False)
    for case, path in _by_case(others, strip=True).items():
        if case not in images:
            raise InputError(f"{path}: a mask without an image; expected an image called {case}")
        if case in cases:
            raise InputError(f"{path}: case {case} also has the mask {cases[case].name}; expected one file a case")
        cases[case] = path
    return cases


def _without_suffix(name: str) -> str:
    found = next((suffix for suffix in MASK_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(found)] if found else name


# More than any data set of the field has: then it is no mask, or one whose edges were blurred.
MOST_VALUES = 256


def values_of(masks: Sequence[Path]) -> list[int]:
    """The values that occur, sorted; raises `InputError` for a file that is no mask."""
    found = for_each(_values, masks, description="Reading masks")
    return sorted(set().union(*found))


def classes_of(values: Sequence[int], names: Sequence[str] | None) -> tuple[dict[str, int], dict[int, int]]:
    """Name the classes, and number them without gaps.

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
    """Write a mask with other numbers for its values, on its own grid."""
    if ending_of(source) in pictures.ENDINGS:
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
    if ending_of(path) in pictures.LOSSY:
        raise InputError(
            f"{path}: a JPEG mask, whose values are blurred at the edges; expected PNG or another exact kind"
        )
    if ending_of(path) in pictures.ENDINGS:
        return pictures.read_mask
    return lambda file: decode_nifti(file.read_bytes(), str(file))[0]
