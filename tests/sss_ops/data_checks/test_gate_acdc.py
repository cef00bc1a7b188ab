"""Real data pass, and what is known of them is needed for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.paths import ROOT
from support.planted_cohort import Cohort, failed_rules

from sss_model.config import load_config
from sss_model.data.importing import import_dataset
from sss_model.data.manifest import build_manifest

RECIPE = ROOT / "configs/cpu/acdc.yaml"


@pytest.mark.acceptance
@pytest.mark.skipif("ACDC_DIR" not in os.environ, reason="ACDC_DIR does not say where ACDC lies")
def test_acdc_passes_and_the_gate_knows_one_person_under_two_names(tmp_path: Path) -> None:
    source, folder = Path(os.environ["ACDC_DIR"]), tmp_path / "acdc"
    import_dataset("acdc", source / "training", folder, splits=source / "splits")
    manifest = build_manifest(folder)
    assert failed_rules(Cohort(folder, manifest, load_config(RECIPE))) == {}

    twins = {"patient074", "patient076"}
    few = tuple(case for case in manifest.cases if case.patient in twins or case.patient < "patient020")
    unaware = load_config(RECIPE, {"data_checks.same_person": []})
    found = failed_rules(Cohort(folder, type(manifest)(few, manifest.labels), unaware))["patients_differ"]
    assert {sentence.split()[1].split("_")[0] for sentence in found} == twins
