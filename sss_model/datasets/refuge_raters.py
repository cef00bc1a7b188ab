"""REFUGE as Medical-SAM2 offers it: a folder per photograph, with a mask of every rater.

Source: github.com/SuperMedIntel/Medical-SAM2, ``func_2d/dataset.py``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sss_model.datasets.pictures import read_picture
from sss_model.errors import InputError

_NAME = re.compile(r"(?P<case>.+)_seg_(?P<what>cup|disc)_(?P<rater>\d+)(?P<cropped>_cropped)?\.(?:jpg|png)")


@dataclass(frozen=True)
class Rated:
    """A photograph, and the raters' masks of the cup and, where there are any, of the disc."""

    photograph: Path
    cup: tuple[Path, ...]
    disc: tuple[Path, ...]


def find_cases(files: Iterable[Path]) -> dict[str, Rated]:
    """``ID/ID_cropped.jpg`` with ``ID_seg_cup_1_cropped.jpg`` and so on, or the same without ``_cropped``.

    Cropped photographs are taken where there are both.

    Raises:
        InputError: masks without their photograph, or of the disc alone.
    """
    masks: dict[tuple[str, Path], dict[str, list[Path]]] = defaultdict(lambda: {"cup": [], "disc": []})
    for path in files:
        if (match := _NAME.fullmatch(path.name)) and match["case"] == path.parent.name:
            masks[match["cropped"] or "", path.parent][match["what"]].append(path)
    cases: dict[str, Rated] = {}
    for (cropped, folder), found in sorted(masks.items()):
        cases[folder.name] = _rated(folder, cropped, found["cup"], found["disc"])
    return cases


def majority(masks: Sequence[Path]) -> np.ndarray:
    """(H, W) bool: where at least half of the raters see it; grey values from 128 on are seen.

    Raises:
        InputError: masks of different sizes.
    """
    votes = [_grey(path) >= 128 for path in masks]
    sizes = {vote.shape for vote in votes}
    if len(sizes) > 1:
        raise InputError(f"{masks[0].parent}: masks of {' and '.join(map(str, sorted(sizes)))}; expected one size")
    return np.mean(votes, axis=0) >= 0.5


def _rated(folder: Path, cropped: str, cup: list[Path], disc: list[Path]) -> Rated:
    photograph = folder / f"{folder.name}{cropped}.jpg"
    if not photograph.is_file():
        raise InputError(f"{folder}: no {photograph.name}; expected the photograph that the raters' masks belong to")
    if not cup:
        raise InputError(f"{folder}: masks of the disc alone; expected {folder.name}_seg_cup_1{cropped}.jpg and so on")
    return Rated(photograph, tuple(cup), tuple(disc))


def _grey(path: Path) -> np.ndarray:
    array = read_picture(path)
    peak = array.max() if array.ndim == 2 else 255
    # One-bit PNG files hold 0 and 1.
    scaled = array * 255 if peak == 1 else array
    return scaled if scaled.ndim == 2 else scaled.mean(2)
