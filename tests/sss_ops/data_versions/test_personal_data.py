"""Names and birth dates where scanners and converters leave them."""

from __future__ import annotations

import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from nibabel.nifti1 import Nifti1Extension
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sss_ops.data_versions.personal_data import BIRTH_DATE, NAME, find_personal_data, masked, personal_kind, scan_header


def scan(path: Path, kind: type = nib.Nifti1Image, extensions: tuple[Nifti1Extension, ...] = (), **fields: str) -> Path:
    image = kind(np.zeros((2, 2, 2), np.int16), np.eye(4))
    for name, value in fields.items():
        image.header[name] = value.encode()
    image.header.extensions.extend(extensions)
    nib.save(image, path)
    return path


def dicom(**tags: str) -> bytes:
    dataset = pydicom.Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=False, little_endian=True)
    return stream.getvalue()


@pytest.mark.parametrize("field", ["descrip", "db_name", "aux_file", "intent_name"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_name_in_a_text_field_is_found_and_not_repeated(field: str, name: str, tmp_path: Path) -> None:
    (found,) = scan_header(scan(tmp_path / name, **{field: "DOE^JANE"}))
    assert str(found) == f"{tmp_path / name}: {field} holds a name (D…, 8 characters)"


def test_a_second_kind_of_nifti_is_read_too(tmp_path: Path) -> None:
    (found,) = scan_header(scan(tmp_path / "a.nii.gz", nib.Nifti2Image, descrip="born 31.01.1970"))
    assert (found.field, found.kind) == ("descrip", "a date that may be of birth")


def test_dicom_tags_in_an_extension_are_found(tmp_path: Path) -> None:
    tags = dicom(PatientName="Roe^Richard", PatientBirthDate="19700131", PatientID="4711", Modality="MR")
    found = scan_header(scan(tmp_path / "a.nii.gz", extensions=(Nifti1Extension(2, tags),)))
    assert [finding.field.rpartition(" ")[2] for finding in found] == ["PatientName", "PatientBirthDate", "PatientID"]
    assert "Roe" not in "".join(map(str, found)) and "1970" not in "".join(map(str, found))


def test_every_extension_is_read_text_too(tmp_path: Path) -> None:
    harmless = Nifti1Extension(2, dicom(Modality="MR"))
    comment = Nifti1Extension(6, b'{"PatientBirthDate": "1970-01-31"}')
    (found,) = scan_header(scan(tmp_path / "a.nii", extensions=(harmless, comment)))
    assert found.field == "extension 2 (code 6)"


def test_a_header_without_a_person_is_silent(tmp_path: Path) -> None:
    harmless = (Nifti1Extension(2, dicom(Modality="MR", PatientName="")), Nifti1Extension(6, b"made by hand"))
    assert scan_header(scan(tmp_path / "a.nii.gz", extensions=harmless, descrip="FSL5.0", db_name="brain")) == []


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [("Patient", "Jane Doe", 1), ("Comment", "DOE^JANE", 1), ("DOB", "1970", 1), ("Software", "Paint Shop", 0)],
)
def test_text_chunks_of_a_png_are_read(key: str, text: str, found: int, tmp_path: Path) -> None:
    chunks = PngInfo()
    chunks.add_text(key, text)
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=chunks)
    assert len(scan_header(tmp_path / "a.png")) == found


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png"])
@pytest.mark.parametrize("content", [b"", b"not a scan" * 99, b"\x1f\x8bbroken" * 9])
def test_what_cannot_be_read_cannot_be_vouched_for(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    (found,) = scan_header(tmp_path / name)
    assert found.kind == "what can't be read"


def test_a_folder_is_looked_through_to_its_bottom(tmp_path: Path) -> None:
    (tmp_path / "heart/imagesTr").mkdir(parents=True)
    guilty = scan(tmp_path / "heart/imagesTr/b_0000.nii.gz", descrip="DOE^JANE")
    scan(tmp_path / "heart/imagesTr/a_0000.nii.gz")
    (tmp_path / "heart/notes.txt").write_text("DOE^JANE")
    assert [finding.path for finding in find_personal_data(tmp_path)] == [guilty]


@pytest.mark.parametrize(
    "text",
    [
        "DOE^JANE",
        "TE=2.9;MÜLLER^ANNA^^",
        "Doe, Jane",
        '{"PatientName": "DOE"}',
        "Patient's Name: D",
        "(0010,0010) PN [x]",
    ],
)
def test_a_name_is_seen_in_any_field(text: str) -> None:
    assert personal_kind(text, name_field=False) == NAME


@pytest.mark.parametrize("text", ["19700131", "1970-01-31", "31.1.1970", "DOB: 70", '"PatientBirthDate": "70"'])
def test_a_date_that_may_be_of_birth_is_seen(text: str) -> None:
    assert personal_kind(text, name_field=False) == BIRTH_DATE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FSL5.0",
        "5.0.10",
        "TE=2.9;Time=105959.000;phase=1",
        "Warped Image",
        "SPM compatible",
        "FreeSurfer stable6",
        "1.2.840.113619.2.19700131",
        '{"PatientName": "", "Modality": "MR"}',
        "spline, order 3",
    ],
)
def test_what_software_writes_is_no_person(text: str) -> None:
    assert personal_kind(text, name_field=False) is None


def test_two_capitalised_words_are_a_name_where_one_is_due() -> None:
    assert personal_kind("Jane Doe", name_field=True) == NAME
    assert personal_kind("Jane Doe", name_field=False) is None


def test_a_masked_value_can_be_recognised_and_not_read() -> None:
    assert masked(" DOE^JANE ") == "D…, 8 characters"
