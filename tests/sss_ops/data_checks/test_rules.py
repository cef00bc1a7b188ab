"""Every fault is found by its own rule and by no other; good cohorts pass; tables and evidence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support.paths import ROOT
from support.planted_cohort import Cohort, failed_rules
from support.planted_faults import FAULTS, Fault
from support.scans import edit, intensities, write_canonical, write_nifti

from docs.reference.pages import rules_tables
from sss_model.config import load_config
from sss_model.data.importing import import_dataset
from sss_model.data.manifest import build_manifest
from sss_model.data.phantom import write_phantom
from sss_model.errors import InputError
from sss_ops.data_checks.evidence import compare_with_folder
from sss_ops.data_checks.rules import rules_for
from sss_ops.data_checks.tables import excess

RECIPE = ROOT / "configs/phantom.yaml"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("data") / "phantom"
    write_phantom(folder, patients=10)
    return Cohort(folder, build_manifest(folder), load_config(RECIPE))


def test_a_good_cohort_breaks_no_rule(good: Cohort) -> None:
    assert failed_rules(good) == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_nor_does_another_one(tmp_path: Path, seed: int) -> None:
    write_phantom(tmp_path / "phantom", patients=20, seed=seed)
    cohort = Cohort(tmp_path / "phantom", build_manifest(tmp_path / "phantom"), load_config(RECIPE))
    assert failed_rules(cohort) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.words)
def test_a_fault_breaks_its_rule_and_no_other(fault: Fault, good: Cohort, tmp_path: Path) -> None:
    cohort = good.copied(tmp_path / "phantom")
    fault.plant(cohort)
    failed = failed_rules(cohort)
    assert set(failed) == set(fault.rules), failed


def test_every_rule_has_its_fault(good: Cohort) -> None:
    rules = [rule.name for group in rules_for(good.config) for rule in group.rules]
    assert len(set(rules)) == len(rules) >= 20
    assert set(rules) == {rule for fault in FAULTS for rule in fault.rules}


@pytest.mark.acceptance
@pytest.mark.skipif("ACDC_DIR" not in os.environ, reason="ACDC_DIR does not say where ACDC lies")
def test_acdc_passes_if_its_one_person_under_two_names_is_known(tmp_path: Path) -> None:
    source, folder, recipe = Path(os.environ["ACDC_DIR"]), tmp_path / "acdc", ROOT / "configs/cpu/acdc.yaml"
    import_dataset("acdc", source / "training", folder, splits=source / "splits")
    manifest = build_manifest(folder)
    assert failed_rules(Cohort(folder, manifest, load_config(recipe))) == {}

    twins = {"patient074", "patient076"}
    few = tuple(case for case in manifest.cases if case.patient in twins or case.patient < "patient020")
    unaware = load_config(recipe, {"data_checks.same_person": []})
    found = failed_rules(Cohort(folder, type(manifest)(few, manifest.labels), unaware))["patients_differ"]
    assert {sentence.split()[1].split("_")[0] for sentence in found} == twins


def test_a_threshold_that_is_null_has_no_rule() -> None:
    off = {"max_gap_mm": None, "min_fit": None, "max_blank_slices": None, "max_level_shift": None, "empty_labels": True}
    overrides = {f"data_checks.{key}": value for key, value in off.items()}
    whole, less = (_rule_names(overrides) for overrides in ({}, overrides))
    assert whole - less == {
        "structure_in_one_place",
        "label_fits_image",
        "no_blank_slices",
        "level_usual",
        "label_draws_something",
    }


def _rule_names(overrides: dict[str, object]) -> set[str]:
    return {rule.name for group in rules_for(load_config(RECIPE, overrides)) for rule in group.rules}


def test_the_page_has_a_row_for_each_rule_and_each_fault() -> None:
    page = (ROOT / "docs/reference/data-checks.md").read_text()
    assert rules_tables(load_config(RECIPE)) in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for fault in FAULTS:
        assert any(row.startswith(f"| {fault.words} | {', '.join(fault.rules)} |") for row in rows)


def test_a_uniform_cohort_allows_the_factor_either_way():
    values = np.array([10.0] * 10 + [39, 2.6, 41, 2.4])
    assert (excess(values, factor=4, deviations=6) > 1).tolist() == [False] * 12 + [True] * 2


def test_a_varied_cohort_allows_what_it_varies():
    values = np.array([1.0, 2, 4, 8, 16, 32, 64, 2000])
    assert (excess(values, factor=4, deviations=2) > 1).tolist() == [False] * 7 + [True]


def test_of_several_axes_the_farthest_counts():
    spacing = np.array([[1.0, 1, 8], [1, 1, 8], [1, 1, 8], [1, 1, 80]])
    assert excess(spacing, factor=10, deviations=6) == pytest.approx([0, 0, 0, 1])


def test_what_is_not_there_is_neither_usual_nor_far():
    found = excess(np.array([np.nan, 5, 5, 5, 50]), factor=4, deviations=6)
    assert np.isnan(found[0]) and (found[1:] > 1).tolist() == [False, False, False, True]
    assert np.isnan(excess(np.array([np.nan, np.nan]), factor=4, deviations=6)).all()


@pytest.fixture
def folder(tmp_path):
    return write_canonical(tmp_path / "heart", ("train", "val"))


def test_cases_that_came_and_splits_that_changed_are_found(folder):
    manifest = build_manifest(folder)
    edit(folder / "splits.csv", "p1_a,p1,g1,val,", "p9_a,p9,g0,train,9\np1_a,p1,g2,val,")
    write_nifti(folder / "imagesTr" / "p9_a_0000.nii.gz", intensities(99))
    listings = {listing.case: listing for listing in compare_with_folder(manifest, folder)}
    assert listings["p9_a"].only_in == "the folder"
    assert (listings["p1_a"].row, listings["p1_a"].manifest_row) == (
        "p1, g2, val, no label order",
        "p1, g1, val, no label order",
    )
    assert listings["p0_a"].only_in is None and listings["p0_a"].row == listings["p0_a"].manifest_row


def test_a_folder_that_is_no_data_set_any_more_is_refused(folder):
    manifest = build_manifest(folder)
    (folder / "splits.csv").unlink()
    with pytest.raises(InputError, match=r"splits\.csv: no such file"):
        compare_with_folder(manifest, folder)
