"""Each fault planted in a good cohort is found by the rule that is there for it; the table is shown at the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from support.code_graph import ROOT


@pytest.mark.acceptance
def test_each_planted_fault_fails_its_rule_and_no_other(record_property: Callable[[str, object], None]) -> None:
    done = subprocess.run([sys.executable, "-m", "bench.faults"], cwd=ROOT, capture_output=True, text=True)
    record_property("faults", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
