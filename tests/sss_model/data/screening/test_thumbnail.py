from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import zoom

from sss_model.data.canonical import open_dataset
from sss_model.data.screening import SHAPE, most_alike, thumbnail
from sss_model.io.volumes import read_volume


@pytest.fixture(scope="module")
def scans(phantom):
    return [read_volume(files.image) for files in open_dataset(phantom).cases]


@pytest.fixture(scope="module")
def thumbnails(scans):
    return [thumbnail(scan) for scan in scans]


def alike(one, other):
    """Of two persons' scans."""
    return most_alike([one, other], ["one", "other"])[0].similarity


def test_a_thumbnail_has_a_shape_of_its_own_mean_0_and_length_1(thumbnails):
    assert {small.shape for small in thumbnails} == {SHAPE}
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
    twins = most_alike(thumbnails, patients)
    assert max(twin.similarity for twin in twins) < 0.6
    assert all(patients[twin.index] != patients[number] for number, twin in enumerate(twins))
    assert most_alike(thumbnails[:2], ["one", "one"]) == [None, None]


def test_a_flat_scan_is_like_nothing(scans, thumbnails):
    flat = thumbnail(replace(scans[0], array=np.ones_like(scans[0].array)))
    assert alike(flat, thumbnails[0]) == 0
    assert most_alike([], []) == []


def test_many_scans_are_compared_block_by_block(monkeypatch, thumbnails):
    people = [str(number) for number in range(len(thumbnails))]
    whole = most_alike(thumbnails, people)
    monkeypatch.setattr("sss_model.data.screening._ROWS", 5)
    assert [twin.index for twin in most_alike(thumbnails, people)] == [twin.index for twin in whole]
