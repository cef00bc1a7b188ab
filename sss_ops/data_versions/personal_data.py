"""Find names and birth dates in headers of scans: NIfTI's text fields and extensions, PNG's text chunks."""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sss_model.io import FILE_ENDINGS

NAME = "a name"
BIRTH_DATE = "a date that may be of birth"

_DICOM_NAME = re.compile(r"[^\W\d_]{2,}\^[^\W\d_]*")  # DOE^JANE, as DICOM writes it
_COMMA_NAME = re.compile(r"[A-Z][\w'-]+, ?[A-Z][\w'-]+\.?")
_TWO_WORDS = re.compile(r"[A-Z][a-z'-]+(?: [A-Z]\.?)? [A-Z][a-z'-]+")
_VALUE = r"""\W{0,4}[=:]\s*["'\[]?\s*"""
_KEYED_NAME = re.compile(rf"(?:patient|subject|person)(?:'?s)?[_ ]?name{_VALUE}\w|0010[,|] ?0010\b", re.I)
_KEYED_BIRTH = re.compile(
    rf"(?:birth[_ ]?date|date[_ ]of[_ ]birth|\bdob\b){_VALUE}\d|\bborn\W{{1,4}}\d|0010[,|] ?0030\b", re.I
)
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_DATE = re.compile(
    rf"(?<![\d.])(?:{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|{_YEAR}([-/.]){_MONTH}\1{_DAY}|"
    rf"{_DAY}([-/.]){_MONTH}\2{_YEAR})(?![\d.])"
)


def personal_kind(text: str, *, name_field: bool) -> str | None:
    """Classify a text: `NAME`, `BIRTH_DATE` or None.

    A heuristic with false alarms rather than misses: a scan's date counts as a birth date, too.

    >>> personal_kind("DOE^JANE", name_field=False), personal_kind("FSL 6.0", name_field=False)
    ('a name', None)

    Args:
        name_field: the field usually holds a name or nothing, so two capitalised words count as one.
    """
    text = text.strip()
    if _DICOM_NAME.search(text) or _COMMA_NAME.fullmatch(text) or _KEYED_NAME.search(text):
        return NAME
    if name_field and _TWO_WORDS.fullmatch(text):
        return NAME
    return BIRTH_DATE if _KEYED_BIRTH.search(text) or _DATE.search(text) else None


def masked(text: str) -> str:
    """A text's first character and length: enough to find it by, without quoting it."""
    text = text.strip()
    return f"{text[:1]}…, {len(text)} characters"


_TEXT_FIELDS = ("descrip", "db_name", "aux_file", "intent_name", "data_type")
_NAME_FIELDS = {"db_name", "aux_file", "intent_name"}
_DICOM_EXTENSION = 2
_MOST_HEADER_BYTES = 16 << 20
_PERSON = {
    "PatientName": NAME,
    "OtherPatientNames": NAME,
    "PatientBirthName": NAME,
    "PatientMotherBirthName": NAME,
    "PatientBirthDate": BIRTH_DATE,
    "PatientID": "an identifier",
}


@dataclass(frozen=True)
class Finding:
    """A header field with personal data.

    Attributes:
        kind: a name, a date that may be of birth, …
        hint: the value, masked; empty where there is none to show.
    """

    path: Path
    field: str
    kind: str
    hint: str

    def __str__(self) -> str:
        return f"{self.path}: {self.field} holds {self.kind}" + (f" ({self.hint})" if self.hint else "")


def find_personal_data(folder: Path) -> list[Finding]:
    """Find personal data in the headers of a folder's scans, sorted by path; voxels are not read."""
    from sss_model.parallel import for_each

    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(FILE_ENDINGS))
    found = for_each(scan_header, paths, description="Looking for names and birth dates")
    return [finding for findings in found for finding in findings]


def scan_header(path: Path) -> list[Finding]:
    """Find personal data in one file's header; a header that can't be read is a finding, too."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    texts = _png_texts if path.suffix == ".png" else _nifti_texts
    unreadable = (EOFError, SyntaxError, ValueError, zlib.error, ImageFileError, HeaderDataError, WrapStructError)
    try:
        return [Finding(path, *found) for found in texts(path)]
    except (gzip.BadGzipFile, *unreadable):
        return [Finding(path, "the header", "what can't be read", "")]
    except OSError as error:
        if error.errno:  # the disk, not the content
            raise
        return [Finding(path, "the header", "what can't be read", "")]


def _nifti_texts(path: Path) -> Iterator[tuple[str, str, str]]:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    data = _start_of(path, 4)
    second = Nifti2Header.sizeof_hdr.to_bytes(4, "little")
    kind = Nifti2Header if data in (second, second[::-1]) else Nifti1Header
    head = kind.from_fileobj(io.BytesIO(_start_of(path, kind.sizeof_hdr)), check=False)
    if int(head["sizeof_hdr"]) != kind.sizeof_hdr:
        raise ValueError("not a header of NIfTI")
    there = set(head.keys())  # NIfTI-2 has dropped two of them
    for name in (name for name in _TEXT_FIELDS if name in there):
        text = bytes(head[name]).split(b"\0")[0].decode("latin-1")
        if what := personal_kind(text, name_field=name in _NAME_FIELDS):
            yield name, what, masked(text)
    # Extensions lie between the header and the voxels.
    end = min(int(head["vox_offset"]), _MOST_HEADER_BYTES)
    yield from _extensions(_start_of(path, end)[kind.sizeof_hdr :], "little" if head.endianness == "<" else "big")


def _extensions(data: bytes, order: Literal["little", "big"]) -> Iterator[tuple[str, str, str]]:
    if not data[:1].strip(b"\0"):
        return
    position, number = 4, 0
    while position + 8 <= len(data):
        size, code = (int.from_bytes(data[at : at + 4], order) for at in (position, position + 4))
        if size < 8:
            return
        number += 1
        content = data[position + 8 : position + size]
        for field, kind, hint in _of_extension(code, content):
            yield f"extension {number} (code {code}){field}", kind, hint
        position += size


def _of_extension(code: int, content: bytes) -> Iterator[tuple[str, str, str]]:
    if code == _DICOM_EXTENSION:
        yield from _dicom_tags(content)
    else:
        text = content.replace(b"\0", b" ").decode("latin-1")
        if what := personal_kind(text, name_field=False):
            yield "", what, ""


def _dicom_tags(content: bytes) -> Iterator[tuple[str, str, str]]:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(_as_file(content)), force=True)
        values = {keyword: str(dataset.get(keyword) or "") for keyword in _PERSON}
    for keyword, kind in _PERSON.items():
        if values[keyword].strip():
            yield f", {keyword}", kind, masked(values[keyword])


def _as_file(content: bytes) -> bytes:
    """The extension's bytes without the padding that would read as broken elements."""
    return content.rstrip(b"\0") + b"\0" * (len(content.rstrip(b"\0")) % 2)


def _png_texts(path: Path) -> Iterator[tuple[str, str, str]]:
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as picture:
        texts = dict(getattr(picture, "text", {}))
    for key, text in texts.items():
        if what := personal_kind(str(text), name_field=_is_personal(key)) or personal_kind(
            f"{key}: {text}", name_field=False
        ):
            yield f"text {key!r}", what, masked(str(text))


def _is_personal(key: str) -> bool:
    return any(word in key.lower() for word in ("patient", "subject", "name"))


def _start_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        return (gzip.GzipFile(fileobj=file) if compressed else file).read(size)
