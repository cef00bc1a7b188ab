from __future__ import annotations

import numpy as np
import pytest
from support.masks import blob, directed_distances

from sss_model.evaluation.metrics import measure
from sss_model.evaluation.ssl4mis import score_ssl4mis


@pytest.mark.parametrize("seed", range(5))
def test_the_numbers_are_those_of_medpy_s_definitions(seed):
    truth, prediction = blob(seed), blob(seed + 100)
    found = score_ssl4mis(truth, prediction)
    there, back = directed_distances(prediction, truth), directed_distances(truth, prediction)
    assert found.dice == pytest.approx(2 * np.sum(truth & prediction) / (truth.sum() + prediction.sum()))
    assert found.jaccard == pytest.approx(np.sum(truth & prediction) / np.sum(truth | prediction))
    assert found.hd95_voxel == pytest.approx(np.percentile([*there, *back], 95))
    assert found.asd_voxel == pytest.approx(np.mean(there))


def test_the_average_distance_has_a_direction():
    small, large = np.zeros((9, 9, 3), bool), np.zeros((9, 9, 3), bool)
    small[4, 4, 1] = large[1, 1, 1] = large[4, 4, 1] = True
    assert score_ssl4mis(large, small).asd_voxel == 0
    assert score_ssl4mis(small, large).asd_voxel > 0


def test_its_hausdorff_distance_pools_both_directions_and_so_can_be_smaller_than_ours():
    truth, prediction = np.zeros((60, 3, 3), bool), np.zeros((60, 3, 3), bool)
    truth[:50, 1, 1] = True
    prediction[:2, 1, 1] = prediction[55, 1, 1] = True
    ours = measure(prediction, truth, spacing=(1.0, 1.0, 1.0))
    assert score_ssl4mis(prediction, truth).hd95_voxel < ours.hd95_mm


def test_an_empty_prediction_sets_all_four_to_zero():
    nothing = np.zeros_like(blob(0))
    assert score_ssl4mis(blob(0), nothing) == (0, 0, 0, 0)
    assert score_ssl4mis(nothing, nothing) == (0, 0, 0, 0)


def test_an_empty_truth_is_treated_alike():
    assert score_ssl4mis(np.zeros_like(blob(0)), blob(0)) == (0, 0, 0, 0)
