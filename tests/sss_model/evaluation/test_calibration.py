from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sss_model.evaluation.calibration import (
    BINS,
    count_reliability,
    expected_calibration_error,
    near_structures,
    write_reliability,
)


def test_the_error_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 500))
    confidence = rng.uniform(0, 1, 500)  # too low in some bins, too high in others
    right, expected = truth == prediction, 0.0
    for number in range(BINS):
        inside = (confidence >= number / BINS) & (confidence < (number + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert expected_calibration_error(count_reliability(truth, prediction, confidence)) == pytest.approx(expected)


def test_one_that_is_sure_and_right_has_no_error_and_one_that_is_sure_and_wrong_has_the_whole():
    truth, sure = np.ones(10, np.uint8), np.ones(10, np.float32)
    assert expected_calibration_error(count_reliability(truth, truth, sure)) == 0.0
    assert expected_calibration_error(count_reliability(truth, 0 * truth, sure)) == 1.0


def test_tables_of_scans_add_up():
    rng = np.random.default_rng(1)
    truth, prediction = rng.integers(0, 2, (2, 60))
    confidence = rng.uniform(0.5, 1, 60)
    halves = sum(
        count_reliability(truth[part], prediction[part], confidence[part]) for part in (slice(20), slice(20, 60))
    )
    assert halves == pytest.approx(count_reliability(truth, prediction, confidence))


def test_nothing_to_measure_is_no_error():
    nothing = np.zeros((4, 4, 4), np.uint8)
    near = near_structures(nothing, nothing, (1, 1, 1), 5)
    assert not near.any()
    assert expected_calibration_error(count_reliability(nothing[near], nothing[near], np.ones(0))) is None


def test_the_band_is_in_millimetres_and_holds_both_masks():
    truth, prediction = np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3), np.uint8)
    truth[1, 1, 1], prediction[7, 7, 1] = 1, 2
    near = near_structures(truth, prediction, (1.0, 2.0, 5.0), 2.0)
    assert {tuple(voxel) for voxel in np.argwhere(near[:5, :5])} == {
        (1, 1, 1), (0, 1, 1), (2, 1, 1), (3, 1, 1), (1, 0, 1), (1, 2, 1)
    }  # fmt: skip
    assert near[7, 7, 1]


def test_a_table_says_for_every_bin_how_sure_and_how_right(tmp_path):
    confidence = np.array([0.99, 0.97, 0.5])
    write_reliability(count_reliability(np.array([1, 1, 1]), np.array([1, 0, 1]), confidence), tmp_path / "c.csv")
    rows = pd.read_csv(tmp_path / "c.csv")
    assert len(rows) == BINS
    assert tuple(rows.iloc[-1])[2:] == (2, pytest.approx(0.98), 0.5)
    assert rows["accuracy"].notna().sum() == 2
