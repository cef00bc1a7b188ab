"""Every fault is found by its own rule and by no other; good cohorts pass; the page on the rules is current."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.paths import ROOT
from support.planted_cohort import Cohort, failed_rules
from support.planted_faults import FAULTS, Fault

from docs.reference.data_checks import rules_tables
from sss_model.config import load_config
from sss_model.data.importing import import_dataset
from sss_model.data.manifest import build_manifest
from sss_model.data.phantom import write_phantom
from sss_ops.data_checks.rules import rules_for

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
