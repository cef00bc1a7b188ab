"""ACDC as SSL4MIS's .h5 volumes."""

from __future__ import annotations

import h5py
import nibabel as nib
import numpy as np
import pytest
from support.samples import blobs, write_ssl4mis

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.layouts.acdc import inventory
from sss_model.errors import InputError


@pytest.fixture
def source(tmp_path):
    return write_ssl4mis(tmp_path / "ACDC")


def test_volumes_are_written_as_the_challenge_stores_them_and_slices_left_out(source, tmp_path):
    import_dataset("acdc", source, tmp_path / "acdc")
    dataset = open_dataset(tmp_path / "acdc")
    assert len(dataset.cases) == 8
    label = nib.load(tmp_path / "acdc" / "labelsTs" / "patient001_frame12.nii.gz")
    assert np.array_equal(np.asarray(label.dataobj), blobs(13, (32, 24, 5), 3))
    assert nib.aff2axcodes(label.affine) == ("L", "P", "S")
    image = nib.load(tmp_path / "acdc" / "imagesTs" / "patient001_frame12_0000.nii.gz")
    assert image.get_data_dtype() == np.float32
    assert image.header.get_zooms() == (1.5, 1.5, 10.0)


def test_lists_beside_the_volumes_are_the_splits(source, tmp_path):
    import_dataset("acdc", source, tmp_path / "acdc")
    rows = {row.patient: (row.split, row.label_order) for row in open_dataset(tmp_path / "acdc").splits}
    assert (rows["patient001"], rows["patient002"]) == (("test", None), ("val", None))
    assert (rows["patient003"], rows["patient004"]) == (("train", 0), ("train", 1))


def test_the_voxel_size_is_said_to_be_assumed_and_can_be_told(source, tmp_path):
    assert "1.5,1.5,10 mm is assumed" in str(import_dataset("acdc", source, tmp_path / "acdc"))
    import_dataset("acdc", source, tmp_path / "told", spacing="1.4,1.4,5")
    image = nib.load(tmp_path / "told" / "imagesTs" / "patient001_frame12_0000.nii.gz")
    assert image.header.get_zooms() == pytest.approx((1.4, 1.4, 5.0))


@pytest.mark.parametrize(("spacing", "found"), [("1,2,0", "three positive"), ("a,b,c", "three numbers")])
def test_a_wrong_voxel_size_is_refused(source, spacing, found):
    with pytest.raises(InputError, match=found):
        inventory(source, spacing=spacing)


def test_a_damaged_file_and_one_without_a_label_are_named(source, tmp_path):
    path = source / "data" / "patient002_frame01.h5"
    with h5py.File(path, "a") as file:
        del file["label"]
    with pytest.raises(InputError, match=r"case patient002_frame01: .*01\.h5: .*expected SSL4MIS's image and label"):
        import_dataset("acdc", source, tmp_path / "acdc")
    path.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"frame01\.h5: not a readable HDF5 file"):
        import_dataset("acdc", source, tmp_path / "acdc")
    assert not (tmp_path / "acdc").exists()
