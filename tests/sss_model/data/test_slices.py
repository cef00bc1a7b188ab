"""Slices of scans, and their positions in the volume."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.data.slice_position import volume_positions
from sss_model.data.slices import SliceCache, SliceSet, draw
from sss_model.errors import InputError


def numbered(depths: list[int]) -> list[np.ndarray]:
    """Volumes whose every voxel is 10 * case + slice."""
    return [
        np.full((depth, 4, 4), 10 * case, np.float16) + np.arange(depth).reshape(-1, 1, 1).astype(np.float16)
        for case, depth in enumerate(depths)
    ]


@given(count=st.integers(1, 40), batch=st.integers(1, 12), seed=st.integers(0, 5))
def test_every_slice_is_seen_once_an_epoch(count: int, batch: int, seed: int) -> None:
    steps = -(-count * 3 // batch)
    drawn = np.concatenate([draw(count, seed=seed, stream=0, step=step, batch=batch) for step in range(steps)])
    for epoch in range(3):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_streams_and_epochs_have_orders_of_their_own() -> None:
    orders = [draw(50, seed=0, stream=stream, step=step, batch=50) for stream in (0, 1) for step in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_two_processes_share_what_one_would_see() -> None:
    assert draw(30, seed=3, stream=1, step=7, batch=8).tolist() == draw(30, seed=3, stream=1, step=7, batch=8).tolist()


def test_neighbours_are_the_slices_beside_and_an_end_repeats_itself() -> None:
    slices = SliceSet(numbered([3, 4]), None, neighbours=True, distances=[8.0, 10.0])
    assert len(slices) == 7
    channels = slices.image(np.arange(7))[:, :, 0, 0].int().tolist()
    assert channels == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [10, 10, 11], [10, 11, 12], [11, 12, 13], [12, 13, 13]]


def test_a_slice_knows_its_case() -> None:
    slices = SliceSet(numbered([3, 4]), None, neighbours=True, distances=[8.0, 10.0])
    assert slices.cases(np.array([6, 0, 2, 3])).tolist() == [1, 0, 0, 1]


def test_without_neighbours_a_slice_fills_its_channels() -> None:
    slices = SliceSet(numbered([3]), None, neighbours=False, distances=[8.0])
    assert slices.image(np.array([2]))[0, :, 0, 0].tolist() == [2, 2, 2]


def test_labels_belong_to_their_images() -> None:
    volumes = numbered([3, 4])
    slices = SliceSet(volumes, [volume.astype(np.uint8) for volume in volumes], neighbours=True, distances=[8.0, 10.0])
    indices = np.array([6, 0, 3])
    assert slices.label(indices)[:, 0, 0].tolist() == slices.image(indices)[:, 1, 0, 0].tolist()


def test_hidden_labels_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="no labels"):
        SliceSet(numbered([3]), None, neighbours=True, distances=[8.0]).label(np.array([0]))


@given(depths=st.lists(st.integers(1, 6), min_size=1, max_size=4), length=st.integers(1, 5), data=st.data())
def test_a_clip_is_neighbouring_slices_of_one_case(depths: list[int], length: int, data: st.DataObject) -> None:
    slices = SliceSet(numbered(depths), None, neighbours=False, distances=[8.0] * len(depths))
    index = data.draw(st.integers(0, len(slices) - 1))
    clip = slices.clips(np.array([index]), length)
    assert len(clip) == length
    case = next(number for number in range(len(depths)) if index in slices.case(number))
    assert set(clip) <= set(slices.case(case))
    assert index in clip
    steps = np.diff(clip)
    # A case that is too short repeats its last slice.
    assert np.all((steps == 1) | ((steps == 0) & (clip[1:] == slices.case(case)[-1])))
    assert len(set(clip)) == min(length, depths[case])


def test_a_slice_knows_its_distance_to_the_next() -> None:
    slices = SliceSet(numbered([3, 4]), None, neighbours=True, distances=[8.0, 10.0])
    assert slices.distance(np.array([6, 0, 3])).tolist() == [10.0, 8.0, 10.0]


@pytest.fixture
def scans(phantom: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(phantom, tmp_path / "scans"))


def open_cache(folder: Path, scans: Path, config: Config) -> SliceCache:
    return SliceCache(folder, data_dir=scans, config=config.data, classes=4)


def test_a_second_reading_needs_no_scan(
    tmp_path: Path, scans: Path, manifest: Manifest, recipe: Callable[..., Config]
) -> None:
    cache, cases = open_cache(tmp_path / "cache", scans, recipe()), manifest.cases[:2]
    images, labels = cache.images(cases), cache.labels(cases)
    shutil.rmtree(scans)
    again = open_cache(tmp_path / "cache", scans, recipe())
    assert all(np.array_equal(a, b) for a, b in zip(images, again.images(cases), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(labels, again.labels(cases), strict=True))
    assert isinstance(images[0], np.memmap)


def test_other_settings_are_other_slices(
    tmp_path: Path, scans: Path, manifest: Manifest, recipe: Callable[..., Config]
) -> None:
    cases = manifest.cases[:1]
    coarse = open_cache(tmp_path / "cache", scans, recipe({"data.spacing_mm": 3.0})).images(cases)[0]
    fine = open_cache(tmp_path / "cache", scans, recipe({"data.spacing_mm": 2.0})).images(cases)[0]
    assert coarse.shape == fine.shape
    assert not np.array_equal(coarse, fine)


def test_a_file_that_is_not_the_manifest_s_is_refused_and_not_kept(
    tmp_path: Path, scans: Path, manifest: Manifest, recipe: Callable[..., Config]
) -> None:
    one, other, *_ = manifest.cases
    for place in ("image", "label"):
        shutil.copyfile(scans / str(getattr(other, place)), scans / str(getattr(one, place)))
    cache = open_cache(tmp_path / "cache", scans, recipe())
    for read in (cache.images, cache.labels):
        with pytest.raises(InputError, match=f"case {one.case}: .* has other content than the manifest says"):
            read((one,))
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path,
    scans: Path,
    manifest: Manifest,
    recipe: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        open_cache(tmp_path / "cache", scans, recipe()).images(manifest.cases[:1])
    assert list((tmp_path / "cache").iterdir()) == []


def test_positions_run_from_the_first_slice_to_the_last() -> None:
    expected = [[-1.0, 1.0, -1.0], [0.0, -1.0, -1.0], [1.0, -1.0, 1.0]]
    assert volume_positions(3).tolist() == expected


def test_an_only_slice_is_first_last_and_in_the_middle() -> None:
    assert volume_positions(1).tolist() == [[0.0, 1.0, 1.0]]


def test_a_set_gives_each_slice_its_position_in_its_own_case() -> None:
    scans = [np.zeros((depth, 4, 4), np.float16) for depth in (3, 5)]
    slices = SliceSet(scans, None, neighbours=True, distances=[8.0, 8.0])
    assert torch.equal(
        slices.slice_position(np.array([7, 0, 2])), torch.cat([volume_positions(5)[4:], volume_positions(3)[[0, 2]]])
    )
