"""A mask opens in other programs where its scan does: whichever placement they believe."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage
from scipy.spatial.transform import Rotation
from support.scans import intensities, structures, write_nifti

from sss_model.io.volumes import read_pair, read_volume, write_volume

SIDES = (0.8, 1.7, 6.0)


def oblique(*, shear: float = 0.0) -> np.ndarray:
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", [12, -9, 25], degrees=True).as_matrix()
    affine[:3, :3] = turned @ np.diag([-1.0, -1, 1]) @ np.diag(SIDES) + shear * np.eye(3, k=1)
    affine[:3, 3] = -90, 120, -40
    return affine


def scan(path: Path, affine: np.ndarray, *, sform: int, qform: int) -> Path:
    image = nib.Nifti1Image(intensities(0), affine)
    image.set_sform(affine if sform else None, sform)
    image.set_qform(affine if qform else None, qform)
    nib.save(image, path)
    return path


def mask_of(path: Path) -> nib.Nifti1Image:
    volume = read_volume(path)
    target = path.with_name("mask.nii.gz")
    write_volume(volume.like((volume.array > 500).astype(np.int64)), target)
    return nib.load(target)


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 2), (4, 0)])
def test_both_placements_are_there_and_say_the_same(tmp_path: Path, sform: int, qform: int) -> None:
    path = scan(tmp_path / "scan.nii.gz", oblique(), sform=sform, qform=qform)
    mask = mask_of(path)
    code = sform or qform
    assert (int(mask.header["sform_code"]), int(mask.header["qform_code"])) == (code, code)
    np.testing.assert_allclose(mask.get_sform(), oblique(), atol=1e-4)
    np.testing.assert_allclose(mask.get_qform(), oblique(), atol=1e-4)
    assert mask.header.get_zooms() == nib.load(path).header.get_zooms()
    read_pair(path, path.with_name("mask.nii.gz"))


@pytest.mark.parametrize("shear", [0.0, 0.5])
def test_where_both_can_not_say_the_same_the_masks_are_the_scans(tmp_path: Path, shear: float) -> None:
    # As in ACDC, whose affines hold no voxel size; and one that is sheared, which no qform can be.
    affine, sides = (oblique(shear=shear), SIDES) if shear else (np.diag([-1.0, -1, 1, 1]), (1.5, 1.5, 10.0))
    path = write_nifti(tmp_path / "scan.nii.gz", intensities(0), affine=affine, zooms=sides)
    before, after = nib.load(path).header, mask_of(path).header
    for field in ("sform_code", "qform_code", "pixdim", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
        np.testing.assert_array_equal(after[field], before[field])


def test_a_scan_without_a_place_has_a_mask_without_one(tmp_path: Path) -> None:
    header = mask_of(scan(tmp_path / "scan.nii", np.diag([*SIDES, 1.0]), sform=0, qform=0)).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    assert header.get_zooms() == pytest.approx(SIDES)


@pytest.mark.parametrize(("unit", "expected"), [("unknown", "mm"), ("mm", "mm"), ("micron", "micron")])
def test_units_are_millimetres_where_the_scan_tells_none(tmp_path: Path, unit: str, expected: str) -> None:
    image = nib.Nifti1Image(intensities(0), np.eye(4))
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "scan.nii")
    assert mask_of(tmp_path / "scan.nii").header.get_xyzt_units() == (expected, "sec")


def test_a_mask_is_of_classes_in_whole_numbers_and_silent_about_the_person(tmp_path: Path) -> None:
    image = nib.Nifti1Image(intensities(0), np.eye(4))
    image.header["descrip"], image.header["db_name"] = b"DOE^JANE 1961-02-03", b"Jane Doe"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"PatientName=DOE^JANE"))
    nib.save(image, tmp_path / "scan.nii")
    mask = mask_of(tmp_path / "scan.nii")
    assert mask.get_data_dtype() == np.uint8
    assert mask.header.get_intent()[0] == "label"
    assert b"DOE" not in (tmp_path / "mask.nii.gz").read_bytes() + mask.to_bytes()
    assert b"Jane" not in mask.to_bytes()
    np.testing.assert_array_equal(np.asarray(mask.dataobj), nib.load(tmp_path / "scan.nii").get_fdata() > 500)
    # The scan in memory still has what its file has.
    assert len(read_volume(tmp_path / "scan.nii").source.header.extensions) == 1


def test_monai_reads_scan_and_mask_onto_one_grid(tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.nii.gz", oblique(), sform=1, qform=0)
    mask_of(path)
    load = LoadImage(ensure_channel_first=True)
    image, mask = load(path), load(path.with_name("mask.nii.gz"))
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(mask), np.asarray(image) > 500)


def test_a_nifti2_scan_has_a_nifti2_mask(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(structures(0), oblique()), tmp_path / "scan.nii")
    mask = mask_of(tmp_path / "scan.nii")
    assert isinstance(mask, nib.Nifti2Image)
    assert mask.header.get_intent()[0] == "label"
