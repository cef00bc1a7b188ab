"""Which mask belongs to which image, found out from a folder's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sss_model.datasets import pictures
from sss_model.errors import InputError

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
