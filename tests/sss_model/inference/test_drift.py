"""Fingerprints of the training scans, and scans unlike them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from sss_model.checkpoint import load_checkpoint
from sss_model.config import Config
from sss_model.data.manifest import Manifest
from sss_model.data.preprocessing import image_slices
from sss_model.inference.drift import Fingerprint, fingerprint, measure_appearance, range_of, unlike, unlike_appearance
from sss_model.inference.predictor import Predictor
from sss_model.io.volumes import Volume, read_volume

SEEN = Fingerprint(pixel_mm=(1.0, 2.0), slice_distance_mm=(8.0, 10.0), field_of_view_mm=(150.0, 200.0))


@pytest.fixture
def scan(phantom, manifest) -> Volume:
    return read_volume(phantom / manifest.split("train")[0].image)


def volume_of(scan: Volume, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Volume:
    return Volume(np.zeros(shape), scan.affine, spacing, "strange", scan.source)


def test_the_coarsest_axis_is_the_slices_wherever_it_lies():
    one = fingerprint([((10, 100, 120), (8.0, 1.5, 1.25)), ((128, 96, 9), (1.0, 1.0, 10.0))])
    assert one.pixel_mm == (1.0, 1.5)
    assert one.slice_distance_mm == (8.0, 10.0)
    assert one.field_of_view_mm == (96.0, 150.0)


@pytest.mark.parametrize(
    ("shape", "spacing", "sentences"),
    [
        ((120, 120, 9), (1.4, 1.4, 9.0), []),
        ((120, 120, 9), (1.4, 1.4, 3.0), ["slice distance of 3 mm, training saw 8 to 10 mm"]),
        ((120, 120, 9), (1.4, 1.4, 12.1), ["slice distance of 12.1 mm, training saw 8 to 10 mm"]),
        ((60, 60, 9), (2.6, 2.6, 9.0), ["pixels of 2.6 mm, training saw 1 to 2 mm"]),
        ((120, 400, 9), (1.4, 1.4, 9.0), ["field of view of 560 mm, training saw 150 to 200 mm"]),
        ((120, 120, 1), (1.4, 1.4, 50.0), []),
    ],
)
def test_a_scan_is_told_what_is_strange_about_it(scan, shape, spacing, sentences):
    assert list(unlike(SEEN, volume_of(scan, shape, spacing))) == sentences


def test_no_scan_of_the_training_is_strange_to_its_checkpoint(checkpoint, phantom, manifest):
    seen = load_checkpoint(checkpoint).meta.fingerprint
    assert seen is not None
    for case in manifest.split("train"):
        assert list(unlike(seen, read_volume(phantom / case.image))) == []


def test_a_strange_scan_is_named_and_still_segmented(tmp_path: Path, checkpoint, phantom, manifest):
    image = nib.load(phantom / manifest.split("test")[0].image)
    header = image.header.copy()
    header.set_zooms((*header.get_zooms()[:2], 1.9))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, header), tmp_path / "thin.nii.gz")
    assessed = Predictor.load(checkpoint).assess(read_volume(tmp_path / "thin.nii.gz"))
    assert assessed.warnings[0].startswith("slice distance of 1.9 mm, training saw ")
    assert assessed.segmentation.mask.array.shape == image.shape


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
