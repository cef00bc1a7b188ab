"""DICOM: every series becomes a case, as a NIfTI volume.

Source: DICOM PS3.3, C.7.6.2 (image plane) and C.11.1 (modality LUT: rescale slope and intercept).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom

from sss_model.data.inventory import Inventory, Scan, files_below
from sss_model.data.layouts.masks import classes_of, values_of, write_mask
from sss_model.errors import InputError
from sss_model.io.nifti import smallest_integers, write_nifti
from sss_model.parallel import for_each

if TYPE_CHECKING:
    from pydicom import Dataset as Header

_TOLERANCE = 0.05
"""Relative deviation allowed of a slice distance: scanners round positions."""
_NEEDED = ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "Rows", "Columns", "PixelData")
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
    """Text with only the characters that a file's name may have."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")


def _masks(folder: Path, cases: set[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected masks called CASE.nii.gz")
    found = {path.name.removesuffix(".nii.gz"): path for path in sorted(folder.glob("[!.]*.nii.gz"))}
    strangers = sorted(found.keys() - cases)
    if strangers:
        raise InputError(f"{found[strangers[0]]}: a mask of no series; expected one of {', '.join(sorted(cases)[:5])}")
    return found


def read_series(files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Read the slices of a series.

    Args:
        files: one slice each, in any order.

    Returns:
        Voxels (columns, rows, slices), rescaled (Hounsfield units for CT), and the affine (4, 4) to RAS+ in mm.

    Raises:
        InputError: a file that can't be read or has no place in the patient, several frames in a file, colours, slices
            of different size or direction, two slices in one place (mixed series), or a gap.
    """
    slices = [_read(path) for path in files]
    _check_alike(slices, files)
    normal = np.cross(*_directions(slices[0]))
    positions = np.array([_position(one) @ normal for one in slices])
    order = np.argsort(positions, kind="stable")
    _check_regular(positions[order], [files[index] for index in order])
    ordered = [slices[index] for index in order]
    pixels = np.stack([_rescaled(one, files[index]) for one, index in zip(ordered, order, strict=True)])
    return smallest_integers(np.ascontiguousarray(pixels.transpose(2, 1, 0))), _affine(ordered)


def _read(path: Path) -> pydicom.Dataset:
    try:
        one = pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, EOFError, OSError):
        raise InputError(f"{path}: not a readable DICOM file; expected a slice of a series") from None
    missing = [name for name in _NEEDED if name not in one]
    if int(one.get("NumberOfFrames", None) or 1) > 1:
        raise InputError(f"{path}: {one.NumberOfFrames} frames in one file; expected a file a slice")
    if missing:
        raise InputError(f"{path}: no {missing[0]}; expected slices that say where they lie")
    if int(one.get("SamplesPerPixel", 1)) != 1:
        raise InputError(f"{path}: a colour image; expected grey values")
    return one


def _check_alike(slices: Sequence[pydicom.Dataset], files: Sequence[Path]) -> None:
    """Refuse slices that can't be stacked, such as a localizer among them."""
    first = slices[0]
    for one, path in zip(slices, files, strict=True):
        if (one.Rows, one.Columns) != (first.Rows, first.Columns):
            raise InputError(
                f"{path}: {one.Columns}x{one.Rows} pixels; expected {first.Columns}x{first.Rows} as in {files[0].name}"
            )
        for name, tolerance in (("ImageOrientationPatient", 1e-3), ("PixelSpacing", 1e-4)):
            found, wanted = (np.array(getattr(each, name), float) for each in (one, first))
            if not np.allclose(found, wanted, rtol=0, atol=tolerance):
                raise InputError(
                    f"{path}: {name} {found.tolist()}; expected {wanted.tolist()} as in {files[0].name}: a mixed series"
                )


def _check_regular(positions: np.ndarray, files: Sequence[Path]) -> None:
    if len(positions) == 1:
        return
    steps = np.diff(positions)
    usual = float(np.median(steps))
    for index, step in enumerate(steps.tolist()):
        one, other = files[index], files[index + 1]
        if step <= 1e-3:
            raise InputError(f"{one}: lies where {other.name} lies; expected one slice a place: a mixed series")
        if abs(step - usual) > _TOLERANCE * usual:
            raise InputError(
                f"{one}: {other.name} is the next slice and {step:g} mm away, where {usual:g} mm is usual; "
                "expected no gap: a slice is missing or the series is mixed"
            )


def _rescaled(one: pydicom.Dataset, path: Path) -> np.ndarray:
    try:
        stored = one.pixel_array
    except (RuntimeError, NotImplementedError, ValueError, AttributeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: its pixels can't be read ({reason}); expected an uncompressed slice") from None
    slope, intercept = (
        float(one.get(name, None) or usual) for name, usual in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    return stored.astype(np.float64) * slope + intercept


def _directions(one: pydicom.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors, LPS: along a row, so from column to column, and along a column."""
    cosines = np.array(one.ImageOrientationPatient, float)
    return cosines[:3], cosines[3:]


def _position(one: pydicom.Dataset) -> np.ndarray:
    return np.array(one.ImagePositionPatient, float)


def _affine(ordered: Sequence[pydicom.Dataset]) -> np.ndarray:
    first, last = ordered[0], ordered[-1]
    along_row, along_column = _directions(first)
    between_rows, between_columns = (float(mm) for mm in first.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = along_row * between_columns
    affine[:3, 1] = along_column * between_rows
    if len(ordered) > 1:
        affine[:3, 2] = (_position(last) - _position(first)) / (len(ordered) - 1)
    else:
        thickness = float(first.get("SliceThickness", None) or 1.0)
        affine[:3, 2] = np.cross(along_row, along_column) * thickness
    affine[:3, 3] = _position(first)
    # DICOM's axes run to the left, the back and the head; NIfTI's to the right, the front and the head.
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
