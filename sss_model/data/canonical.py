"""The canonical layout: nnU-Net's raw format and our ``splits.csv``.

``dataset.json``, ``imagesTr/CASE_0000.nii.gz`` and ``labelsTr/CASE.nii.gz`` for the training and validation cases,
``imagesTs`` and ``labelsTs`` for the test cases. A case without a label file is unlabelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sss_model.data.splits import Assignment, read_splits, write_splits
from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io import FILE_ENDINGS

__all__ = ["Assignment", "CaseFiles", "Dataset", "load_description", "open_dataset", "write_dataset"]
RGB = "RGB"
"""The channel of colour pictures: one file with all three, as nnU-Net reads them."""
_RGB_NAMES = {"0": "R", "1": "G", "2": "B"}


@dataclass(frozen=True)
class CaseFiles:
    """One case's files; `label` is None for an unlabelled case."""

    case: str
    image: Path
    label: Path | None


@dataclass(frozen=True)
class Dataset:
    """A folder in the canonical layout, cases and assignments sorted by case."""

    folder: Path
    labels: dict[str, int]
    file_ending: str
    cases: tuple[CaseFiles, ...]
    splits: tuple[Assignment, ...]
    licence: str
    citation: str


def open_dataset(folder: Path) -> Dataset:
    """List what a canonical folder holds, without reading a voxel.

    Raises:
        InputError: no such folder, an empty one, a missing or invalid ``dataset.json`` or ``splits.csv``, cases in the
            files and not in the splits or the reverse, or a patient in two splits.
    """
    description = read_description(folder)
    ending = description["file_ending"]
    cases = list_cases(folder, "Tr", ending) + list_cases(folder, "Ts", ending)
    if not cases:
        raise InputError(f"{folder}: no images; expected imagesTr/CASE_0000{ending}")
    splits = read_splits(folder / "splits.csv")
    _check_same_cases([files.case for files in cases], [row.case for row in splits], folder)
    return Dataset(
        folder=folder,
        labels=dict(sorted(description["labels"].items(), key=lambda item: item[1])),
        file_ending=ending,
        cases=tuple(sorted(cases, key=lambda files: files.case)),
        splits=tuple(sorted(splits, key=lambda row: row.case)),
        licence=str(description.get("licence", "")),
        citation=str(description.get("citation", "")),
    )


def write_dataset(
    folder: Path,
    *,
    labels: Mapping[str, int],
    splits: Sequence[Assignment],
    channel: str = "image",
    file_ending: str = ".nii.gz",
    licence: str = "",
    citation: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write ``dataset.json`` and ``splits.csv``; the caller writes images and labels.

    Args:
        labels: class name to integer, background 0.
        channel: nnU-Net's name of the one input channel, ``MRI`` or ``CT`` for instance, or `RGB`.
        notes: further sentences for ``dataset.json``.
    """
    description = {
        "channel_names": _RGB_NAMES if channel == RGB else {"0": channel},
        "labels": dict(labels),
        "numTraining": sum(row.split != "test" for row in splits),
        "file_ending": file_ending,
    }
    texts = {"licence": licence, "citation": citation, "notes": " ".join(notes)}
    description |= {key: text for key, text in texts.items() if text}
    write_atomically(folder / "dataset.json", (json.dumps(description, indent=2) + "\n").encode())
    write_splits(splits, folder / "splits.csv")


def read_description(folder: Path) -> dict[str, Any]:
    """``dataset.json``, checked: one channel, a known file ending, labels from background 0 up without gaps."""
    description = load_description(folder)
    check_description(description, folder / "dataset.json")
    return description


def load_description(folder: Path) -> dict[str, Any]:
    """``dataset.json`` as it is; raises `InputError` where it is missing or no JSON object."""
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(f"{folder}: {'an empty' if folder.is_dir() else 'no such'} folder; expected a data set")
    path = folder / "dataset.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected nnU-Net's description of the data set") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); expected nnU-Net's description of the data set") from None
    if not isinstance(description, dict):
        raise InputError(f"{path}: a {type(description).__name__}; expected an object with labels and file_ending")
    return description


def channels_of(description: dict[str, Any], path: Path) -> list[str]:
    """Names of the channels, in order; colour pictures have the one channel `RGB`."""
    names = description.get("channel_names", description.get("modality"))
    if not isinstance(names, dict) or not names:
        raise InputError(f"{path}: channel_names is {names}; expected exactly one channel")
    if names == _RGB_NAMES and description.get("file_ending") == ".png":
        return [RGB]
    return [str(names[key]) for key in sorted(names, key=lambda key: (len(key), key))]


def list_cases(folder: Path, part: str, ending: str, *, channel: int | None = None) -> list[CaseFiles]:
    """Images and labels of ``imagesTr``/``labelsTr`` (`part` ``Tr``) or ``imagesTs``/``labelsTs`` (``Ts``).

    Args:
        channel: which one's file to take where a case has several; None where it must have only one, ``_0000``.
    """
    paths = _visible(folder / f"images{part}")
    if channel is not None:
        paths = [path for path in paths if path.name.endswith(f"_{channel:04d}{ending}")]
    images = {_case_of(path, ending, channel or 0): path for path in paths}
    labels = {path.name.removesuffix(ending): path for path in _visible(folder / f"labels{part}")}
    orphans = sorted(labels.keys() - images.keys())
    if orphans:
        raise InputError(
            f"{labels[orphans[0]]}: a label without an image; expected images{part}/{orphans[0]}_0000{ending}"
        )
    return [CaseFiles(case, image, labels.get(case)) for case, image in sorted(images.items())]


def check_description(description: dict[str, Any], path: Path) -> None:
    """Raise `InputError` unless it describes one channel, a known file ending and labels without gaps."""
    channels = channels_of(description, path)
    if len(channels) != 1:
        raise InputError(f"{path}: channel_names is {channels}; expected exactly one channel")
    if description.get("file_ending") not in FILE_ENDINGS:
        found = description.get("file_ending")
        raise InputError(f"{path}: file_ending is {found!r}; expected one of {', '.join(FILE_ENDINGS)}")
    labels = description.get("labels")
    if not isinstance(labels, dict) or not _consecutive(labels):
        raise InputError(
            f"{path}: labels are {labels}; expected background 0, then the classes as 1, 2, 3 without gaps"
        )


def _consecutive(labels: dict[str, Any]) -> bool:
    values = list(labels.values())
    whole = all(isinstance(value, int) for value in values)
    return whole and sorted(values) == list(range(len(values))) and labels.get("background") == 0


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []


def _case_of(image: Path, ending: str, channel: int) -> str:
    suffix = f"_{channel:04d}{ending}"
    if not image.name.endswith(suffix):
        raise InputError(f"{image}: not an image of one channel; expected a name like CASE{suffix}")
    return image.name.removesuffix(suffix)


def _check_same_cases(in_files: list[str], in_splits: list[str], folder: Path) -> None:
    for names, where in ((in_files, "imagesTr and imagesTs"), (in_splits, "splits.csv")):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"{folder}: case {twice[0]} appears twice in {where}; expected every case once")
    without_row = sorted(set(in_files) - set(in_splits))
    if without_row:
        raise InputError(f"{folder}: case {without_row[0]} has an image and no row in splits.csv; expected one")
    without_image = sorted(set(in_splits) - set(in_files))
    if without_image:
        raise InputError(f"{folder}: case {without_image[0]} has a row in splits.csv and no image; expected one")
