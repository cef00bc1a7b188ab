"""Metrics of masks: confusion, overlap, surfaces, volumes, and SSL4MIS's own figures."""

from __future__ import annotations

from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from support.scans import LABELS, blob, directed_distances, write_canonical
from support.scores import score

from sss_model.data.manifest import Case, build_manifest
from sss_model.evaluation.confusion import confusion_shares, count_confusion, write_confusion
from sss_model.evaluation.metrics import Agreement, measure, score_case
from sss_model.evaluation.ssl4mis import score_ssl4mis
from sss_model.evaluation.surfaces import compare_surfaces
from sss_model.evaluation.volumetry import agreement, ejection_fractions, summarise_ejection, volume_agreement
from sss_model.io.tables import cells_of
from sss_model.io.volumes import Volume, read_label

STRUCTURES = {"background": 0, "cavity": 1, "wall": 2}


def test_rows_are_true_classes_and_columns_predicted_ones() -> None:
    truth = np.array([[0, 0, 1], [1, 1, 2]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 2, 2]], np.uint8)
    assert count_confusion(truth, prediction, 3).tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]


def test_shares_are_of_each_true_class(tmp_path: Path) -> None:
    path = tmp_path / "confusion.csv"
    write_confusion(np.array([[990, 10, 0], [1, 2, 1], [0, 0, 0]]), STRUCTURES, path)
    names, shares = confusion_shares(path)
    assert names == list(STRUCTURES)
    assert shares == [[99.0, 1.0, 0.0], [25.0, 50.0, 25.0], [0.0, 0.0, 0.0]]


def test_counts_do_not_overflow_in_large_volumes() -> None:
    mask = np.full((400, 400, 10), 2, np.uint8)
    assert count_confusion(mask, mask, 3)[2, 2] == mask.size


SPACING = (1.5, 0.8, 5.0)


@pytest.fixture
def case(tmp_path) -> Case:
    return build_manifest(write_canonical(tmp_path / "data")).cases[0]


@pytest.fixture
def truth(tmp_path, case) -> Volume:
    return read_label(tmp_path / "data" / str(case.label), case.case)


def test_distances_are_in_millimetres_of_their_axis():
    truth, prediction = np.zeros((6, 6, 6), bool), np.zeros((6, 6, 6), bool)
    truth[1, 1, 1] = prediction[1, 1, 3] = True
    assert measure(truth, prediction, spacing=SPACING) == Agreement("scored", 0.0, 0.0, 10.0, 10.0, 0.0)


def test_a_perfect_prediction_has_full_overlap_and_no_distance():
    mask = blob(0)
    assert measure(mask, mask, spacing=SPACING) == Agreement("scored", 1.0, 1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_overlaps_and_distances_are_those_of_their_definitions(seed):
    truth, prediction = blob(seed), blob(seed + 100)
    found = measure(truth, prediction, spacing=SPACING)
    there, back = (directed_distances(*pair, SPACING) for pair in ((prediction, truth), (truth, prediction)))
    shared, either = np.sum(truth & prediction), np.sum(truth | prediction)
    assert found.dice == pytest.approx(2 * shared / (truth.sum() + prediction.sum()))
    assert found.jaccard == pytest.approx(shared / either)
    assert found.hd95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-5)
    assert found.asd_mm == pytest.approx(np.mean([*there, *back]), rel=1e-5)
    assert found.nsd == pytest.approx(np.mean(np.array([*there, *back]) <= 2.0))


@pytest.mark.parametrize("seed", range(3))
def test_cutting_masks_to_their_box_changes_no_distance(seed):
    truth, prediction = blob(seed), blob(seed + 100)
    wide = [np.pad(mask, 7) for mask in (truth, prediction)]
    assert measure(*wide, spacing=SPACING) == measure(truth, prediction, spacing=SPACING)


@pytest.mark.parametrize(
    ("present", "status"), [((True, False), "missed"), ((False, True), "invented")], ids=["missed", "invented"]
)
def test_a_missed_or_invented_structure_counts_with_the_diagonal(present, status):
    masks = [blob(0) if there else np.zeros_like(blob(0)) for there in present]
    x, y, z = np.multiply(masks[0].shape, SPACING)
    diagonal = (x**2 + y**2 + z**2) ** 0.5
    assert measure(*masks, spacing=SPACING) == (status, 0, 0, *[pytest.approx(diagonal)] * 2, 0)


def test_a_structure_that_is_nowhere_is_not_applicable():
    nothing = np.zeros((4, 4, 4), bool)
    assert measure(nothing, nothing, spacing=SPACING) == Agreement("not_applicable", None, None, None, None, None)


def test_every_foreground_class_of_a_case_has_a_row_in_the_order_of_the_labels(truth, case):
    rows = score_case(truth, truth, {**LABELS, "fat": 4}, case=case, prompt_source="generated")
    assert [(row.class_name, row.status) for row in rows] == [
        ("RV", "scored"), ("MYO", "scored"), ("LV", "scored"), ("fat", "not_applicable")
    ]  # fmt: skip
    for row in rows:
        assert (row.case, row.patient, row.group, row.prompt_source) == ("p0_a", "p0", "g0", "generated")


def test_a_row_has_the_columns_that_others_read(truth, case):
    (row, *_) = score_case(truth, truth, LABELS, case=case)
    assert ",".join(cells_of(row)) == (
        "case,patient,group,class,prompt_source,status,dice,jaccard,hd95_mm,asd_mm,nsd,"
        "truth_ml,predicted_ml,volume_error_ml,"
        "ssl4mis_dice,ssl4mis_jaccard,ssl4mis_hd95_voxel,ssl4mis_asd_voxel"
    )
    assert cells_of(row)["class"] == "RV"


def test_a_case_is_scored_in_the_spacing_of_its_header(truth, case):
    shifted = truth.like(np.roll(truth.array * 0 + _corner(truth), 1, axis=2))
    row = score_case(truth.like(_corner(truth)), shifted, {"background": 0, "RV": 1}, case=case)[0]
    assert (row.hd95_mm, row.ssl4mis_hd95_voxel) == (8.0, 1.0)


def test_a_single_slice_is_scored_as_the_2d_image_it_is(truth, case):
    small, large = (_square(truth, half) for half in (2, 3))
    flat = Volume(small, truth.affine, (2.0, 2.0, 9.0), "flat", truth.source)
    row = score_case(flat, flat.like(large), {"background": 0, "RV": 1}, case=case)[0]
    # In 3-D all of a slice would be surface, and most of it at distance 0.
    assert 2.0 <= row.asd_mm < 2.9
    assert row.ssl4mis_asd_voxel >= 1.0


def test_volumes_are_millilitres_and_their_error_is_predicted_minus_true(truth, case):
    missed = truth.like(np.zeros_like(truth.array))
    row = score_case(truth, missed, LABELS, case=case)[0]
    voxels = int((truth.array == 1).sum())
    assert row.truth_ml == pytest.approx(voxels * np.prod(truth.spacing) / 1000)
    assert (row.status, row.predicted_ml, row.volume_error_ml) == ("missed", 0.0, -row.truth_ml)


def test_the_tolerance_decides_which_surfaces_agree():
    truth, prediction = np.zeros((6, 6, 6), bool), np.zeros((6, 6, 6), bool)
    truth[1:3, 1, 1] = prediction[1:3, 4, 1] = True  # 3 voxels of 0.8 mm apart
    near, far = (measure(truth, prediction, spacing=SPACING, tolerance_mm=mm).nsd for mm in (2.5, 2.3))
    assert (near, far) == (1.0, 0.0)


def _corner(volume: Volume) -> np.ndarray:
    array = np.zeros_like(volume.array)
    array[0, 0, 0] = 1
    return array


def _square(volume: Volume, half: int) -> np.ndarray:
    array = np.zeros((11, 11, 1), volume.array.dtype)
    array[5 - half : 6 + half, 5 - half : 6 + half] = 1
    return array


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


def cavity(case: str, true: float, predicted: float, **values):
    return score(case, "LV", 0.9, truth_ml=true, predicted_ml=predicted, volume_error_ml=predicted - true, **values)


def test_agreement_is_bland_and_altman_s():
    found = agreement([1.0, -1.0, 3.0])
    assert found["bias"] == 1.0
    assert found["mean_absolute"] == pytest.approx(5 / 3)
    assert (found["low"], found["high"]) == (pytest.approx(1 - 1.96 * 2), pytest.approx(1 + 1.96 * 2))


def test_one_measurement_has_no_limits_and_none_has_nothing():
    assert agreement([2.0]) == {"bias": 2.0, "mean_absolute": 2.0, "low": None, "high": None}
    assert set(agreement([]).values()) == {None}


def test_a_missed_volume_is_an_error_and_a_structure_that_is_nowhere_is_none():
    rows = [cavity("p1_a", 100, 90), cavity("p2_a", 80, 0, status="missed"), score("p3_a", "LV", None)]
    assert volume_agreement(rows)["LV"]["bias"] == -45.0


def test_the_largest_labelled_cavity_is_diastole_whatever_was_predicted():
    rows = [cavity("p1_b", 50, 90), cavity("p1_a", 100, 80), score("p1_a", "RV", 0.5), cavity("p2_a", 100, 100)]
    (found,) = ejection_fractions(rows, "LV")
    assert (found.patient, found.end_diastole, found.end_systole) == ("p1", "p1_a", "p1_b")
    assert found.true_percent == 50.0
    assert found.predicted_percent == pytest.approx(100 * (80 - 90) / 80)
    assert found.error_percent == pytest.approx(-62.5)


def test_equal_volumes_are_still_two_scans():
    (found,) = ejection_fractions([cavity("p1_a", 70, 70), cavity("p1_b", 70, 70)], "LV")
    assert {found.end_diastole, found.end_systole} == {"p1_a", "p1_b"}


def test_a_cavity_missed_at_diastole_has_no_fraction_and_is_counted():
    rows = [
        cavity("p1_a", 100, 0, status="missed"),
        cavity("p1_b", 50, 40),
        cavity("p2_a", 100, 100),
        cavity("p2_b", 40, 50),
    ]
    found = ejection_fractions(rows, "LV")
    assert found[0].predicted_percent is None
    summary = summarise_ejection(found, "LV")
    assert (summary["patients"], summary["measured"], summary["bias"]) == (2, 1, pytest.approx(-10))


def test_a_frame_without_a_labelled_cavity_gives_no_fraction():
    assert ejection_fractions([cavity("p1_a", 100, 90), score("p1_b", "LV", None)], "LV") == []


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
