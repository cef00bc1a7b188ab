"""The same work on many files at once."""

from __future__ import annotations

import pytest

from sss_model import parallel
from sss_model.parallel import for_each


def test_a_log_gets_plain_lines_only_of_work_that_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert for_each(abs, [-1, -2, -3], description="Unpacking a.zip") == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(parallel, "_SECONDS_A_LINE", 0.0)
    for_each(abs, [-1, -2], description="Unpacking a.zip")
    assert capsys.readouterr() == ("", "Unpacking a.zip: 1 of 2\nUnpacking a.zip: 2 of 2\n")
