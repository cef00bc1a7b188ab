"""DICOM series into NIfTI: the right place, the right values, and sentences for what can't be a volume."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
from support.samples import oblique, write_dicom, write_series

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.layouts.dicom import inventory, read_series
from sss_model.errors import InputError
from sss_model.io.volumes import read_volume

SHAPE = (7, 5, 4)


@pytest.fixture
def voxels():
    """Even numbers, which survive a slope of 2."""
    return (2 * np.arange(np.prod(SHAPE)) - 100).reshape(SHAPE).astype(np.int16)


@pytest.fixture
def series(tmp_path, voxels):
    return write_series(tmp_path / "series", voxels, oblique(), patient="P1", number=3)


def test_voxels_come_back_in_place_rescaled_and_in_order(series, voxels):
    array, affine = read_series(series)
    assert np.array_equal(array, voxels)
    assert array.dtype == np.int16
    assert np.allclose(affine, np.diag([-1, -1, 1, 1]) @ oblique(), atol=1e-6)


def test_a_point_of_the_patient_stays_where_it_was(series, tmp_path):
    """Each slice's first pixel lies where DICOM says, in RAS instead of LPS."""
    import_dataset("dicom", series[0].parent, tmp_path / "out")
    volume = nib.load(tmp_path / "out" / "imagesTr" / "P1_3_0000.nii.gz")
    for path in series:
        one = pydicom.dcmread(path)
        x, y, z = (float(value) for value in one.ImagePositionPatient)
        found = np.linalg.inv(volume.affine) @ [-x, -y, z, 1]
        assert np.allclose(found[:2], 0, atol=1e-3)
        stored = np.asarray(volume.dataobj)[:, :, round(found[2])]
        assert np.array_equal(stored, one.pixel_array.T.astype(int) * 2 - 1024)


def test_the_voxel_size_follows_rows_and_columns(series, tmp_path):
    import_dataset("dicom", series[0].parent, tmp_path / "out")
    assert read_volume(tmp_path / "out" / "imagesTr" / "P1_3_0000.nii.gz").source.spacing == (0.5, 0.75, 3.0)


def test_slices_that_run_downwards_are_turned_by_the_affine(tmp_path, voxels):
    downwards = oblique() @ np.diag([1.0, 1, -1, 1])
    array, affine = read_series(write_series(tmp_path / "down", voxels, downwards, patient="P1", number=1))
    assert np.array_equal(array, voxels[..., ::-1])
    for z in range(SHAPE[2]):
        wanted = np.diag([-1, -1, 1, 1]) @ downwards @ [0, 0, SHAPE[2] - 1 - z, 1]
        assert np.allclose(affine @ [0, 0, z, 1], wanted, atol=1e-6)


def test_fractions_are_kept_as_floating_point_numbers(series, voxels):
    for path in series:
        change(path, RescaleSlope="0.5", RescaleIntercept="0.25")
    array, _ = read_series(series)
    assert array.dtype == np.float32
    assert np.allclose(array, (voxels.astype(float) + 1024) / 2 * 0.5 + 0.25)


def change(path, **values) -> None:
    one = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(one, name, value)
    one.save_as(path)


def by_place(series):
    return sorted(series, key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))


def missing(series):
    by_place(series)[1].unlink()


def doubled(series):
    first, second, *_ = by_place(series)
    change(second, ImagePositionPatient=pydicom.dcmread(first).ImagePositionPatient)


def turned(series):
    change(by_place(series)[2], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])


def other_spacing(series):
    change(by_place(series)[2], PixelSpacing=[1.0, 1.0])


def other_size(series):
    change(by_place(series)[2], Columns=5, Rows=7)


def nowhere(series):
    one = pydicom.dcmread(series[0])
    del one.ImagePositionPatient
    one.save_as(series[0])


def frames(series):
    change(series[0], NumberOfFrames=3)


def short(series):
    one = pydicom.dcmread(series[0])
    one.PixelData = one.PixelData[:10]
    one.save_as(series[0])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (missing, "6 mm away, where 3 mm is usual; expected no gap: a slice is missing"),
        (doubled, "expected one slice a place: a mixed series"),
        (turned, r"ImageOrientationPatient .*a mixed series"),
        (other_spacing, r"PixelSpacing .*a mixed series"),
        (other_size, r"\dx\d pixels; expected \dx\d as in"),
        (nowhere, "no ImagePositionPatient; expected slices that say where they lie"),
        (frames, "3 frames in one file; expected a file a slice"),
        (short, "its pixels can't be read"),
    ],
)
def test_a_series_that_is_no_volume_is_refused_and_nothing_is_written(tmp_path, damage, sentence):
    series = write_series(tmp_path / "series", np.zeros((7, 5, 6), np.int16), oblique(), patient="P1", number=3)
    damage(series)
    with pytest.raises(InputError, match=rf"case P1_3: .*IM0.*{sentence}"):
        import_dataset("dicom", tmp_path / "series", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_series_is_a_case_and_other_files_are_passed_over(tmp_path, voxels):
    write_series(tmp_path / "all" / "a", voxels, oblique(), patient="P 1", number=3)
    write_series(tmp_path / "all" / "b", voxels, oblique(), patient="P 1", number=4)
    write_series(tmp_path / "all" / "c", voxels, oblique(), patient="P2", number=3)
    (tmp_path / "all" / "DICOMDIR.txt").write_text("not a scan")
    found = inventory(tmp_path / "all")
    assert [(scan.case, scan.patient) for scan in found.scans] == [("P-1_3", "P-1"), ("P-1_4", "P-1"), ("P2_3", "P2")]
    assert found.channel == "CT"


def test_series_of_one_number_are_called_by_their_uid(tmp_path, voxels):
    for name in "ab":
        write_series(tmp_path / "all" / name, voxels, oblique(), patient="P1", number=3)
    cases = [scan.case for scan in inventory(tmp_path / "all").scans]
    assert len(set(cases)) == 2
    assert all(case.startswith("P1_1.2.826.") for case in cases)


def test_masks_that_were_drawn_are_the_labels(tmp_path):
    source = write_dicom(tmp_path / "clinic")
    import_dataset("dicom", source / "export", tmp_path / "out", masks=source / "drawn", labels="tumour")
    dataset = open_dataset(tmp_path / "out")
    assert [files.case for files in dataset.cases if files.label is None] == ["P4_3"]
    assert dataset.labels == {"background": 0, "tumour": 1}


def test_a_mask_of_no_series_and_one_on_another_grid_are_refused(tmp_path):
    source = write_dicom(tmp_path / "clinic")
    shifted = nib.load(source / "drawn" / "P1_3.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(shifted.dataobj), shifted.affine + 1), source / "drawn" / "P1_3.nii.gz")
    with pytest.raises(InputError, match=r"case P1_3: .*drawn/P1_3\.nii\.gz: .*expected that of its image"):
        import_dataset("dicom", source / "export", tmp_path / "out", masks=source / "drawn")
    (source / "drawn" / "P1_3.nii.gz").rename(source / "drawn" / "P9_3.nii.gz")
    with pytest.raises(InputError, match=r"P9_3\.nii\.gz: a mask of no series; expected one of P1_3, P2_3"):
        inventory(source / "export", masks=source / "drawn")


def test_no_patient_two_modalities_or_no_series_are_refused(tmp_path, voxels):
    with pytest.raises(InputError, match="no DICOM images; expected a folder of series"):
        inventory(tmp_path)
    write_series(tmp_path / "all" / "a", voxels, oblique(), patient="P1", number=3)
    write_series(tmp_path / "all" / "b", voxels, oblique(), patient="P2", number=3, modality="MR")
    with pytest.raises(InputError, match="series of CT and MR; expected one modality"):
        inventory(tmp_path / "all")
    write_series(tmp_path / "all" / "b", voxels, oblique(), patient="", number=3)
    with pytest.raises(InputError, match="no patient id; expected one"):
        inventory(tmp_path / "all")


def test_a_series_without_a_modality_is_an_image(series):
    for path in series:
        one = pydicom.dcmread(path)
        del one.Modality
        one.save_as(path)
    assert inventory(series[0].parent).channel == "image"
