"""Names of a mask's values, in files beside the masks: a NIfTI or PNG file has no place for them.

``dataset.json`` is nnU-Net's (its ``labels`` give each name its number), ``labels.txt`` a label description file of
ITK-SNAP (Segmentation > Import Label Descriptions), ``labels.ctbl`` a colour table of 3D Slicer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sss_model.errors import InputError
from sss_model.files import write_atomically

# Colours of the classes, the same in pictures, in the report and in viewers.


# Cool and of different lightness: errors are drawn warm and strong over them.
CLASS_COLOURS = ("#6CB4EE", "#3CC8A0", "#B79CF0", "#9FD356", "#5E81F4", "#C7D3DD", "#2F9E8F", "#D6B3F5")


def class_colour(value: int) -> str:
    """The colour of a class, as ``#RRGGBB``; they repeat after the eighth."""
    return CLASS_COLOURS[(value - 1) % len(CLASS_COLOURS)]


DESCRIPTION, SNAP, SLICER = "dataset.json", "labels.txt", "labels.ctbl"


def write_label_names(folder: Path, labels: Mapping[str, int], *, file_ending: str = ".nii.gz") -> None:
    """Write the three files beside masks.

    Args:
        folder: where the masks are, or will be.
        labels: class name to number, background 0.
        file_ending: of the masks, for ``dataset.json``.

    Raises:
        InputError: the folder has a ``dataset.json`` already, with other labels: its masks would be read wrongly.
    """
    path = folder / DESCRIPTION
    if path.exists():
        _check_same(path, labels)
    else:
        content = {"labels": dict(labels), "file_ending": file_ending}
        write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    write_atomically(folder / SNAP, _snap(labels).encode())
    write_atomically(folder / SLICER, _slicer(labels).encode())


def _check_same(path: Path, labels: Mapping[str, int]) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["labels"]
    except (ValueError, KeyError, TypeError):
        found = None
    if found != dict(labels):
        raise InputError(f"{path}: its labels are {found}; expected {dict(labels)}, or another folder for these masks")


def _snap(labels: Mapping[str, int]) -> str:
    # Number, red, green, blue, opacity, visible, visible as a mesh, name.
    lines = ["# ITK-SNAP label description file", "# IDX R G B A VIS MSH LABEL"]
    for name, value in labels.items():
        colours = "0 0 0 0 0 0" if value == 0 else f"{_red_green_blue(value)} 1 1 1"
        quotable = name.replace('"', "'")
        lines.append(f'{value} {colours} "{quotable}"')
    return "\n".join(lines) + "\n"


def _slicer(labels: Mapping[str, int]) -> str:
    # Number, name, red, green, blue, opacity; a blank would end the name.
    lines = ["# 3D Slicer colour table"]
    for name, value in labels.items():
        colours = "0 0 0 0" if value == 0 else f"{_red_green_blue(value)} 255"
        lines.append(f"{value} {'_'.join(name.split())} {colours}")
    return "\n".join(lines) + "\n"


def _red_green_blue(value: int) -> str:
    digits = class_colour(value).removeprefix("#")
    return " ".join(str(int(digits[start : start + 2], 16)) for start in (0, 2, 4))
