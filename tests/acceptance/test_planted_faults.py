"""Each fault planted in a good cohort is found by the rule that is there for it; the table is shown at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.paths import ROOT
from support.planted_cohort import Cohort, failed_rules
from support.planted_faults import FAULTS

from sss_model.config import load_config
from sss_model.data.manifest import build_manifest
from sss_model.data.phantom import write_phantom

pytestmark = pytest.mark.acceptance


def test_each_planted_fault_fails_its_rule_and_no_other(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    write_phantom(tmp_path / "good", patients=10)
    good = Cohort(tmp_path / "good", build_manifest(tmp_path / "good"), load_config(ROOT / "configs/phantom.yaml"))
    found = {"none": failed_rules(good)}
    for number, fault in enumerate(FAULTS):
        cohort = good.copied(tmp_path / str(number) / "phantom")
        fault.plant(cohort)
        found[fault.words] = failed_rules(cohort)
        for rule, sentences in found[fault.words].items():
            found[fault.words][rule] = [sentence.replace(f"{cohort.folder}/", "") for sentence in sentences]
    record_property("faults", table(found))
    expected = {"none": set(), **{fault.words: set(fault.rules) for fault in FAULTS}}
    assert {words: set(failed) for words, failed in found.items()} == expected


def table(found: dict[str, dict[str, list[str]]]) -> str:
    """In Markdown: fault, the rules that fail, and what the first one says."""
    lines = ["| fault | rules that fail | what the first one says |", "|---|---|---|"]
    for words, failed in found.items():
        first = next((sentences[0] for sentences in failed.values()), "")
        lines.append(f"| {words} | {', '.join(failed) or 'none'} | {first} |")
    return "\n".join(lines)
