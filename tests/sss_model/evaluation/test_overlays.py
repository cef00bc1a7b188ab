"""Overlays of the report, and the slices they show."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from support.scans import LABELS, intensities, structures, write_nifti
from support.scores import score

from sss_model.evaluation.overlays import ERROR_COLOURS, choose_slices, draw_overlay, error_masks, telling_slices
from sss_model.io.label_names import CLASS_COLOURS, class_colour
from sss_model.io.volumes import Volume, read_label, read_volume

VOLUME_SHAPE = (40, 30, 5)


def axial(tmp_path, stored: str) -> Volume:
    """A scan stored along the given axes, with one bright voxel at the patient's right and front."""
    array = np.zeros(VOLUME_SHAPE, np.int16)
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


SHAPE = (30, 24, 5)


@pytest.fixture
def scan(tmp_path):
    image = read_volume(write_nifti(tmp_path / "image.nii", intensities(0, SHAPE)))
    truth = np.zeros(SHAPE, np.uint8)
    truth[5:15, 5:20, 1:4] = 1
    truth[15:25, 5:20, 1:4] = 2
    return image, read_label(write_nifti(tmp_path / "label.nii", truth))


def colours(path) -> dict[str, int]:
    """How many pixels of a picture are close to each error colour over black or white."""
    picture = np.asarray(Image.open(path).convert("RGB"), dtype=float) / 255
    # The legend at the bottom shows every colour.
    picture = picture[: int(0.85 * len(picture))]
    blended = {kind: 0.8 * np.array(to_rgb(colour)) for kind, colour in ERROR_COLOURS.items()}
    return {
        kind: int(((picture >= dark - 0.02) & (picture <= dark + 0.22)).all(axis=2).sum())
        for kind, dark in blended.items()
    }


def draw(scan, prediction, path):
    image, truth = scan
    rows = [score("p1_a", name, 0.5) for name in ("RV", "MYO", "LV")]
    draw_overlay(image, truth, truth.like(prediction), LABELS, scores=rows, path=path)
    return colours(path)


def test_errors_are_told_apart_by_kind():
    truth, prediction = np.array([0, 1, 1, 1, 0]), np.array([0, 1, 0, 2, 2])
    masks = error_masks(truth, prediction)
    assert {kind: mask.tolist() for kind, mask in masks.items()} == {
        "missed": [False, False, True, False, False],
        "invented": [False, False, False, False, True],
        "wrong class": [False, False, False, True, False],
    }
    assert list(masks) == list(ERROR_COLOURS)


def test_the_kinds_of_error_are_all_errors_and_never_two_at_once():
    truth, prediction = structures(0), structures(1)
    stacked = np.stack(list(error_masks(truth, prediction).values()))
    assert (stacked.sum(axis=0) == (truth != prediction)).all()


def test_a_perfect_prediction_has_no_error_colour(scan, tmp_path):
    assert max(draw(scan, scan[1].array, tmp_path / "case.png").values()) < 50


@pytest.mark.parametrize(
    ("kind", "change"),
    [("missed", ((1, 0), (2, 0))), ("invented", ((0, 2),)), ("wrong class", ((1, 2),))],
)
def test_an_error_is_drawn_in_the_colour_of_its_kind(scan, tmp_path, kind, change):
    prediction = scan[1].array.copy()
    for before, after in change:
        prediction[scan[1].array == before] = after
    drawn = draw(scan, prediction, tmp_path / "case.png")
    assert drawn[kind] > 5000
    assert drawn[kind] > 5 * max(pixels for other, pixels in drawn.items() if other != kind)


def test_the_error_colours_differ_in_lightness_for_those_who_see_few_colours():
    linear = [np.power(to_rgb(colour), 2.2) for colour in ERROR_COLOURS.values()]
    lightness = sorted(float(np.dot(colour, (0.2126, 0.7152, 0.0722))) for colour in linear)
    assert min(np.divide(lightness[1:], lightness[:-1])) > 1.5


def test_no_class_has_the_colour_of_an_error_and_neighbouring_classes_differ():
    assert not set(CLASS_COLOURS) & set(ERROR_COLOURS.values())
    assert len({class_colour(value) for value in range(1, 9)}) == 8
    assert class_colour(9) == class_colour(1)


def test_the_same_case_gives_the_same_picture_of_a_moderate_size(scan, tmp_path):
    for name in ("one.png", "two.png"):
        draw(scan, np.roll(scan[1].array, 2, axis=0), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    width, height = Image.open(tmp_path / "one.png").size
    assert width == 1080
    assert 300 < height < 700


@pytest.mark.parametrize(("shape", "width"), [((30, 24, 1), 720), ((1, 24, 5), 1080)], ids=["a slice", "a column"])
def test_thin_volumes_can_be_drawn(tmp_path, shape, width):
    image = read_volume(write_nifti(tmp_path / "image.nii", intensities(0, shape)))
    truth = image.like(structures(0, shape))
    rows = [score("p1_a", "RV", None)]
    draw_overlay(image, truth, truth, LABELS, scores=rows, path=tmp_path / "case.png")
    assert Image.open(tmp_path / "case.png").width == width
