"""The tables of docs/reference/data-checks.md are those of the rules."""

from __future__ import annotations

from support.paths import ROOT
from support.planted_faults import FAULTS

from bench.gate_rules import rules_table
from sss_model.config import load_config

DOCUMENT = (ROOT / "docs/reference/data-checks.md").read_text()


def test_the_table_of_rules_is_the_gates() -> None:
    assert "\n".join(rules_table(load_config(ROOT / "configs/phantom.yaml"))) in DOCUMENT


def test_the_table_of_faults_names_each() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ")]
    for fault in FAULTS:
        assert any(row.startswith(f"| {fault.words} | {', '.join(fault.rules)} |") for row in rows)


def test_a_threshold_that_is_null_has_no_rule() -> None:
    off = {"max_gap_mm": None, "min_fit": None, "max_blank_slices": None, "max_level_shift": None, "empty_labels": True}
    overrides = {f"data_checks.{key}": value for key, value in off.items()}
    whole = rules_table(load_config(ROOT / "configs/phantom.yaml"))
    less = rules_table(load_config(ROOT / "configs/phantom.yaml", overrides))
    gone = {line.split(" | ")[0] for line in set(whole) - set(less)}
    assert gone == {
        "| `structure_in_one_place`",
        "| `label_fits_image`",
        "| `no_blank_slices`",
        "| `level_usual`",
        "| `label_draws_something`",
    }
