from __future__ import annotations

import numpy as np
import pytest
from support.scans import write_nifti

from sss_model.data.screening import measure_intensities
from sss_model.io.volumes import read_volume


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
