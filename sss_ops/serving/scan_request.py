"""One scan as a program or a client of a server sends it, and the mask as it expects it back."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sss_model.config import Data
from sss_model.data.preprocessing import seen_voxels
from sss_model.errors import InputError
from sss_model.io.formats import PNG_SIGNATURE, ending_of, refuse_more, within_limit
from sss_model.io.volumes import (
    Volume,
    on_source_grid,
    read_volume,
    volume_from_array,
    volume_from_bytes,
    volume_to_bytes,
)

FORMS = ("nifti", "array", "path")
"""The ways to send a scan; a request uses one."""
FIELDS = (*FORMS, "spacing_mm")
_EXPECTED = "expected one of nifti (a file's bytes), array with spacing_mm, and path"


@dataclass(frozen=True)
class Terms:
    """What a request may ask for.

    Attributes:
        max_voxels: of a scan, as it is sent and as the network sees it.
        paths: whether files of this machine may be named.
    """

    max_voxels: int
    paths: bool


class Request(NamedTuple):
    """A scan, and how to answer: from its mask to the bytes of a file of the scan's kind, or to an array."""

    volume: Volume
    answer: Callable[[Volume], bytes | np.ndarray]


def read_request(fields: Mapping[str, Any], where: str, *, terms: Terms, data: Data) -> Request:
    """Read a request.

    Args:
        fields: one of ``nifti``: the bytes of a .nii, .nii.gz or .png file, or base64 of them; ``array``: voxels
            (X, Y, Z) that grow to the right, to the front and upwards, as an array or nested lists, with
            ``spacing_mm``: three numbers; ``path``: a file of this machine. None and NaN count as not given.
        where: opens the sentence of an error.
        data: how the network sees a scan.

    Raises:
        InputError: none or several are given, or what is given can't be read, is too large or not allowed; the
            sentence repeats neither voxels nor, unless paths are allowed, places on this machine.
    """
    given = {name: fields[name] for name in FIELDS if name in fields and not _absent(fields[name])}
    forms = [name for name in FORMS if name in given]
    if len(forms) != 1:
        raise InputError(f"{where}: {' and '.join(forms) or 'no scan'}; {_EXPECTED}")
    if "spacing_mm" in given and forms != ["array"]:
        raise InputError(
            f"{where}: {forms[0]} and spacing_mm; expected spacing_mm with array alone, files bring theirs"
        )
    read = {"nifti": _from_bytes, "array": _from_array, "path": _from_path}[forms[0]]
    request = read(given, where, terms)
    refuse_more(seen_voxels(request.volume, data), f"{where}, as the network sees it", most=terms.max_voxels)
    return request


def _from_bytes(given: Mapping[str, Any], where: str, terms: Terms) -> Request:
    content = _content(given["nifti"], f"{where}: nifti")
    picture = content.startswith(PNG_SIGNATURE)
    volume = volume_from_bytes(within_limit(content, where, most=terms.max_voxels), where)
    return Request(volume, lambda mask: volume_to_bytes(mask, ".png" if picture else ".nii.gz", where))


def _from_array(given: Mapping[str, Any], where: str, terms: Terms) -> Request:
    try:
        array = np.asarray(given["array"])
    except ValueError:  # rows of unequal lengths
        raise InputError(
            f"{where}: array is no box of voxels; expected rows of equal lengths along X, Y and Z"
        ) from None
    refuse_more(array.size, where, most=terms.max_voxels)
    # pandas and nested lists make objects of numbers, whose kind they forget.
    array = _numbers(array, where) if array.dtype == object else array
    volume = volume_from_array(array, _spacing(given.get("spacing_mm"), where), where)
    return Request(volume, lambda mask: on_source_grid(mask))


def _from_path(given: Mapping[str, Any], where: str, terms: Terms) -> Request:
    if not terms.paths:
        raise InputError(f"{where}: path; expected the file's bytes as nifti, since no file of this machine is opened")
    path = Path(str(given["path"]))
    ending = ending_of(path)
    volume = read_volume(path)
    return Request(volume, lambda mask: volume_to_bytes(mask, ending, str(path)))


def _content(value: Any, where: str) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: found {type(value).__name__}; expected a file's bytes, in JSON as base64")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{where}: not base64; expected a file's bytes, in JSON as base64") from None


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    try:
        return np.array(array.tolist(), dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: array holds what is no number, or rows of unequal lengths; expected voxels"
        ) from None


def _spacing(value: Any, where: str) -> tuple[float, float, float]:
    if value is None:
        raise InputError(f"{where}: array without spacing_mm; expected three numbers, the voxels' sides in millimetres")
    try:
        first, second, third = (float(mm) for mm in value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: spacing_mm; expected three numbers, the voxels' sides in millimetres") from None
    return first, second, third


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
