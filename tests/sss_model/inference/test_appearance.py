"""Scans whose intensities are not those of the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.data.preprocessing import image_slices
from sss_model.inference.drift import measure_appearance, range_of, unlike_appearance
from sss_model.io.volumes import Volume, read_volume

Look = Callable[[Volume], dict[str, float]]
Ranges = dict[str, tuple[float, float]]


@pytest.fixture(scope="module")
def look(recipe: Callable[..., Config]) -> Look:
    data = recipe().data
    return lambda volume: measure_appearance(image_slices(volume, data, data.size), windowed=False)


@pytest.fixture(scope="module")
def seen(look: Look, phantom: Path, manifest: Manifest) -> Ranges:
    return range_of([look(read_volume(phantom / case.image)) for case in manifest.split("train")])


def as_ct(scan: Volume) -> Volume:
    """The same body in Hounsfield units: air around, fat, muscle, blood and some bone inside."""
    tissue = np.digitize(scan.array, np.quantile(scan.array, [0.35, 0.5, 0.7, 0.97]))
    units = np.array([-1000, -90, 50, 60, 700], np.float32)[tissue]
    return scan.like(units + np.random.default_rng(0).normal(0, 12, units.shape).astype(np.float32))


def inverted(scan: Volume) -> Volume:
    return scan.like(scan.array.max() - scan.array)


def noise(scan: Volume) -> Volume:
    return scan.like(np.random.default_rng(0).normal(300, 50, scan.array.shape).astype(np.float32))


def test_no_scan_of_patients_like_the_trainings_is_strange(
    seen: Ranges, look: Look, phantom: Path, manifest: Manifest
) -> None:
    for case in manifest.cases:
        assert list(unlike_appearance(seen, look(read_volume(phantom / case.image)))) == []


@pytest.mark.parametrize(
    ("change", "sentence"), [(as_ct, "other tones"), (inverted, "other tones"), (noise, "noise: neighbouring")]
)
def test_a_ct_an_inverted_scan_and_noise_are_strange_to_a_model_of_mr(
    change: Callable[[Volume], Volume], sentence: str, seen: Ranges, look: Look, phantom: Path, manifest: Manifest
) -> None:
    for case in manifest.split("test"):
        told = list(unlike_appearance(seen, look(change(read_volume(phantom / case.image)))))
        assert any(one.startswith(sentence) for one in told), told


def test_the_units_of_mr_mean_nothing(look: Look, phantom: Path, manifest: Manifest) -> None:
    scan = read_volume(phantom / manifest.cases[0].image)
    assert look(replace(scan, array=scan.array * 37 + 1000)) == pytest.approx(look(scan), abs=1e-3)


def test_hounsfield_units_that_are_shifted_are_strange_to_a_windowed_model(
    recipe: Callable[..., Config], phantom: Path, manifest: Manifest
) -> None:
    """A CT stored without its rescale intercept lies 1024 units too high."""
    data = recipe({"data.window": [-160.0, 240.0]}).data
    scans = [as_ct(read_volume(phantom / case.image)) for case in manifest.split("train")]
    looks = [measure_appearance(image_slices(scan, data, data.size), windowed=True) for scan in scans]
    high = measure_appearance(image_slices(scans[0].like(scans[0].array + 1024), data, data.size), windowed=True)
    told = list(unlike_appearance(range_of(looks), high))
    assert told
    assert list(unlike_appearance(range_of(looks), looks[0])) == []


def test_a_scan_that_lies_outside_the_window_is_strange() -> None:
    seen = range_of([{"inside_window": share} for share in (0.4, 0.5)])
    assert list(unlike_appearance(seen, {"inside_window": 0.35})) == []
    assert list(unlike_appearance(seen, {"inside_window": 0.05})) == [
        "5% of it inside the window of intensities, training saw 40% to 50%"
    ]


def test_ranges_of_one_scan_leave_room_for_others() -> None:
    one = range_of([{"tone_50": 0.1, "roughness": 0.2}])
    assert list(unlike_appearance(one, {"tone_50": 0.3, "roughness": 0.25})) == []
    assert len(list(unlike_appearance(one, {"tone_50": 0.5, "roughness": 0.35}))) == 2
