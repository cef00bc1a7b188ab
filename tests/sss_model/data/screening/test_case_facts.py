from __future__ import annotations

import gzip

import numpy as np
import pytest
from support.scans import LABELS, intensities, structures, write_canonical, write_nifti

from sss_model.data.manifest import build_manifest
from sss_model.data.screening import measure_case, measure_cases


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
