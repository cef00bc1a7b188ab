"""Preprocessing: canonical orientation, and what is computed from it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.scans import LABELS, edit, intensities, write_canonical, write_nifti

from sss_model.config import Data, load_config
from sss_model.data.canonical import Assignment, open_dataset, write_dataset
from sss_model.data.preprocessing import image_slices, in_window, label_slices, restore, standardise
from sss_model.errors import InputError
from sss_model.io.volumes import Volume, read_volume, write_volume


@pytest.fixture
def folder(tmp_path):
    return write_canonical(tmp_path / "heart")


def test_a_data_set_lists_its_cases_labels_and_splits(folder):
    dataset = open_dataset(folder)
    assert [files.case for files in dataset.cases][:3] == ["p0_a", "p0_b", "p1_a"]
    assert dataset.cases[0].image == folder / "imagesTr" / "p0_a_0000.nii.gz"
    assert dataset.cases[-1].label == folder / "labelsTs" / "p4_b.nii.gz"
    assert dataset.splits[2] == Assignment("p1_a", "p1", "g1", "train", 1)
    assert dataset.labels == LABELS


def test_what_is_written_is_what_is_read(tmp_path):
    rows = [Assignment("b", "p, the second", "", "train", 0), Assignment("a", "p1", "DCM", "test", None)]
    write_dataset(tmp_path, labels=LABELS, splits=rows, channel="MRI", licence="CC0", citation="Somebody, 2018")
    for part, case in (("Tr", "b"), ("Ts", "a")):
        write_nifti(tmp_path / f"images{part}" / f"{case}_0000.nii.gz", intensities(0))
    dataset = open_dataset(tmp_path)
    assert (dataset.splits, dataset.licence, dataset.citation) == ((rows[1], rows[0]), "CC0", "Somebody, 2018")
    assert [files.label for files in dataset.cases] == [None, None]
    description = json.loads((tmp_path / "dataset.json").read_text())
    assert (description["numTraining"], description["channel_names"]) == (1, {"0": "MRI"})


def test_labels_are_sorted_by_value(folder):
    description = json.loads((folder / "dataset.json").read_text())
    description["labels"] = dict(reversed(LABELS.items()))
    (folder / "dataset.json").write_text(json.dumps(description))
    assert list(open_dataset(folder).labels) == ["background", "RV", "MYO", "LV"]


def test_splits_that_a_spreadsheet_saved_are_read(folder):
    text = (folder / "splits.csv").read_text()
    (folder / "splits.csv").write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert len(open_dataset(folder).splits) == 10


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="an empty folder; expected a data set"):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match="no such folder; expected a data set"):
        open_dataset(tmp_path / "none")


def test_a_folder_without_images_is_refused(folder):
    for path in folder.glob("*/*"):
        path.unlink()
    with pytest.raises(InputError, match=r"no images; expected imagesTr/CASE_0000\.nii\.gz"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["dataset.json", "splits.csv"])
def test_a_missing_description_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('{"channel_names', "{channel_names", "not JSON"),
        ('"file_ending": ".nii.gz"', '"file_ending": ".dcm"', "file_ending is '.dcm'; expected one of .nii.gz"),
        ('{"0": "MRI"}', '{"0": "T1", "1": "T2"}', "expected exactly one channel"),
        ('"LV": 3', '"LV": 4', "expected background 0, then the classes as 1, 2, 3"),
        ('"LV": 3', '"LV": [1, 3]', "expected background 0, then"),
        ('"background"', '"air"', "expected background 0, then"),
    ],
)
def test_an_invalid_description_is_refused(folder, old, new, sentence):
    edit(folder / "dataset.json", old, new)
    with pytest.raises(InputError, match=rf"dataset\.json: .*{sentence}"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,test,", "patient p0 has split train .case p0_a. and test .case p0_b."),
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,train,1", "patient p0 has label_order 0 .case p0_a. and 1"),
        ("p0_b,p0,g0,train,0\n", "", "case p0_b has an image and no row"),
        ("p0_b,", "p9_z,", "case p0_b has an image and no row"),
        ("p0_b,p0", "p0_a,p0", "case p0_a appears twice in splits.csv"),
        ("p4_b,p4,g0,test,", "p4_b,p4,g0,test,\nx,x,,test,", "case x has a row in splits.csv and no image"),
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,training,0", "line 3: case p0_b has split 'training'"),
        ("p0_b,p0,g0,train,0", "p0_b,p0,g0,train,first", "line 3: case p0_b has label_order 'first'"),
        ("p0_b,p0,", "p0_b,,", "line 3: no patient"),
        ("p0_b,p0,g0,train,0", "p0_b,p0", "line 3: case p0_b has split ''"),
        ("patient,", "person,", "no column patient"),
    ],
)
def test_invalid_splits_are_refused(folder, old, new, sentence):
    edit(folder / "splits.csv", old, new)
    with pytest.raises(InputError, match=sentence):
        open_dataset(folder)


def test_a_label_without_an_image_is_refused(folder):
    (folder / "imagesTr" / "p1_a_0000.nii.gz").unlink()
    with pytest.raises(InputError, match=r"p1_a\.nii\.gz: a label without an image"):
        open_dataset(folder)


def test_a_second_channel_is_refused(folder):
    write_nifti(folder / "imagesTr" / "p0_a_0001.nii.gz", intensities(0))
    with pytest.raises(InputError, match=r"p0_a_0001\.nii\.gz: not an image of one channel"):
        open_dataset(folder)


@pytest.fixture(scope="module")
def data() -> Data:
    return load_config(Path("configs/phantom.yaml")).data


def volume_of(array: np.ndarray, spacing: tuple[float, float, float], folder: Path) -> Volume:
    path = folder / "volume.nii"
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)
    return read_volume(path)


def ball(shape: tuple[int, int, int], spacing: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return (x**2 + y**2 + z**2 < radius_mm**2).astype(np.float32)


@given(
    axis=st.integers(0, 2),
    sides=st.tuples(st.integers(50, 130), st.integers(50, 130)),
    mm=st.tuples(st.floats(0.9, 2.2), st.floats(0.9, 2.2)),
)
@settings(max_examples=25, deadline=None)
def test_a_mask_survives_the_way_to_the_network_and_back(
    tmp_path_factory: pytest.TempPathFactory,
    data: Data,
    axis: int,
    sides: tuple[int, int],
    mm: tuple[float, float],
) -> None:
    shape, spacing = list(sides), list(mm)
    shape.insert(axis, 7)
    spacing.insert(axis, 9.0)
    truth = ball(tuple(shape), tuple(spacing), 25)  # type: ignore[arg-type]
    volume = volume_of(truth, tuple(spacing), tmp_path_factory.mktemp("volume"))  # type: ignore[arg-type]
    labels = label_slices(volume, data, data.size, 2)
    assert labels.shape == (7, data.size, data.size)
    back = restore(F.one_hot(torch.from_numpy(labels).long(), 2).permute(0, 3, 1, 2), volume, data)
    assert back.shape == volume.array.shape
    dice = 2 * (back * truth).sum() / (back.sum() + truth.sum())
    assert dice > 0.93


def test_pixels_are_as_large_as_the_recipe_says(tmp_path: Path, data: Data) -> None:
    radius = 30.0
    volume = volume_of(ball((120, 90, 5), (1.1, 1.7, 10.0), radius), (1.1, 1.7, 10.0), tmp_path)
    middle = label_slices(volume, data, data.size, 2)[2]
    area = middle.sum() * data.spacing_mm**2
    assert area == pytest.approx(np.pi * radius**2, rel=0.03)


def test_image_and_label_slices_share_a_grid(tmp_path: Path, data: Data) -> None:
    truth = ball((120, 90, 5), (1.1, 1.7, 10.0), 30.0)
    volume = volume_of(truth, (1.1, 1.7, 10.0), tmp_path)
    images, labels = image_slices(volume, data, data.canvas), label_slices(volume, data, data.canvas, 2)
    assert images.shape == labels.shape == (5, data.canvas, data.canvas)
    assert np.mean((images > images.mean()) == (labels == 1)) > 0.99


def test_what_lies_outside_the_field_of_view_is_background(tmp_path: Path, data: Data) -> None:
    volume = volume_of(np.zeros((300, 300, 3), np.float32), (1.5, 1.5, 9.0), tmp_path)
    everywhere = torch.zeros(3, 2, data.size, data.size)
    everywhere[:, 1] = 1
    mask = restore(everywhere, volume, data)
    assert mask.sum() == 3 * data.size**2
    assert mask[0].sum() == 0


def test_intensities_are_standardised_and_outliers_clipped() -> None:
    array = np.linspace(100, 200, 10_000).reshape(10, 10, 100)
    array[0, 0, 0] = 1e6
    result = standardise(array, (0.5, 99.5))
    assert result.dtype == np.float32
    assert result.mean() == pytest.approx(0, abs=1e-4)
    assert result.std() == pytest.approx(1, abs=1e-4)
    assert result.max() < 2


def test_a_constant_volume_does_not_divide_by_zero() -> None:
    assert np.all(standardise(np.full((2, 3, 4), 7.0), (0.5, 99.5)) == 0)


def test_a_written_mask_lands_on_the_scan(tmp_path: Path, data: Data) -> None:
    truth = ball((120, 90, 5), (1.1, 1.7, 10.0), 30.0)
    scan = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(truth, np.diag([-1.1, -1.7, 10.0, 1.0])), scan)  # stored LPS
    volume = read_volume(scan)
    labels = torch.from_numpy(label_slices(volume, data, data.size, 2)).long()
    mask = restore(F.one_hot(labels, 2).permute(0, 3, 1, 2), volume, data)
    write_volume(volume.like(mask), tmp_path / "mask.nii.gz")
    stored = np.asarray(nib.load(tmp_path / "mask.nii.gz").dataobj)
    assert 2 * (stored * truth).sum() / (stored.sum() + truth.sum()) > 0.97


def test_a_window_maps_hounsfield_units_alike_in_every_scan() -> None:
    scan = np.array([-1000.0, 0, 40, 80, 3000])
    assert in_window(scan, (0, 80)).tolist() == [-2, -2, 0, 2, 2]
    assert in_window(scan[1:3], (0, 80)).tolist() == [-2, 0]


def test_a_recipe_with_a_window_looks_through_it(tmp_path: Path, data: Data) -> None:
    scan = np.full((96, 96, 3), -1000, np.float32)
    scan[10:-10, 10:-10] = 40
    scan[30:40, 30:40] = 900  # bone, far outside the window
    brain = data.model_copy(update={"window": (0, 80)})
    slices = image_slices(volume_of(scan, (2.0, 2.0, 9.0), tmp_path), brain, 128)
    assert (slices.min(), slices.max()) == (-2, 2)
    assert np.median(slices) == 0


def test_colour_fills_the_three_channels_in_order(tmp_path: Path, data: Data) -> None:
    picture = np.zeros((60, 90, 3), np.uint8)
    picture[:, :45, 0], picture[:, 45:, 2] = 200, 200  # red on the left, blue on the right
    Image.fromarray(picture).save(tmp_path / "eye.png")
    config = data.model_copy(update={"colour": True, "spacing_mm": 1.0})
    volume = read_volume(tmp_path / "eye.png")
    slices = image_slices(volume, config, 128)
    assert slices.shape == (1, 3, 128, 128)
    red, _, blue = slices[0]  # (X, Y), X growing to the patient's right, which is the picture's left
    assert red[90, 64] > red[40, 64]
    assert blue[90, 64] < blue[40, 64]


def test_a_grey_scan_fills_all_three_channels_of_a_colour_recipe(tmp_path: Path, data: Data) -> None:
    volume = volume_of(ball((60, 60, 3), (1.5, 1.5, 9.0), 20.0), (1.5, 1.5, 9.0), tmp_path)
    slices = image_slices(volume, data.model_copy(update={"colour": True}), 64)
    assert slices.shape == (3, 3, 64, 64)
    assert np.array_equal(slices[:, 0], slices[:, 2])
    assert np.allclose(slices[:, 0], image_slices(volume, data, 64), atol=1e-5)
