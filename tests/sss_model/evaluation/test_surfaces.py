"""MONAI's surface measures against distance transforms and against brute force, on masks made to be awkward."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from support.masks import blob, directed_distances

from sss_model.evaluation.surfaces import compare_surfaces

TOLERANCE = 2.0
SHAPE = (5, 4, 6)


def by_distance_transform(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> list[float]:
    """The three measures from scipy's distance transform."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (truth, prediction)]
    away = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    return measures(away[0][edges[1]], away[1][edges[0]])


def by_brute_force(truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...]) -> list[float]:
    return measures(directed_distances(prediction, truth, spacing), directed_distances(truth, prediction, spacing))


def measures(there: np.ndarray, back: np.ndarray) -> list[float]:
    both = np.concatenate([there, back])
    # Distances that the tolerance only just holds are a matter of rounding: float32 in MONAI.
    return [max(np.percentile(there, 95), np.percentile(back, 95)), both.mean(), np.mean(both <= TOLERANCE + 1e-6)]


spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 1.37, 5.0, 10.0])] * 3)
masks = arrays.arrays(bool, SHAPE, elements=st.booleans(), fill=st.just(False))


@settings(max_examples=60, deadline=None)
@given(truth=masks, prediction=masks, spacing=spacings)
def test_sparse_random_masks_measure_as_by_brute_force(truth, prediction, spacing):
    assume(truth.any() and prediction.any())
    found = compare_surfaces(truth, prediction, spacing=spacing, tolerance_mm=TOLERANCE)
    assert list(found) == pytest.approx(by_brute_force(truth, prediction, spacing), rel=1e-5, abs=1e-5)
    assert list(found) == pytest.approx(by_distance_transform(truth, prediction, spacing), rel=1e-5, abs=1e-5)


def hollow() -> np.ndarray:
    mask = np.ones(SHAPE, bool)
    mask[2, 2, 2:4] = False
    return mask


def corners() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[::4, ::3, ::5] = True
    return mask


def diagonal() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[range(4), range(4), range(4)] = True
    return mask


def chequered() -> np.ndarray:
    return np.indices(SHAPE).sum(0) % 2 == 0


def one_voxel() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[-1, 0, -1] = True
    return mask


AWKWARD = [np.ones(SHAPE, bool), hollow(), corners(), diagonal(), chequered(), one_voxel(), blob(3, SHAPE)]


@pytest.mark.parametrize("prediction", AWKWARD, ids=range(len(AWKWARD)))
@pytest.mark.parametrize("truth", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_masks_measure_as_by_brute_force_and_by_distance_transform(truth, prediction):
    spacing = (1.37, 0.7, 5.0)
    found = compare_surfaces(truth, prediction, spacing=spacing, tolerance_mm=TOLERANCE)
    assert list(found) == pytest.approx(by_brute_force(truth, prediction, spacing), rel=1e-5, abs=1e-5)
    assert list(found) == pytest.approx(by_distance_transform(truth, prediction, spacing), rel=1e-5, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(truth=masks, prediction=masks, spacing=spacings)
def test_exchanging_the_masks_changes_nothing(truth, prediction, spacing):
    assume(truth.any() and prediction.any())
    one, other = (
        compare_surfaces(*pair, spacing=spacing, tolerance_mm=TOLERANCE)
        for pair in ((truth, prediction), (prediction, truth))
    )
    assert list(one) == pytest.approx(list(other), rel=1e-6)
