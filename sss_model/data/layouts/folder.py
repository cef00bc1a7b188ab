"""Any folder of images and masks: side by side, or in two folders."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sss_model.data.canonical import RGB
from sss_model.data.inventory import Inventory, Scan, patients_of
from sss_model.data.layouts.masks import ENDINGS, classes_of, lower_ending, values_of, write_mask
from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io import pictures
from sss_model.parallel import for_each

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
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training", "unlabelled", "unlabeled"), ""),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def inventory(
    source: Path,
    images: str | None = None,
    masks: str | None = None,
    labels: str | None = None,
    patient: str | None = None,
    modality: str | None = None,
) -> Inventory:
    """List the images of a folder and match masks to them.

    Images are NIfTI or pictures (PNG, JPEG, BMP, TIFF), masks any of these but JPEG. The folder may be divided into
    ``train``, ``val``, ``test`` and ``unlabelled``; it may hold a ``splits.csv`` like ours, or a ``patients.csv``.

    Args:
        images, masks: names of the two folders, where they can't be guessed (see `find_pairs`).
        labels: names of the masks' values above 0, in their order, separated by commas.
        patient: a regular expression whose first group is the patient, matched with the case.
        modality: ``MRI``, ``CT`` and so on, for the record.

    Raises:
        InputError: no images, names that don't match, images of two kinds, or a file that is no mask.
    """
    root = _root(source)
    parts = {part: SPLIT_FOLDERS[part.name.lower()] for part in _parts(root)} or {root: ""}
    with_split = [(pair, split) for part, split in parts.items() for pair in find_pairs(part, images, masks)]
    pairs = [pair for pair, _ in with_split]
    if not pairs:
        raise InputError(f"{source}: no images; expected folders images and masks, or case.nii.gz and case_mask.nii.gz")
    ending = _common_ending(pairs)
    names = [name.strip() for name in labels.split(",")] if labels else None
    classes, numbers = classes_of(values_of([pair.mask for pair in pairs if pair.mask]), names)
    patient_of = patients_of(root, patient)
    scans = tuple(Scan(pair.case, *patient_of(pair.case), pair.image, pair.mask, split) for pair, split in with_split)
    splits = root / "splits.csv"
    return Inventory(
        labels=classes,
        scans=scans,
        channel=modality or _channel(pairs, ending),
        file_ending=ending,
        convert=lambda scan, image, label: _convert(scan, image, label, numbers),
        notes=tuple(_notes(scans, numbers)),
        splits=splits if splits.is_file() else None,
    )


def _root(source: Path) -> Path:
    """The source, or the only folder in it, as zip files often have one above."""
    inside = [path for path in source.iterdir() if not path.name.startswith(".")]
    lone = len(inside) == 1 and inside[0].is_dir() and not _parts(source)
    return inside[0] if lone else source


def _parts(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name.lower() in SPLIT_FOLDERS)


def _common_ending(pairs: Sequence[Pair]) -> str:
    """What images and masks will end in."""
    files = [path for pair in pairs for path in (pair.image, pair.mask) if path]
    flat = [path for path in files if lower_ending(path) in pictures.PICTURE_ENDINGS]
    deep = [path for path in files if lower_ending(path) not in pictures.PICTURE_ENDINGS]
    if flat and deep:
        raise InputError(f"{flat[0]}: a picture, while {deep[0].name} is a volume; expected one kind in a data set")
    if flat:
        return ".png"
    return ".nii" if all(lower_ending(path) == ".nii" for path in deep) else ".nii.gz"


def _channel(pairs: Sequence[Pair], ending: str) -> str:
    if ending != ".png":
        return "image"
    colours = set(for_each(lambda pair: pictures.read_picture(pair.image).ndim, pairs, description="Reading pictures"))
    return RGB if colours == {3} else "image"


def _convert(scan: Scan, image: Path, label: Path | None, numbers: dict[int, int]) -> None:
    _write_image(scan.image, image)
    if not (label and scan.label):
        return
    same = all(value == number for value, number in numbers.items())
    if same and lower_ending(scan.label) == lower_ending(label) != ".png":
        shutil.copyfile(scan.label, label)
    else:
        write_mask(scan.label, label, numbers)


def _write_image(source: Path, target: Path) -> None:
    if lower_ending(source) == lower_ending(target):
        shutil.copyfile(source, target)
    elif lower_ending(source) in pictures.PICTURE_ENDINGS:
        pictures.write_picture(pictures.read_picture(source), target)
    else:
        write_atomically(target, gzip.compress(source.read_bytes(), mtime=0))


def _notes(scans: Sequence[Scan], numbers: dict[int, int]) -> list[str]:
    notes = []
    if all(scan.patient == scan.case for scan in scans):
        notes.append("Every case counts as a patient of its own; patients.csv or --patient say otherwise.")
    renumbered = {value: number for value, number in numbers.items() if value != number}
    if renumbered:
        changes = ", ".join(f"{value} becomes {number}" for value, number in renumbered.items())
        notes.append(f"Classes are numbered without gaps: {changes}.")
    lossy = sum(lower_ending(scan.image) in pictures.LOSSY for scan in scans)
    if lossy:
        notes.append(f"{lossy} JPEG pictures become PNG, pixel for pixel.")
    if any(lower_ending(scan.image) in pictures.PICTURE_ENDINGS for scan in scans):
        notes.append(pictures.NO_SPACING)
    return notes


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
    here = _files_in(pictures_in or folder)
    there = _files_in(masks_in) if masks_in else [path for path in here if _without_suffix(_stem(path)) != _stem(path)]
    pictured = _by_case([path for path in here if path not in set(there)], strip=False)
    masked = _matched(there, pictured)
    return [Pair(case, path, masked.get(case)) for case, path in sorted(pictured.items())]


def _files_in(folder: Path) -> list[Path]:
    """The images of a folder, hidden ones left out."""
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(ENDINGS) and path.name[0] != ".")


def _stem(path: Path) -> str:
    """A file's name without ending and without nnU-Net's channel number ``_0000``."""
    return path.name[: -len(lower_ending(path))].removesuffix("_0000")


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
        case = _without_suffix(_stem(path)) if strip else _stem(path)
        if case in cases:
            raise InputError(f"{path}: case {case} is also {cases[case].name}; expected one file a case")
        cases[case] = path
    return cases


def _matched(masks: list[Path], images: Mapping[str, Path]) -> dict[str, Path]:
    exact = [path for path in masks if _stem(path) in images]
    others = [path for path in masks if _stem(path) not in images]
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
