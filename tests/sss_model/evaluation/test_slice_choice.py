from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from support.scans import write_nifti

from sss_model.evaluation.overlays import choose_slices, telling_slices
from sss_model.io.volumes import Volume, read_volume

SHAPE = (40, 30, 5)


def axial(tmp_path, stored: str) -> Volume:
    """A scan stored along the given axes, with one bright voxel at the patient's right and front."""
    array = np.zeros(SHAPE, np.int16)
    array[-1, -1, :] = 1000
    image = nib.Nifti1Image(array, np.diag([1.0, 1, 1, 1]))
    turned = image.as_reoriented(nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(stored)
    ))  # fmt: skip
    zooms = {"R": 1.5, "L": 1.5, "A": 1.0, "P": 1.0, "S": 8.0, "I": 8.0}
    path = write_nifti(
        tmp_path / "scan.nii", np.asarray(turned.dataobj), affine=turned.affine, zooms=[zooms[axis] for axis in stored]
    )
    return read_volume(path)


def mask(volume: Volume, *boxes: tuple[slice, slice, slice]) -> Volume:
    array = np.zeros(volume.array.shape, np.uint8)
    for box in boxes:
        array[box] = 1
    return volume.like(array)


@pytest.mark.parametrize("stored", ["RAS", "LPS", "SAR"])
def test_the_patient_s_right_is_on_the_left_and_the_front_on_top(tmp_path, stored):
    volume = axial(tmp_path, stored)
    nothing = mask(volume)
    (plane,) = choose_slices(volume, nothing, nothing)
    assert plane.image.shape == (30, 40)
    assert np.argwhere(plane.image == 1000).tolist() == [[0, 0]]


def test_a_sagittal_stack_shows_the_front_on_the_left_and_the_head_on_top(tmp_path):
    array = np.zeros((5, 30, 40), np.int16)
    array[:, -1, -1] = 1000
    volume = read_volume(write_nifti(tmp_path / "scan.nii", array, affine=np.eye(4), zooms=(8, 1, 2)))
    nothing = mask(volume)
    (plane,) = choose_slices(volume, nothing, nothing)
    assert plane.image.shape == (40, 30)
    assert np.argwhere(plane.image == 1000).tolist() == [[0, 0]]
    assert plane.aspect == 2


def test_pixels_keep_the_proportions_of_the_spacing(tmp_path):
    volume = axial(tmp_path, "LPS")
    nothing = mask(volume)
    assert choose_slices(volume, nothing, nothing)[0].aspect == pytest.approx(1 / 1.5)


def test_every_slice_is_cut_to_the_box_of_all_structures_with_a_margin(tmp_path):
    volume = axial(tmp_path, "RAS")
    truth = mask(volume, np.s_[20:22, 14:16, 1:3])
    planes = choose_slices(volume, truth, mask(volume, np.s_[20:24, 14:16, 2:4]))
    # 15 mm are 10 voxels of 1.5 mm across and 15 of 1 mm down, of which the scan has 14 on two sides.
    assert {plane.truth.shape for plane in planes} == {(30, 24)}
    assert planes[0].truth[::-1, ::-1].T[10:12, 14:16].all()
    assert planes[0].truth.sum() == 4


def test_the_largest_the_most_wrong_and_the_worst_slice_are_chosen():
    truth, prediction = np.zeros((6, 10, 10), int), np.zeros((6, 10, 10), int)
    truth[1] = prediction[1] = 1
    truth[3, :6] = prediction[3, 2:6] = 1
    truth[5, 0, 0] = 1
    assert telling_slices(truth, prediction) == {1: ["largest"], 3: ["most errors"], 5: ["lowest overlap"]}


def test_where_reasons_coincide_other_slices_with_structures_fill_up():
    truth, prediction = np.zeros((6, 10, 10), int), np.zeros((6, 10, 10), int)
    truth[1] = 1
    truth[2, :5] = prediction[2, :4] = 1
    truth[3, :2] = prediction[3, :2] = 1
    assert telling_slices(truth, prediction) == {1: ["largest", "most errors", "lowest overlap"], 2: [], 3: []}


def test_a_perfect_prediction_shows_no_slice_as_wrong():
    truth = np.zeros((4, 10, 10), int)
    truth[1:3, :5] = 1
    assert telling_slices(truth, truth) == {1: ["largest"], 2: []}


def test_a_case_with_nothing_in_it_shows_its_middle():
    nothing = np.zeros((7, 4, 4), int)
    assert list(telling_slices(nothing, nothing)) == [3]


def test_a_2d_image_is_its_only_slice():
    assert telling_slices(np.ones((1, 4, 4), int), np.zeros((1, 4, 4), int)) == {0: []}
