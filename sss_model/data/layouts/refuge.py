"""REFUGE: 1200 fundus photographs with the optic disc and cup.

Either the challenge's own folders and masks or Medical-SAM2's, which keep each of the seven raters' masks.

Source: Orlando et al., "REFUGE Challenge", Medical Image Analysis 59, 2020; refuge.grand-challenge.org.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sss_model.data.canonical import RGB
from sss_model.data.inventory import Convert, Inventory, Scan, files_below
from sss_model.errors import InputError
from sss_model.io import pictures
from sss_model.io.pictures import read_picture

LABELS = {"background": 0, "rim": 1, "cup": 2}
_DISC = "The optic disc is rim and cup together."
LICENCE = "The challenge's terms (refuge.grand-challenge.org): registration, research use, citation; no open licence"
CITATION = (
    "J. I. Orlando, H. Fu, J. Barbosa Breda, K. van Keer, D. R. Bathula, et al., REFUGE Challenge: A Unified Framework "
    "for Evaluating Automated Methods for Glaucoma Assessment from Fundus Photographs, Medical Image Analysis 59, "
    "101570, 2020, doi 10.1016/j.media.2019.101570"
)
# The challenge's grey values: white around, grey disc, black cup.
_GREY_VALUES = {255: 0, 128: 1, 0: 2}
_SPLIT_FOLDERS = (("valid", "val"), ("test", "test"))
_RATER_MASK = re.compile(r"(?P<case>.+)_seg_(?P<what>cup|disc)_(?P<rater>\d+)(?P<cropped>_cropped)?\.(?:jpg|png)")


def inventory(source: Path) -> Inventory:
    """List the photographs.

    The challenge's are ``Training400/Glaucoma/g0001.jpg`` and so on, with ``g0001.bmp`` below a folder
    ``Disc_Cup_Masks``; its validation and test sets stay what they are. Medical-SAM2's are
    ``Training-400/0001/0001_cropped.jpg`` with ``0001_seg_cup_1_cropped.jpg`` to 7.

    Raises:
        InputError: neither of the two, or a mask without its photograph.
    """
    files = files_below(source)
    rated = _find_rated(files)
    if rated:
        return _of_raters(rated)
    masks = {path.stem: path for path in files if "Disc_Cup_Masks" in path.relative_to(source).parts and _is_mask(path)}
    photographs = {path.stem: path for path in files if re.fullmatch(r"[gnVT]\d{4}\.jpg", path.name)}
    if not photographs:
        raise InputError(
            f"{source}: no photographs; expected REFUGE's Training400/Glaucoma/g0001.jpg and Disc_Cup_Masks/g0001.bmp, "
            "or Medical-SAM2's Training-400/ID/ID_cropped.jpg and ID_seg_cup_1_cropped.jpg"
        )
    orphans = sorted(masks.keys() - photographs.keys())
    if orphans:
        raise InputError(f"{masks[orphans[0]]}: a mask without a photograph; expected {orphans[0]}.jpg")
    scans = tuple(_scan(case, path, masks.get(case), source) for case, path in photographs.items())
    return _inventory(LABELS, scans, _convert_challenge, notes=(_DISC, pictures.NO_SPACING))


def split_of(parts: tuple[str, ...], case: str = "") -> str:
    """The split by the names of folders, else by the first letter of the challenge's file names."""
    found = next((split for word, split in _SPLIT_FOLDERS if any(word in part.lower() for part in parts)), "")
    return found or {"V": "val", "T": "test"}.get(case[:1], "")


def group_of(case: str) -> str:
    """The diagnosis, by the first letter of a training photograph's name."""
    return {"g": "glaucoma", "n": "non-glaucoma"}.get(case[:1], "")


def _of_raters(rated: dict[str, _Rated]) -> Inventory:
    both = all(case.disc for case in rated.values())
    scans = tuple(
        Scan(name, name, group_of(name), case.photograph, case.cup[0], split_of((case.photograph.parents[1].name,)))
        for name, case in rated.items()
    )
    counts = sorted({len(case.cup) for case in rated.values()})
    notes = [f"Masks are the majority of {'–'.join(map(str, counts))} raters."]
    notes += [_DISC if both else "There are masks of the cup alone.", pictures.NO_SPACING]
    return _inventory(
        LABELS if both else {"background": 0, "cup": 1},
        scans,
        lambda scan, image, label: _convert_rated(rated[scan.case], image, label, both=both),
        notes=tuple(notes),
    )


def _inventory(
    labels: dict[str, int], scans: tuple[Scan, ...], convert: Convert, *, notes: tuple[str, ...]
) -> Inventory:
    return Inventory(
        labels=labels,
        scans=scans,
        channel=RGB,
        file_ending=".png",
        licence=LICENCE,
        citation=CITATION,
        convert=convert,
        notes=notes,
    )


def _is_mask(path: Path) -> bool:
    return path.suffix.lower() in (".bmp", ".png")


def _scan(case: str, photograph: Path, mask: Path | None, source: Path) -> Scan:
    split = split_of(photograph.relative_to(source).parts[:-1], case)
    return Scan(case, case, group_of(case), photograph, mask, "" if split == "val" and mask is None else split)


def _convert_challenge(scan: Scan, image: Path, label: Path | None) -> None:
    pictures.write_picture(pictures.read_picture(scan.image), image)
    if not (label and scan.label):
        return
    grey = pictures.read_mask(scan.label)
    strange = sorted(set(np.unique(grey).tolist()) - _GREY_VALUES.keys())
    if strange:
        raise InputError(f"{scan.label}: a value {strange[0]}; expected 0 for the cup, 128 for the disc, 255 around")
    mask = np.zeros(grey.shape, np.uint8)
    for value, number in _GREY_VALUES.items():
        mask[grey == value] = number
    pictures.write_picture(mask, label)


def _convert_rated(case: _Rated, image: Path, label: Path | None, *, both: bool) -> None:
    pictures.write_picture(pictures.read_picture(case.photograph), image)
    if label is None:
        return
    mask = majority(case.cup).astype(np.uint8)
    if both:
        disc = majority(case.disc)
        mask = np.where(mask > 0, np.uint8(2), disc.astype(np.uint8))
    pictures.write_picture(mask, label)


# Medical-SAM2's folders (github.com/SuperMedIntel/Medical-SAM2): one per photograph, with a mask of every rater


@dataclass(frozen=True)
class _Rated:
    """A photograph, and the raters' masks of the cup and, where there are any, of the disc."""

    photograph: Path
    cup: tuple[Path, ...]
    disc: tuple[Path, ...]


def _find_rated(files: Iterable[Path]) -> dict[str, _Rated]:
    """``ID/ID_cropped.jpg`` with ``ID_seg_cup_1_cropped.jpg`` and so on, or the same without ``_cropped``.

    Cropped photographs are taken where there are both.

    Raises:
        InputError: masks without their photograph, or of the disc alone.
    """
    masks: dict[tuple[str, Path], dict[str, list[Path]]] = defaultdict(lambda: {"cup": [], "disc": []})
    for path in files:
        if (match := _RATER_MASK.fullmatch(path.name)) and match["case"] == path.parent.name:
            masks[match["cropped"] or "", path.parent][match["what"]].append(path)
    cases: dict[str, _Rated] = {}
    for (cropped, folder), found in sorted(masks.items()):
        cases[folder.name] = _rated(folder, cropped, found["cup"], found["disc"])
    return cases


def majority(masks: Sequence[Path]) -> np.ndarray:
    """(H, W) bool: pixels that at least half of the raters marked, with a grey value from 128 on.

    Raises:
        InputError: masks of different sizes.
    """
    votes = [_grey(path) >= 128 for path in masks]
    sizes = {vote.shape for vote in votes}
    if len(sizes) > 1:
        raise InputError(f"{masks[0].parent}: masks of {' and '.join(map(str, sorted(sizes)))}; expected one size")
    return np.mean(votes, axis=0) >= 0.5


def _rated(folder: Path, cropped: str, cup: list[Path], disc: list[Path]) -> _Rated:
    photograph = folder / f"{folder.name}{cropped}.jpg"
    if not photograph.is_file():
        raise InputError(f"{folder}: no {photograph.name}; expected the photograph that the raters' masks belong to")
    if not cup:
        raise InputError(f"{folder}: masks of the disc alone; expected {folder.name}_seg_cup_1{cropped}.jpg and so on")
    return _Rated(photograph, tuple(cup), tuple(disc))


def _grey(path: Path) -> np.ndarray:
    array = read_picture(path)
    peak = array.max() if array.ndim == 2 else 255
    # One-bit PNG files hold 0 and 1.
    scaled = array * 255 if peak == 1 else array
    return scaled if scaled.ndim == 2 else scaled.mean(2)
