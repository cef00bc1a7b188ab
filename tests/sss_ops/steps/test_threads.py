"""What a step's process does with threads that have nothing to do."""

import os
import subprocess
import sys

import pytest

SHOW = "import os, sys, sss_ops.steps.train; print('torch' in sys.modules, os.environ['GOMP_SPINCOUNT'])"


@pytest.mark.parametrize(("given", "used"), [({}, "5000"), ({"GOMP_SPINCOUNT": "0"}, "0")])
def test_they_sleep_after_a_short_spin_unless_a_person_says_otherwise(given: dict[str, str], used: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | given
    said = subprocess.check_output([sys.executable, "-c", SHOW], env=environment, text=True)
    # PyTorch reads it when it is imported, which must come later.
    assert said.split() == ["False", used]
