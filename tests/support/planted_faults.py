"""Faults of a data set, one for each data check, planted one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import zoom

from sss_model.data.manifest import Case
from sss_model.data.splits import read_splits, write_splits
from support.planted_cohort import Cohort

Plant = Callable[[Cohort], object]


@dataclass(frozen=True)
class Fault:
    """A fault of a data set.

    Attributes:
        words: what it is.
        rules: the names of the rules that must find it: one, and where the fault can't be had without a second, both.
        plant: spoils a cohort.
    """

    words: str
    rules: tuple[str, ...]
    plant: Plant


FAULTS: list[Fault] = []
"""All of them, in the order of the rules."""


def _fault(words: str, *rules: str) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        FAULTS.append(Fault(words, rules, plant))
        return plant

    return add


def _same(array: np.ndarray) -> np.ndarray:
    return array


@_fault("one person under two names, on two sides", "patient_on_one_side")
def _one_person_on_two_sides(cohort: Cohort) -> None:
    names = (cohort.case("train").patient, cohort.case("test").patient)
    limits = cohort.config.data_checks.model_copy(update={"same_person": (names,)})
    cohort.config = cohort.config.model_copy(update={"data_checks": limits})


@_fault("a scan of a training patient, put to test in the manifest", "patient_on_one_side", "splits_as_listed")
def _patient_on_two_sides(cohort: Cohort) -> None:
    cohort.edit(cohort.case("train"), split="test")


@_fault("a patient's scans in two groups", "patient_in_one_group")
def _two_groups(cohort: Cohort) -> None:
    case = cohort.edit(cohort.case(), group="another")
    _change_splits(cohort, [case], group="another")


@_fault("a row of the manifest twice", "case_named_once")
def _row_twice(cohort: Cohort) -> None:
    cohort.keep(*cohort.manifest.cases, cohort.case())


@_fault("a split that is none", "split_known", "splits_as_listed")
def _unknown_split(cohort: Cohort) -> None:
    for _ in range(2):
        cohort.edit(cohort.case(), split="later")


@_fault("a file copied to another patient", "scan_there_once")
def _copied_scan(cohort: Cohort) -> None:
    cohort.add(cohort.case(), "stranger")


@_fault("a label map copied to another frame", "label_there_once")
def _copied_label(cohort: Cohort) -> None:
    case = cohort.case()
    cohort.rewrite(cohort.add(case, case.patient, labelled=True), "image", lambda image: image + 3)


@_fault("a scan at two thirds of its resolution, brighter, as another patient's", "patients_differ")
def _resampled_scan(cohort: Cohort) -> None:
    copy = cohort.add(cohort.case(), "stranger")
    cohort.rewrite(copy, "image", lambda image: (zoom(image, (0.67, 0.67, 1), order=1) * 1.3 + 20).astype(np.int16))


@_fault("a test scan, mirrored and with noise, as another patient's", "patients_differ")
def _mirrored_scan(cohort: Cohort) -> None:
    noise = np.random.default_rng(0)
    copy = cohort.add(cohort.case("test"), "stranger")
    cohort.rewrite(copy, "image", lambda image: (image[::-1] + noise.normal(0, 20, image.shape)).astype(np.int16))


@_fault("dataset.json lost", "folder_is_a_data_set")
def _no_description(cohort: Cohort) -> None:
    (cohort.folder / "dataset.json").unlink()


@_fault("a scan that came after the manifest", "folder_as_listed")
def _newcomer(cohort: Cohort) -> None:
    cohort.keep(*cohort.manifest.cases[1:])


@_fault("the label order changed after the manifest", "splits_as_listed")
def _other_order(cohort: Cohort) -> None:
    first = cohort.case().patient
    _change_splits(cohort, [case for case in cohort.manifest.cases if case.patient == first], label_order=77)


@_fault("a label map lost", "files_there")
def _lost_label(cohort: Cohort) -> None:
    (cohort.folder / str(cohort.case().label)).unlink()


@_fault("a scan changed after the manifest", "files_unchanged")
def _changed_scan(cohort: Cohort) -> None:
    known = cohort.manifest
    cohort.rewrite(cohort.case(), "image", lambda image: image + 1)
    cohort.manifest = known


@_fault("a count edited in the manifest", "manifest_true")
def _edited_count(cohort: Cohort) -> None:
    case = cohort.case()
    cohort.edit(case, voxels=case.voxels | {"wall": case.voxels["wall"] + 1})


@_fault("half a scan", "image_readable")
def _truncated_scan(cohort: Cohort) -> None:
    cohort.truncate(cohort.case(), "image")


@_fault("a label map smoothed to fractions", "label_readable")
def _fractions(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", lambda label: label.astype(np.float32) / 2)


@_fault("a label map without the last slice", "label_shape")
def _short_label(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", lambda label: label[:, :, :-1])


@_fault("a label map with other voxel sizes", "label_spacing")
def _other_label_spacing(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", _same, zooms=1.2)


@_fault("a label map whose header moves it by 5 mm", "label_position")
def _moved_header(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", _same, move_mm=5)


@_fault("voxel sizes in tenths of a millimetre", "spacing_usual")
def _wrong_unit(cohort: Cohort) -> None:
    cohort.rewrite(cohort.unlabel(cohort.case()), "image", _same, zooms=10)


@_fault("a single picture among volumes", "slices_usual")
def _single_slice(cohort: Cohort) -> None:
    cohort.rewrite(cohort.unlabel(cohort.case()), "image", lambda image: image[:, :, 4:5])


@_fault("NaN in a scan", "finite")
def _nan(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "image", lambda image: np.where(image > 900, np.nan, image).astype(np.float32))


@_fault("a scan of one tone", "not_flat")
def _constant(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "image", lambda image: np.full_like(image, 100))


@_fault("a scan that is nearly all zero", "not_mostly_flat")
def _nearly_empty(cohort: Cohort) -> None:
    def peephole(image: np.ndarray) -> np.ndarray:
        width, height, _ = image.shape
        seen = np.zeros_like(image)
        hole = np.s_[width // 2 : width // 2 + width // 5, height // 2 : height // 2 + height // 5]
        seen[hole] = image[hole]
        return seen

    cohort.rewrite(cohort.unlabel(cohort.case()), "image", peephole)


@_fault("a slice of zeros", "no_blank_slices")
def _blank_slice(cohort: Cohort) -> None:
    cohort.rewrite(cohort.unlabel(cohort.case()), "image", lambda image: _with(image, np.s_[:, :, 4], 0))


@_fault("intensities scaled to 0 to 1", "contrast_usual")
def _rescaled(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "image", lambda image: (image / image.max()).astype(np.float32))


@_fault("intensities 2000 too high", "level_usual")
def _shifted_intensities(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "image", lambda image: image + 2000)


@_fault("a label that dataset.json doesn't name", "labels_known")
def _unknown_label(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", lambda label: _with(label, np.s_[50:53, 50:53, 4], 7))


@_fault("an empty label map", "label_draws_something")
def _empty_label(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", np.zeros_like)


@_fault("a label map drawn 12 pixels beside its image", "label_fits_image")
def _shifted_label(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", lambda label: np.roll(label, 12, axis=0))


@_fault("part of the labelled scan blacked out", "label_on_tissue")
def _blacked_out(cohort: Cohort) -> None:
    case = cohort.case()
    label = cohort.voxels(case, "label")
    rows = np.nonzero(label.any(axis=(1, 2)))[0]
    start = rows[0] + 3 * len(rows) // 4
    cohort.rewrite(case, "image", lambda image: _with(image, np.s_[start:], image.min()))


@_fault("stray voxels of a structure in a corner", "structure_in_one_place")
def _stray_voxels(cohort: Cohort) -> None:
    cohort.rewrite(cohort.case(), "label", lambda label: _with(label, np.s_[2:5, 2:5, 4], 1))


@_fault("a structure drawn on a few voxels only", "volume_usual")
def _unfinished_structure(cohort: Cohort) -> None:
    def unfinished(label: np.ndarray) -> np.ndarray:
        crescent = np.flatnonzero(label == 3)
        label.flat[crescent[len(crescent) // 100 :]] = 0
        return label

    cohort.rewrite(cohort.case(), "label", unfinished)


@_fault("a single labelled training patient", "enough_labelled")
def _few_labels(cohort: Cohort) -> None:
    first = cohort.case().patient
    cohort.unlabel(*(case for case in cohort.manifest.split("train") if case.patient != first))


@_fault("no labelled validation patient", "enough_to_choose")
def _nobody_to_choose_by(cohort: Cohort) -> None:
    cohort.unlabel(*cohort.manifest.split("val"))


@_fault("a single labelled test patient", "enough_to_test")
def _few_to_test(cohort: Cohort) -> None:
    first = cohort.case("test").patient
    cohort.unlabel(*(case for case in cohort.manifest.split("test") if case.patient != first))


@_fault("a structure that no lent label shows", "structures_to_learn")
def _not_learnt(cohort: Cohort) -> None:
    _erase(cohort, "train")


@_fault("a structure that no validation label shows", "structures_to_choose")
def _not_chosen_by(cohort: Cohort) -> None:
    _erase(cohort, "val")


@_fault("a structure that no test label shows", "structures_to_test")
def _not_tested(cohort: Cohort) -> None:
    _erase(cohort, "test")


def _erase(cohort: Cohort, split: str) -> None:
    for case in cohort.manifest.split(split):
        cohort.rewrite(case, "label", lambda label: np.where(label == 3, 0, label).astype(np.uint8))


def _with(array: np.ndarray, where: Any, value: int) -> np.ndarray:
    array[where] = value
    return array


def _change_splits(cohort: Cohort, cases: Iterable[Case], **columns: Any) -> None:
    path, names = cohort.folder / "splits.csv", {case.case for case in cases}
    rows = [replace(row, **columns) if row.case in names else row for row in read_splits(path)]
    write_splits(rows, path)
