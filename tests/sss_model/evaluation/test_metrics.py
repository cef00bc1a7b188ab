from __future__ import annotations

import numpy as np
import pytest
from support.masks import blob, directed_distances
from support.scans import LABELS, write_canonical

from sss_model.data.manifest import Case, build_manifest
from sss_model.evaluation.metrics import Agreement, measure, score_case
from sss_model.io.tables import cells_of
from sss_model.io.volumes import Volume, read_label

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
