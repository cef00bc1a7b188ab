from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from support.scans import LABELS, intensities, structures, write_nifti
from support.scores import score

from sss_model.evaluation.overlays import ERROR_COLOURS, draw_overlay, error_masks
from sss_model.io.label_names import CLASS_COLOURS, class_colour
from sss_model.io.volumes import read_label, read_volume

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
