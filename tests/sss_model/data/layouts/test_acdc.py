"""ACDC: the challenge's own tree, and SSL4MIS's .h5 volumes."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from support.samples import blobs, write_ssl4mis
from support.scans import LABELS, write_acdc

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.layouts.acdc import inventory
from sss_model.data.manifest import build_manifest
from sss_model.data.splits import listed_splits
from sss_model.errors import InputError

PATIENTS = {"patient001": "DCM", "patient002": "NOR", "patient090": "MINF"}
needs_acdc = pytest.mark.skipif("ACDC_DIR" not in os.environ, reason="ACDC_DIR does not say where ACDC lies")


@pytest.fixture
def source(tmp_path):
    return write_acdc(tmp_path / "training", PATIENTS)


@pytest.fixture
def acdc() -> Path:
    return Path(os.environ["ACDC_DIR"])


def test_frames_keep_their_official_names_and_patients_their_groups(source):
    found = inventory(source)
    assert [(scan.case, scan.patient, scan.group) for scan in found.scans][1:3] == [
        ("patient001_frame12", "patient001", "DCM"),
        ("patient002_frame01", "patient002", "NOR"),
    ]
    assert found.scans[1].label == source / "patient001" / "patient001_frame12_gt.nii.gz"
    assert (found.labels, found.licence[:9]) == (LABELS, "CC BY-NC-")


def test_cines_are_left_out(source):
    (source / "patient001" / "patient001_4d.nii.gz").write_bytes(b"four dimensions")
    assert len(inventory(source).scans) == 6


def test_the_official_test_patients_stay_test_patients(tmp_path, source):
    write_acdc(tmp_path / "testing", {"patient101": "RV"})
    import_dataset("acdc", tmp_path, tmp_path / "acdc")
    splits = {row.patient: row.split for row in open_dataset(tmp_path / "acdc").splits}
    assert [name for name, split in splits.items() if split == "test"] == ["patient101"]


def test_linked_patient_folders_are_followed(tmp_path, source):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "patient001").symlink_to(source / "patient001")
    assert len(inventory(tmp_path / "some").scans) == 2


@pytest.mark.parametrize("missing", ["patient002_frame01.nii.gz", "patient002_frame01_gt.nii.gz"])
def test_an_image_or_a_label_alone_is_refused(source, missing):
    (source / "patient002" / missing).unlink()
    with pytest.raises(InputError, match=f"patient002: no {missing}"):
        inventory(source)


def test_a_patient_without_frames_or_group_is_refused(source):
    (source / "patient002" / "Info.cfg").write_text("ED: 1\n")
    with pytest.raises(InputError, match=r"patient002/Info\.cfg: no group"):
        inventory(source)
    for path in (source / "patient001").glob("*.nii.gz"):
        path.unlink()
    with pytest.raises(InputError, match="patient001: no frames"):
        inventory(source)


def test_a_folder_without_patients_is_refused(tmp_path):
    with pytest.raises(InputError, match="no patient folder; expected ACDC's"):
        inventory(tmp_path)


@needs_acdc
def test_the_published_lists_label_three_and_seven_patients_first(acdc):
    places = listed_splits(acdc / "splits")
    sides = [place.split for place in places.values()]
    assert [sides.count(split) for split in ("train", "val", "test")] == [70, 10, 20]
    queue = sorted((place.label_order, name) for name, place in places.items() if place.split == "train")
    slices = (acdc / "splits" / "ssl4mis_train_slices.list").read_text().split()
    for patients, count in ((3, 68), (7, 136), (14, 256)):
        assert {name for _, name in queue[:patients]} == {line.split("_")[0] for line in slices[:count]}


@needs_acdc
def test_the_whole_of_acdc_is_listed(acdc):
    scans = inventory(acdc / "training").scans
    assert (len(scans), len({scan.patient for scan in scans}), {scan.group for scan in scans}) == (
        200, 100, {"DCM", "HCM", "MINF", "NOR", "RV"}
    )  # fmt: skip


@needs_acdc
def test_real_patients_are_copied_byte_for_byte_with_their_spacing_from_the_zooms(acdc, tmp_path):
    names = ("patient001", "patient038", "patient090")
    for name in names:
        (tmp_path / "few").mkdir(exist_ok=True)
        (tmp_path / "few" / name).symlink_to((acdc / "training" / name).resolve())
    rows = [f"{scan.case},{scan.patient},{scan.group}" for scan in inventory(tmp_path / "few").scans]
    sides = {"patient001": "test,", "patient038": "train,0", "patient090": "val,"}
    text = ["case,patient,group,split,label_order", *(f"{row},{sides[row.split(',')[1]]}" for row in rows)]
    (tmp_path / "splits.csv").write_text("\n".join(text))
    import_dataset("acdc", tmp_path / "few", tmp_path / "acdc", splits=tmp_path / "splits.csv")

    official = acdc / "training" / "patient001" / "patient001_frame12.nii.gz"
    copy = tmp_path / "acdc" / "imagesTs" / "patient001_frame12_0000.nii.gz"
    assert copy.read_bytes() == official.read_bytes()
    assert [row["case"] for row in csv.DictReader((tmp_path / "acdc" / "splits.csv").open())][
        -1
    ] == "patient090_frame11"

    case = build_manifest(tmp_path / "acdc").cases[1]
    image = nib.load(official)
    assert np.abs(image.affine[:3, :3]).max() == 1
    assert case.spacing_mm == pytest.approx(image.header.get_zooms())
    assert (case.shape, case.orientation, case.slices, min(case.voxels.values()) > 0) == (image.shape, "LPS", 10, True)


@pytest.fixture
def volumes(tmp_path):
    return write_ssl4mis(tmp_path / "ACDC")


def test_volumes_are_written_as_the_challenge_stores_them_and_slices_left_out(volumes, tmp_path):
    import_dataset("acdc", volumes, tmp_path / "acdc")
    dataset = open_dataset(tmp_path / "acdc")
    assert len(dataset.cases) == 8
    label = nib.load(tmp_path / "acdc" / "labelsTs" / "patient001_frame12.nii.gz")
    assert np.array_equal(np.asarray(label.dataobj), blobs(13, (32, 24, 5), 3))
    assert nib.aff2axcodes(label.affine) == ("L", "P", "S")
    image = nib.load(tmp_path / "acdc" / "imagesTs" / "patient001_frame12_0000.nii.gz")
    assert image.get_data_dtype() == np.float32
    assert image.header.get_zooms() == (1.5, 1.5, 10.0)


def test_lists_beside_the_volumes_are_the_splits(volumes, tmp_path):
    import_dataset("acdc", volumes, tmp_path / "acdc")
    rows = {row.patient: (row.split, row.label_order) for row in open_dataset(tmp_path / "acdc").splits}
    assert (rows["patient001"], rows["patient002"]) == (("test", None), ("val", None))
    assert (rows["patient003"], rows["patient004"]) == (("train", 0), ("train", 1))


def test_the_voxel_size_is_said_to_be_assumed_and_can_be_told(volumes, tmp_path):
    assert "1.5,1.5,10 mm is assumed" in str(import_dataset("acdc", volumes, tmp_path / "acdc"))
    import_dataset("acdc", volumes, tmp_path / "told", spacing="1.4,1.4,5")
    image = nib.load(tmp_path / "told" / "imagesTs" / "patient001_frame12_0000.nii.gz")
    assert image.header.get_zooms() == pytest.approx((1.4, 1.4, 5.0))


@pytest.mark.parametrize(("spacing", "found"), [("1,2,0", "three positive"), ("a,b,c", "three numbers")])
def test_a_wrong_voxel_size_is_refused(volumes, spacing, found):
    with pytest.raises(InputError, match=found):
        inventory(volumes, spacing=spacing)


def test_a_damaged_file_and_one_without_a_label_are_named(volumes, tmp_path):
    path = volumes / "data" / "patient002_frame01.h5"
    with h5py.File(path, "a") as file:
        del file["label"]
    with pytest.raises(InputError, match=r"case patient002_frame01: .*01\.h5: .*expected SSL4MIS's image and label"):
        import_dataset("acdc", volumes, tmp_path / "acdc")
    path.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"frame01\.h5: not a readable HDF5 file"):
        import_dataset("acdc", volumes, tmp_path / "acdc")
    assert not (tmp_path / "acdc").exists()
