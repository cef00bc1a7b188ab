"""What the physical constraints keep, reject and fill, and the alarm for a class always rejected."""

from __future__ import annotations

import math
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.class_maps import disc, organ, prompts_of

from sss_model.pcsw import AcceptanceWatch, watch_acceptance

needs_acdc = pytest.mark.skipif("ACDC_DIR" not in os.environ, reason="ACDC_DIR does not say where ACDC lies")
places = st.floats(10, 36)


def prompted(prompts) -> list[tuple[int, int]]:
    """(slice, class) of each prompt."""
    return list(zip(prompts.slices.tolist(), prompts.classes.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 12), places, places, st.floats(3, 10), st.integers(1, 3))
def test_a_chain_of_n_slices_stays(slices, row, column, radius, kind):
    prompts = prompts_of(organ(slices, kind, row, column, radius))
    assert prompted(prompts) == [(index, kind) for index in range(slices)]
    assert prompts.keep.all() and not prompts.filled.any() and prompts.acceptance[kind - 1] == 1


@pytest.mark.parametrize("window", [2, 3, 4, 5])
def test_amid_a_clip_n_slices_are_a_chain_and_one_less_is_none(window):
    for slices in (window, window - 1):
        classes = np.zeros((slices + 4, 48, 48), np.uint8)
        classes[2:-2] = organ(slices)
        assert prompts_of(classes, window=window).keep[classes > 0].all() == (slices == window)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.integers(1, 3), st.integers(1, 3), st.integers(30, 43), st.integers(2, 43))
def test_a_speck_in_one_slice_goes_wherever_it_is(where, kind, size, row, column):
    classes = organ(6)
    classes[where, row : row + size, column : column + size] = kind
    prompts = prompts_of(classes, 1.0)
    assert prompted(prompts) == [(index, 1) for index in range(6)]
    rejected = (classes != 0) & (organ(6) == 0)
    np.testing.assert_array_equal(prompts.keep, ~rejected)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 9), st.data())
def test_a_gap_of_one_slice_closes(slices, data):
    missing = data.draw(st.integers(1, slices - 2))
    classes = organ(slices)
    classes[missing] = 0
    prompts = prompts_of(classes)
    assert prompted(prompts) == [(index, 1) for index in range(slices)]
    assert np.flatnonzero(prompts.filled).tolist() == [missing]
    np.testing.assert_array_equal(prompts.boxes[missing], prompts.boxes[0])
    np.testing.assert_array_equal(prompts.components[missing] > 0, organ()[0] > 0)
    np.testing.assert_array_equal(~prompts.keep[missing], organ()[0] > 0)
    assert prompts.keep[np.arange(slices) != missing].all()


def test_a_gap_of_n_slices_stays_open():
    classes = organ(10)
    classes[3:6] = 0
    assert not prompts_of(classes).filled.any()
    assert prompts_of(classes, window=5).filled.sum() == 3


def test_a_gap_lies_between_its_neighbours():
    classes = np.stack([disc(20, column, 8).astype(np.uint8) for column in (16, 18, 20, 22, 24)])
    classes[2] = 0
    prompts = prompts_of(classes, margin_mm=0)
    np.testing.assert_array_equal(prompts.boxes[2], [12, 12, 29, 29])


def test_a_gap_between_rings_that_share_nothing_is_prompted_by_both():
    classes = np.stack([disc(20, 20, outer) & ~disc(20, 20, outer - 3) for outer in (18, 17, 0, 13, 12)])
    classes = classes.astype(np.uint8)
    classes[2] = 0
    prompts = prompts_of(classes)
    assert np.flatnonzero(prompts.filled).tolist() == [2]
    np.testing.assert_array_equal(prompts.components[2] == 3, (classes[1] | classes[3]) > 0)


def test_a_gap_that_a_neighbour_has_spilled_into_prompts_its_own_class():
    classes = organ(5, kind=2, radius=14)
    classes[organ(5) > 0] = 1
    classes[2][classes[2] == 1] = 2
    prompts = prompts_of(classes)
    assert prompted(prompts) == [(index, kind) for index in range(5) for kind in (1, 2)]
    middle = prompts.components[2]
    assert prompts.filled[4] and middle[20, 20] == 5 and middle[20, 32] == 6 and not prompts.keep[2, 20, 20]


def test_a_component_that_a_gap_covers_prompts_no_more():
    classes = organ(7)
    classes[3] = 0
    classes[2:5][organ(3, radius=3) > 0] = 2
    classes[2:5:2][organ(2) > 0] = 1
    classes[[2, 4], 20, 20] = 1
    prompts = prompts_of(classes, thin=True, thin_area_mm2=1)
    assert prompted(prompts) == [(index, 1) for index in range(7)] and prompts.components.max() == 7


@pytest.mark.parametrize("where", [(40, 40), (20, 40)])
def test_what_jumps_is_rejected(where):
    classes = organ(7)
    classes[3] = disc(*where, 7)
    prompts = prompts_of(classes, 1.0)
    assert not prompts.keep[3][classes[3] > 0].any()
    assert np.flatnonzero(prompts.filled).tolist() == [3] and prompts.components[3, 20, 20] == 4


def test_what_bursts_is_rejected():
    classes = organ(7, radius=4)
    classes[3] = 1
    prompts = prompts_of(classes)
    assert not prompts.keep[3].any() and np.flatnonzero(prompts.filled).tolist() == [3]
    assert prompts.acceptance[0] == pytest.approx(6 * 49 / (6 * 49 + 48 * 48))


@pytest.mark.parametrize("setting", ["max_shift", "max_area_ratio", "min_overlap"])
def test_each_constraint_rejects_by_itself(setting):
    row, radius = {"max_shift": (32, 8), "max_area_ratio": (20, 16), "min_overlap": (35, 8)}[setting]
    classes = organ(7)
    classes[3] = disc(row, 20, radius)
    loose = {"max_shift": 100.0, "max_area_ratio": 100.0, "min_overlap": 1e-9}
    tight = {"max_shift": 1.0, "max_area_ratio": 3.0, "min_overlap": 0.3}
    assert prompts_of(classes, **loose).keep.all()
    assert not prompts_of(classes, **loose | {setting: tight[setting]}).keep.all()


def test_slices_further_apart_may_show_more_shift():
    classes = np.stack([disc(24, column, 8).astype(np.uint8) for column in (10, 16, 22, 28, 34)])
    assert prompts_of(classes, spacing=(8.0, 1.5, 1.5)).keep.all()
    assert not prompts_of(classes, spacing=(2.0, 1.5, 1.5)).keep[classes > 0].any()
    assert not prompts_of(classes, spacing=(8.0, 1.5, 9.0)).keep[classes > 0].any()


@pytest.mark.parametrize("shown", [1, 2])
@pytest.mark.parametrize("end", [0, 1])
def test_a_clips_end_is_no_fault_of_the_organ(shown, end):
    classes = np.zeros((6, 48, 48), np.uint8)
    classes[:shown] = organ(shown)
    classes = classes[::-1].copy() if end else classes
    assert prompts_of(classes).keep.all() and len(prompts_of(classes).slices) == shown
    inside = np.roll(classes, -2 if end else 2, axis=0)
    assert not prompts_of(inside).keep[inside > 0].any() and len(prompts_of(inside).slices) == 0


def test_in_a_clips_last_slice_something_elsewhere_is_held_against_the_slice_before():
    classes = organ(5)
    classes[4] = disc(40, 40, 7)
    prompts = prompts_of(classes, 1.0)
    assert prompted(prompts) == [(index, 1) for index in range(4)] and not prompts.keep[4][classes[4] > 0].any()


@pytest.mark.parametrize("shown", [1, 2])
def test_thin_lesions_survive_by_area_and_confidence(shown):
    classes = np.zeros((8, 48, 48), np.uint8)
    classes[3 : 3 + shown] = organ(shown, kind=2, radius=5)
    assert len(prompts_of(classes, 0.95).slices) == 0
    assert prompted(prompts_of(classes, 0.95, thin=True)) == [(3 + index, 2) for index in range(shown)]
    assert len(prompts_of(classes, 0.7, thin=True).slices) == 0
    assert len(prompts_of(classes, 0.95, thin=True, thin_area_mm2=500).slices) == 0


def test_one_slice_alone_is_judged_by_area_and_confidence():
    classes = organ(1)
    classes[0, 40:43, 40:43] = 1
    prompts = prompts_of(classes)
    assert prompted(prompts) == [(0, 1)] and not prompts.keep[0, 41, 41] and prompts.keep[0, 20, 20]
    assert not prompts_of(classes, 0.7).keep[classes > 0].any()


def test_several_components_a_slice_are_chains_of_their_own():
    classes = np.maximum(organ(5, column=10), organ(5, column=36))
    confidence = np.where(np.arange(48) < 24, 0.9, 0.3)
    prompts = prompts_of(classes, confidence)
    assert (prompts.points[:, 0] < 24).all() and len(prompts.slices) == 5
    assert not prompts.keep[:, :, 24:][classes[:, :, 24:] > 0].any() and prompts.keep[:, :, :24].all()


def test_a_wider_window_wants_more_than_half_of_its_slices():
    classes = np.zeros((19, 48, 48), np.uint8)
    classes[1::4] = organ(5)  # long enough, but no window sees more than two
    assert not prompts_of(classes, window=5).keep[classes > 0].any()
    classes = organ(9)
    classes[1::2] = 0  # seen in every other: three of five
    assert prompts_of(classes, window=5).filled.sum() == 4


@needs_acdc
def test_true_hearts_pass_and_planted_specks_go():
    """200 volumes of ACDC. The exception is one patient whose right ventricle falls in two at the base."""
    below = set()
    for path in sorted(Path(os.environ["ACDC_DIR"]).glob("training/patient*/*_gt.nii.gz")):
        scan = nib.load(path)
        truth = np.ascontiguousarray(np.asarray(scan.dataobj).astype(np.uint8).T)
        across, down, apart = map(float, scan.header.get_zooms())
        prompts = prompts_of(truth, 1.0, spacing=(apart, down, across))
        below |= {path.name[:10]} if np.nanmin(prompts.acceptance) < 0.99 else set()
        assert np.nanmin(prompts.acceptance) > 0.97
        specked, specks = with_specks(truth, side=round(4 / across))
        after = prompts_of(specked, 1.0, spacing=(apart, down, across))
        np.testing.assert_array_equal(after.keep, prompts.keep & ~specks)
        np.testing.assert_array_equal(after.boxes, prompts.boxes)
    assert below <= {"patient047"}


def with_specks(truth: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Twelve squares, four of each class, in a corner of every third slice, and where they are."""
    specked, specks = truth.copy(), np.zeros(truth.shape, bool)
    for index in range(12):
        rows, columns = (slice(start, start + side) for start in (2 + 12 * (index // 4), 2 + 12 * (index % 4)))
        free = [where for where in range(0, len(truth), 3) if not truth[where, :44, :50].any()]
        specked[free, rows, columns] = 1 + index % 3
        specks[free, rows, columns] = True
    return specked, specks


WATCH = AcceptanceWatch(names=("cavity", "wall"), threshold=0.05, patience=10)


def warnings(rows: list[tuple[float, float]], watch: AcceptanceWatch = WATCH) -> list[tuple[int, str]]:
    """(step, sentence) of each warning."""
    found = []
    for step, row in enumerate(rows):
        watch, sentences = watch_acceptance(watch, row)
        found += [(step, sentence) for sentence in sentences]
    return found


def test_a_class_that_is_always_rejected_is_named_once_when_patience_is_over():
    ((step, sentence),) = warnings([(0.9, 0.01)] * 30)
    assert step == 9
    assert sentence.startswith("PCSW kept 1.0% of what was predicted as wall over the last 10 logged steps")
    assert "pcsw.thin" in sentence and "cavity" not in sentence


def test_steps_that_do_not_predict_a_class_do_not_count():
    assert warnings([(0.9, math.nan)] * 50) == []
    assert [step for step, _ in warnings([(0.9, math.nan), (0.9, 0.0)] * 15)] == [19]


def test_what_is_kept_now_and_then_is_no_alarm_and_what_stops_being_kept_is():
    assert warnings([(0.9, 0.0), (0.9, 0.4)] * 30) == []
    assert [sentence[:40] for _, sentence in warnings([(0.9, 0.9)] * 20 + [(0.9, 0.0)] * 60)] != []


def test_nothing_is_changed_in_place():
    watch_acceptance(WATCH, (0.0, 0.0))
    assert WATCH.means == () and WATCH.steps == ()
