"""REFUGE: 1200 fundus photographs with the optic disc and cup.

Either the challenge's own folders and masks or Medical-SAM2's, which keep each of the seven raters' masks.

Source: Orlando et al., "REFUGE Challenge", Medical Image Analysis 59, 2020; refuge.grand-challenge.org.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sss_model.datasets import pictures, refuge_raters
from sss_model.datasets.canonical import RGB
from sss_model.datasets.inventory import Convert, Inventory, Scan
from sss_model.datasets.walk import files_below
from sss_model.errors import InputError

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
_SIDES = (("valid", "val"), ("test", "test"))


def inventory(source: Path) -> Inventory:
    """List the photographs.

    The challenge's are ``Training400/Glaucoma/g0001.jpg`` and so on, with ``g0001.bmp`` below a folder
    ``Disc_Cup_Masks``; its validation and test sets stay what they are. Medical-SAM2's are
    ``Training-400/0001/0001_cropped.jpg`` with ``0001_seg_cup_1_cropped.jpg`` to 7.

    Raises:
        InputError: neither of the two, or a mask without its photograph.
    """
    files = files_below(source)
    rated = refuge_raters.find_cases(files)
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


def side_of(parts: tuple[str, ...], case: str = "") -> str:
    """The side that folder names tell, or the letter that the challenge's names begin with."""
    told = next((side for word, side in _SIDES if any(word in part.lower() for part in parts)), "")
    return told or {"V": "val", "T": "test"}.get(case[:1], "")


def group_of(case: str) -> str:
    """The diagnosis, as training photographs are named for it."""
    return {"g": "glaucoma", "n": "non-glaucoma"}.get(case[:1], "")


def _of_raters(rated: dict[str, refuge_raters.Rated]) -> Inventory:
    both = all(case.disc for case in rated.values())
    scans = tuple(
        Scan(name, name, group_of(name), case.photograph, case.cup[0], side_of((case.photograph.parents[1].name,)))
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
    side = side_of(photograph.relative_to(source).parts[:-1], case)
    return Scan(case, case, group_of(case), photograph, mask, "" if side == "val" and mask is None else side)


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


def _convert_rated(case: refuge_raters.Rated, image: Path, label: Path | None, *, both: bool) -> None:
    pictures.write_picture(pictures.read_picture(case.photograph), image)
    if label is None:
        return
    mask = refuge_raters.majority(case.cup).astype(np.uint8)
    if both:
        disc = refuge_raters.majority(case.disc)
        mask = np.where(mask > 0, np.uint8(2), disc.astype(np.uint8))
    pictures.write_picture(mask, label)
