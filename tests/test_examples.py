"""Examples in docstrings, run as they are written, in an empty working directory."""

import doctest
import importlib
import re
from pathlib import Path

import pytest
from support.code_graph import modules

EXAMPLE = re.compile(r"^ *>>> (?!.*\+SKIP)", re.MULTILINE)
WITH_EXAMPLES = [name for name, file in modules().items() if EXAMPLE.search(file.read_text())]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module_hold(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0, capsys.readouterr().out
