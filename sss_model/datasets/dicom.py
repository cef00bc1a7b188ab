"""DICOM: every series becomes a case, as a NIfTI volume."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sss_model.datasets.inventory import Inventory, Scan
from sss_model.datasets.masks import classes_of, values_of, write_mask
from sss_model.datasets.nifti import write_nifti
from sss_model.datasets.walk import files_below
from sss_model.errors import InputError
from sss_model.parallel import for_each

if TYPE_CHECKING:
    from pydicom import Dataset as Header

_READ = ("PatientID", "SeriesInstanceUID", "SeriesNumber", "Modality", "Rows", "NumberOfFrames")
_CHANNELS = {"MR": "MRI", "CT": "CT"}
_NOT_IMAGES = {"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG"}


def inventory(source: Path, masks: Path | None = None, labels: str | None = None) -> Inventory:
    """List the series below a folder, whatever the files are called.

    A case is called ``PATIENT_SERIES``, after the patient's id and the series' number (its UID where numbers repeat).

    Args:
        masks: folder with ``CASE.nii.gz``, drawn on a case as it is imported; cases without one are unlabelled.
        labels: names of the masks' values above 0, in their order, separated by commas.

    Raises:
        InputError: no series, series of several modalities, or a mask without its series.
    """
    series = _series(source)
    modalities = sorted({str(headers[0].get("Modality", "") or "image") for headers, _ in series.values()})
    if len(modalities) > 1:
        raise InputError(f"{source}: series of {' and '.join(modalities)}; expected one modality in a data set")
    drawn = _masks(masks, set(series)) if masks else {}
    names = [name.strip() for name in labels.split(",")] if labels else None
    classes, numbers = classes_of(values_of(list(drawn.values())) if drawn else [], names)
    return Inventory(
        labels=classes,
        scans=tuple(
            Scan(case, _plain(str(headers[0].PatientID)), "", files[0].parent, drawn.get(case))
            for case, (headers, files) in series.items()
        ),
        channel=_CHANNELS.get(modalities[0], modalities[0]),
        file_ending=".nii.gz",
        convert=lambda scan, image, label: _convert(series[scan.case][1], scan, image, label, numbers),
        notes=("The volumes hold no names or dates, but their cases are called by the patients' ids.",),
    )


def _convert(files: Sequence[Path], scan: Scan, image: Path, label: Path | None, numbers: dict[int, int]) -> None:
    from sss_model.datasets.dicom_volume import read_series

    array, affine = read_series(files)
    write_nifti(array, affine, image)
    if label and scan.label:
        write_mask(scan.label, label, numbers)


def _series(source: Path) -> dict[str, tuple[list[Header], list[Path]]]:
    """Case to the headers and files of its series."""
    files = files_below(source)
    headers = for_each(_header, files, description="Reading headers")
    grouped: dict[tuple[str, str], list[tuple[Header, Path]]] = defaultdict(list)
    for header, path in zip(headers, files, strict=True):
        if header is not None and str(header.get("Modality", "")) not in _NOT_IMAGES:
            grouped[_identity(header, path)].append((header, path))
    if not grouped:
        raise InputError(f"{source}: no DICOM images; expected a folder of series")
    names = _names({key: members[0][0] for key, members in grouped.items()})
    return {
        names[key]: ([header for header, _ in members], [path for _, path in members])
        for key, members in sorted(grouped.items(), key=lambda item: names[item[0]])
    }


def _header(path: Path) -> Header | None:
    """The header of a DICOM image; None for a file of another kind."""
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_READ))
    except (pydicom.errors.InvalidDicomError, EOFError):
        return None
    return header if "SeriesInstanceUID" in header and "Rows" in header else None


def _identity(header: Header, path: Path) -> tuple[str, str]:
    patient = str(header.get("PatientID", "") or "")
    if not _plain(patient):
        raise InputError(f"{path}: no patient id; expected one, since patients must not be on two sides of a split")
    return patient, str(header.SeriesInstanceUID)


def _names(first: dict[tuple[str, str], Header]) -> dict[tuple[str, str], str]:
    numbered = {key: f"{_plain(key[0])}_{header.get('SeriesNumber', None) or 0}" for key, header in first.items()}
    twice = {name for name in numbered.values() if list(numbered.values()).count(name) > 1}
    return {key: f"{_plain(key[0])}_{key[1]}" if name in twice else name for key, name in numbered.items()}


def _plain(text: str) -> str:
    """What may stand in a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")


def _masks(folder: Path, cases: set[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected masks called CASE.nii.gz")
    found = {path.name.removesuffix(".nii.gz"): path for path in sorted(folder.glob("[!.]*.nii.gz"))}
    strangers = sorted(found.keys() - cases)
    if strangers:
        raise InputError(f"{found[strangers[0]]}: a mask of no series; expected one of {', '.join(sorted(cases)[:5])}")
    return found
