"""Every fault is found by its own rule and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.paths import ROOT
from support.planted_cohort import Cohort, failed_rules
from support.planted_faults import FAULTS, Fault

from sss_model.config import load_config
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
