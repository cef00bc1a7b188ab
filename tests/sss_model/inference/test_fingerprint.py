from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from sss_model.checkpoint import load_checkpoint
from sss_model.inference.drift import Fingerprint, fingerprint, unlike
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
    judged = Predictor.load(checkpoint).judge(read_volume(tmp_path / "thin.nii.gz"))
    assert judged.warnings[0].startswith("slice distance of 1.9 mm, training saw ")
    assert judged.segmentation.mask.array.shape == image.shape
