"""BTCV: the challenge's volumes, and Medical-SAM2's slices."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from support.samples import blobs, write_btcv, write_btcv_slices

from sss_model.data.canonical import open_dataset
from sss_model.data.importing import import_dataset
from sss_model.data.layouts.btcv import LABELS, inventory
from sss_model.errors import InputError
from sss_model.io.volumes import read_label, read_volume


@pytest.fixture
def volumes(tmp_path):
    return write_btcv(tmp_path / "volumes", shape=(40, 40, 4))


@pytest.fixture
def slices(tmp_path):
    return write_btcv_slices(tmp_path / "slices")


def test_there_are_thirteen_organs():
    assert len(LABELS) == 14
    assert (LABELS["spleen"], LABELS["liver"], LABELS["pancreas"], LABELS["left_adrenal_gland"]) == (1, 6, 11, 13)


def test_the_challenges_test_scans_become_unlabelled_training_scans(volumes, tmp_path):
    summary = import_dataset("btcv", volumes, tmp_path / "btcv")
    dataset = open_dataset(tmp_path / "btcv")
    assert [files.case for files in dataset.cases if files.label is None] == ["img0061"]
    assert [row.split for row in dataset.splits if row.case == "img0061"] == ["train"]
    assert "the challenge's test scans, become unlabelled training scans: 1." in str(summary)


def test_volumes_are_copied_byte_for_byte(volumes, tmp_path):
    import_dataset("btcv", volumes, tmp_path / "btcv")
    (copy,) = (tmp_path / "btcv").glob("images*/img0002_0000.nii.gz")
    assert copy.read_bytes() == (volumes / "RawData/Training/img/img0002.nii.gz").read_bytes()


def test_slices_are_stacked_in_the_order_of_their_numbers(slices, tmp_path):
    import_dataset("btcv", slices, tmp_path / "btcv")
    label = nib.load(tmp_path / "btcv" / "labelsTs" / "img0035.nii.gz")
    assert np.array_equal(np.asarray(label.dataobj), blobs(35, (64, 48, 5), 13))
    image = read_volume(tmp_path / "btcv" / "imagesTs" / "img0035_0000.nii.gz")
    assert image.array.shape == (64, 48, 5)
    assert image.source.orientation == "LPS"


def test_more_than_ten_slices_are_not_sorted_as_text(tmp_path):
    source = write_btcv_slices(tmp_path / "slices", shape=(24, 24, 12))
    for number in range(12):
        path = source / "Test" / "mask" / "img0035" / f"{number}.npy"
        np.save(path, np.full((24, 24), number, np.int64))
    import_dataset("btcv", source, tmp_path / "btcv")
    label = read_label(tmp_path / "btcv" / "labelsTs" / "img0035.nii.gz")
    assert label.array[0, 0].tolist() == list(range(12))


def test_medical_sam2s_test_cases_are_the_test_set(slices, tmp_path):
    import_dataset("btcv", slices, tmp_path / "btcv")
    assert {row.case for row in open_dataset(tmp_path / "btcv").splits if row.split == "test"} == {"img0035"}


def test_the_voxel_size_of_slices_can_be_told_and_is_said_to_be_assumed(slices, tmp_path):
    summary = import_dataset("btcv", slices, tmp_path / "btcv", spacing="0.8,0.9,5")
    image = nib.load(tmp_path / "btcv" / "imagesTs" / "img0035_0000.nii.gz")
    assert image.header.get_zooms() == pytest.approx((0.8, 0.9, 5.0))
    assert "0.8,0.9,5 mm is assumed" in str(summary)
    with pytest.raises(InputError, match="spacing: found '1,2'; expected three numbers in mm"):
        inventory(slices, spacing="1,2")


def drop(slices):
    (slices / "Training" / "image" / "img0001" / "2.jpg").unlink()


def resize(slices):
    Image.new("RGB", (10, 10)).save(slices / "Training" / "image" / "img0001" / "2.jpg")


def drop_mask(slices):
    (slices / "Training" / "mask" / "img0001" / "4.npy").unlink()


def pickle(slices):
    np.save(slices / "Training" / "mask" / "img0001" / "2.npy", np.array([{}]), allow_pickle=True)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (drop, r"img0001: no 2\.jpg; expected slices numbered from 0 without a gap"),
        (resize, r"slices of \(10, 10\) and \(48, 64\); expected one size"),
        (drop_mask, r"masks of \(64, 48, 4\); expected \(64, 48, 5\), as its slices have"),
        (pickle, r"2\.npy: not a readable NumPy file"),
    ],
)
def test_a_damaged_case_is_named(slices, tmp_path, damage, sentence):
    damage(slices)
    with pytest.raises(InputError, match=f"case img0001: .*{sentence}"):
        import_dataset("btcv", slices, tmp_path / "btcv")
    assert not (tmp_path / "btcv").exists()


def test_a_label_without_an_image_and_a_folder_of_something_else_are_refused(volumes, tmp_path):
    (volumes / "RawData/Training/img/img0003.nii.gz").unlink()
    with pytest.raises(InputError, match=r"label0003\.nii\.gz: a label without an image; expected img0003"):
        inventory(volumes)
    with pytest.raises(InputError, match="no scans; expected BTCV's Training/img"):
        inventory(tmp_path / "nothing")
