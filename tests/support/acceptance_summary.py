"""What `make acceptance` shows at its end: the planted faults, the paper's command lines, and every layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

_LAYOUTS = {
    "layout": "layout",
    "cases": "cases",
    "dimensions": "2-D/3-D",
    "data_checks": "data checks",
    "dice": "Dice",
    "version": "registered",
    "seconds": "seconds",
}
_LINES = {
    "line": "command line",
    "size": "size",
    "encoder": "encoder",
    "steps": "steps",
    "dice": "Dice",
    "seconds": "s",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests found; nothing where none of them ran."""
    found = [pair for outcome in ("passed", "failed") for pair in _properties(terminalreporter, outcome)]
    for text in (value for name, value in found if name == "faults"):
        terminalreporter.section("planted faults and the data checks that they fail")
        terminalreporter.write_line(str(text).strip())
    _show(terminalreporter, "the paper's command lines, test scans, no prompts", _LINES, _rows(found, "command line"))
    _show(terminalreporter, "layouts, a sample of each", _LAYOUTS, _rows(found, "layout"))


def table_text(columns: dict[str, str], rows: Sequence[dict[str, Any]], *, width: int = 120) -> str:
    """Rows as a table; what a row lacks, since it failed before, is a dash."""
    table = Table(*columns.values())
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _properties(reporter: pytest.TerminalReporter, outcome: str) -> Iterable[tuple[str, Any]]:
    return (pair for report in reporter.stats.get(outcome, []) for pair in getattr(report, "user_properties", []))


def _rows(found: list[tuple[str, Any]], name: str) -> list[dict[str, Any]]:
    return [value for key, value in found if key == name]


def _show(reporter: pytest.TerminalReporter, title: str, columns: dict[str, str], rows: list[dict[str, Any]]) -> None:
    if rows:
        reporter.section(title)
        reporter.write_line(table_text(columns, rows))
