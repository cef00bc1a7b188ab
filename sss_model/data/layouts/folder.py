"""Anybody's own data set: images and masks side by side, or in two folders."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path

from sss_model.data.canonical import RGB
from sss_model.data.inventory import Inventory, Scan, patients_of
from sss_model.data.layouts.masks import Pair, classes_of, ending_of, find_pairs, values_of, write_mask
from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io import pictures
from sss_model.parallel import for_each

SIDES = {
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
    """Find out what a folder holds.

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
    parts = {part: SIDES[part.name.lower()] for part in _parts(root)} or {root: ""}
    sided = [(pair, side) for part, side in parts.items() for pair in find_pairs(part, images, masks)]
    pairs = [pair for pair, _ in sided]
    if not pairs:
        raise InputError(f"{source}: no images; expected folders images and masks, or case.nii.gz and case_mask.nii.gz")
    ending = _common_ending(pairs)
    names = [name.strip() for name in labels.split(",")] if labels else None
    classes, numbers = classes_of(values_of([pair.mask for pair in pairs if pair.mask]), names)
    patient_of = patients_of(root, patient)
    scans = tuple(Scan(pair.case, *patient_of(pair.case), pair.image, pair.mask, side) for pair, side in sided)
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
    return sorted(path for path in root.iterdir() if path.is_dir() and path.name.lower() in SIDES)


def _common_ending(pairs: Sequence[Pair]) -> str:
    """What images and masks will end in."""
    files = [path for pair in pairs for path in (pair.image, pair.mask) if path]
    flat = [path for path in files if ending_of(path) in pictures.ENDINGS]
    deep = [path for path in files if ending_of(path) not in pictures.ENDINGS]
    if flat and deep:
        raise InputError(f"{flat[0]}: a picture, while {deep[0].name} is a volume; expected one kind in a data set")
    if flat:
        return ".png"
    return ".nii" if all(ending_of(path) == ".nii" for path in deep) else ".nii.gz"


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
    if same and ending_of(scan.label) == ending_of(label) != ".png":
        shutil.copyfile(scan.label, label)
    else:
        write_mask(scan.label, label, numbers)


def _write_image(source: Path, target: Path) -> None:
    if ending_of(source) == ending_of(target):
        shutil.copyfile(source, target)
    elif ending_of(source) in pictures.ENDINGS:
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
    lossy = sum(ending_of(scan.image) in pictures.LOSSY for scan in scans)
    if lossy:
        notes.append(f"{lossy} JPEG pictures become PNG, pixel for pixel.")
    if any(ending_of(scan.image) in pictures.ENDINGS for scan in scans):
        notes.append(pictures.NO_SPACING)
    return notes
