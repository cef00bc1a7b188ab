from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import zoom
from support.scans import LABELS, intensities, structures, write_canonical, write_nifti

from sss_model.data.canonical import open_dataset
from sss_model.data.manifest import build_manifest
from sss_model.data.screening import (
    THUMBNAIL_SHAPE,
    measure_alignment,
    measure_case,
    measure_cases,
    measure_intensities,
    measure_structures,
    most_similar,
    thumbnail,
)
from sss_model.io.volumes import read_label, read_pair, read_volume


@pytest.fixture
def folder(tmp_path):
    return write_canonical(tmp_path / "heart", ("train", "val"), unlabelled=("p1",))


@pytest.fixture
def cases(folder):
    return build_manifest(folder).cases


def test_sound_files_are_measured_in_the_manifests_order(folder):
    first, _, third, _ = measure_cases(build_manifest(folder), folder)
    assert not first.image.changed and not first.label.changed
    assert first.voxels == dict.fromkeys(range(4), 48)
    assert [structure.name for structure in first.structures] == ["RV", "MYO", "LV"]
    assert first.alignment is not None and first.intensities.distinct
    assert third.label is None and third.voxels is None and third.alignment is None
    assert third.intensities is not None


def test_files_that_went_or_changed_are_facts(folder, cases):
    (folder / cases[0].label).unlink()
    write_nifti(folder / cases[0].image, intensities(99))
    facts = measure_case(cases[0], folder, LABELS)
    assert facts.image.changed and facts.label.missing
    assert facts.intensities is not None and facts.voxels is None


def test_a_file_that_cannot_be_read_has_a_sentence(folder, cases):
    (folder / cases[0].image).write_bytes(gzip.compress(b"nothing"))
    facts = measure_case(cases[0], folder, LABELS)
    assert "not a NIfTI file" in facts.image.unreadable
    assert facts.image.not_finite is None and facts.intensities is None and facts.voxels is not None


def test_nan_is_told_from_what_cannot_be_read(folder, cases):
    array = intensities(0).astype(np.float32)
    array[0, 0, 0] = np.nan
    write_nifti(folder / cases[0].image, array)
    facts = measure_case(cases[0], folder, LABELS)
    assert "1 of 192 voxels are NaN" in facts.image.not_finite
    assert facts.image.unreadable is None


def test_a_label_of_another_shape_is_measured_and_not_laid_on_its_image(folder, cases):
    write_nifti(folder / cases[0].label, structures(0, (8, 6, 3)))
    facts = measure_case(cases[0], folder, LABELS)
    assert facts.label.grid.shape == (8, 6, 3)
    assert facts.structures and facts.alignment is None


@pytest.fixture
def measured(tmp_path):
    return lambda array: measure_intensities(read_volume(write_nifti(tmp_path / "scan.nii", array)))


def test_percentiles_leave_out_the_last_per_cent(measured):
    array = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    array[0, 0, 0], array[9, 9, 9] = -9000, 9000
    found = measured(array)
    assert (found.low, found.high) == (9, 989)
    assert found.distinct and found.blank_slices == 0


def test_a_value_that_most_voxels_have_is_their_share(measured):
    array = np.random.default_rng(0).integers(1, 1000, (10, 10, 10)).astype(np.int16)
    array[:, :, :7] = 0
    found = measured(array)
    assert found.flat_share == pytest.approx(0.7)
    assert found.blank_slices == 7


def test_one_tone_is_not_distinct(measured):
    found = measured(np.full((4, 4, 4), 7, np.int16))
    assert not found.distinct and found.low == found.high == 7


CLASSES = {"background": 0, "RV": 1, "LV": 2}


@pytest.fixture
def label_map(tmp_path):
    def write(array):
        return read_label(write_nifti(tmp_path / "label.nii", array, zooms=(1.0, 2.0, 10.0)))

    return write


def test_a_structure_has_its_volume_and_one_part(label_map):
    array = np.zeros((20, 20, 5), np.uint8)
    array[4:8, 4:9, 1:3] = 1
    (found,) = measure_structures(label_map(array), CLASSES)
    assert (found.name, found.parts, found.gap_mm) == ("RV", 1, 0)
    assert found.millilitres == pytest.approx(4 * 5 * 2 * 20 / 1000)


def test_gaps_are_millimetres_between_boxes_whichever_way(label_map):
    array = np.zeros((20, 20, 5), np.uint8)
    array[2:8, 2:8, 1] = 2
    array[11, 2, 1] = 2  # 3 mm on
    array[2, 12, 3] = 2  # 8 mm on, and 10 mm up
    (found,) = measure_structures(label_map(array), CLASSES)
    assert found.parts == 3
    assert found.gap_mm == pytest.approx(np.hypot(8, 10))


def test_another_structure_between_parts_is_not_a_part(label_map):
    array = np.zeros((20, 20, 5), np.uint8)
    array[2:10, 2:10, 2] = 1
    array[10:14, 2:10, 2] = 2
    assert [(found.name, found.parts) for found in measure_structures(label_map(array), CLASSES)] == [
        ("RV", 1),
        ("LV", 1),
    ]


def test_an_empty_label_map_has_no_structure(label_map):
    assert measure_structures(label_map(np.zeros((4, 4, 2), np.uint8)), CLASSES) == []


@pytest.fixture(scope="module")
def pairs(phantom):
    return [read_pair(files.image, files.label) for files in open_dataset(phantom).cases]


@pytest.mark.parametrize("shift", [(8, 0, 0), (0, -8, 0), (-14, 14, 0)])
def test_a_label_beside_its_image_would_fit_better_elsewhere(pairs, shift):
    for image, label in pairs:
        assert measure_alignment(image, label).fit_ratio > 1.1
        moved = label.like(np.roll(label.array, shift, axis=(0, 1, 2)))
        assert measure_alignment(image, moved).fit_ratio < 0.8


def test_brightness_and_contrast_do_not_matter(pairs):
    image, label = pairs[0]
    other = image.like(image.array * 0.001 - 40)
    assert measure_alignment(other, label).fit_ratio == pytest.approx(
        measure_alignment(image, label).fit_ratio, rel=1e-3
    )


def test_a_label_at_the_edge_of_the_image_is_measured_all_the_same(pairs):
    image, label = pairs[0]
    edge = np.zeros_like(label.array)
    edge[:9, :9] = 1
    assert measure_alignment(image, label.like(edge)).fit_ratio > 0


def test_a_flat_image_says_nothing_of_its_label(pairs):
    image, label = pairs[0]
    assert measure_alignment(image.like(np.ones_like(image.array)), label).fit_ratio is None


def test_an_empty_label_is_not_measured(pairs):
    image, label = pairs[0]
    assert measure_alignment(image, label.like(np.zeros_like(label.array))) is None


def test_labelled_background_is_counted(pairs):
    image, label = pairs[0]
    dark = image.array.copy()
    dark[label.array == 1] = dark.min()
    share = np.count_nonzero(label.array == 1) / np.count_nonzero(label.array)
    assert measure_alignment(replace(image, array=dark), label).dark_share == pytest.approx(share, abs=0.01)


@pytest.fixture(scope="module")
def scans(phantom):
    return [read_volume(files.image) for files in open_dataset(phantom).cases]


@pytest.fixture(scope="module")
def thumbnails(scans):
    return [thumbnail(scan) for scan in scans]


def alike(one, other):
    """Of two persons' scans."""
    return most_similar([one, other], ["one", "other"])[0].similarity


def test_a_thumbnail_has_a_shape_of_its_own_mean_0_and_length_1(thumbnails):
    assert {small.shape for small in thumbnails} == {THUMBNAIL_SHAPE}
    assert np.linalg.norm(thumbnails[0]) == pytest.approx(1, abs=1e-5)
    assert thumbnails[0].mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda array: zoom(array, (0.6, 0.6, 1), order=1),
        lambda array: zoom(array, (1.5, 1.5, 2), order=1),
        lambda array: zoom(array, (1, 1, 0.5), order=1),
        lambda array: array * 3.1 - 200,
        lambda array: np.sqrt(np.maximum(array, 0)),
        lambda array: array + np.random.default_rng(0).normal(0, 50, array.shape),
        lambda array: array[::-1, ::-1],
        lambda array: array[:, :, ::-1],
    ],
    ids=["coarser", "finer", "half the slices", "brighter", "gamma", "noise", "turned", "upside down"],
)
def test_the_same_scan_is_known_again(scans, thumbnails, change):
    for scan, small in zip(scans, thumbnails, strict=True):
        # Replaced, and not `like`: the voxels are of another grid.
        again = thumbnail(replace(scan, array=change(scan.array).astype(np.float32)))
        assert alike(small, again) > 0.85


def test_other_patients_are_told_apart_and_frames_of_one_are_not_compared(phantom, thumbnails):
    patients = [row.patient for row in open_dataset(phantom).splits]
    twins = most_similar(thumbnails, patients)
    assert max(twin.similarity for twin in twins) < 0.6
    assert all(patients[twin.index] != patients[number] for number, twin in enumerate(twins))
    assert most_similar(thumbnails[:2], ["one", "one"]) == [None, None]


def test_a_flat_scan_is_like_nothing(scans, thumbnails):
    flat = thumbnail(replace(scans[0], array=np.ones_like(scans[0].array)))
    assert alike(flat, thumbnails[0]) == 0
    assert most_similar([], []) == []


def test_many_scans_are_compared_block_by_block(monkeypatch, thumbnails):
    people = [str(number) for number in range(len(thumbnails))]
    whole = most_similar(thumbnails, people)
    monkeypatch.setattr("sss_model.data.screening._ROWS", 5)
    assert [twin.index for twin in most_similar(thumbnails, people)] == [twin.index for twin in whole]
