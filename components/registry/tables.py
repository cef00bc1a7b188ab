"""The registry's answers as tables in plain text."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from components.registry.listing import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from components.registry.gate import Line
    from components.registry.listing import Listing
    from components.registry.promote import Trial


def trial_table(trial: Trial) -> str:
    """Champion and challenger, class by class."""
    against = f"version {trial.champion} (champion)" if trial.champion else "no champion: the absolute gate alone"
    verdict = trial.verdict
    head = f"{trial.name} version {trial.version} against {against}"
    head += f", Dice on {verdict.cases} scans of {verdict.patients} test patients"
    columns = ["class", "champion", "challenger", "difference", "interval", "margin", "verdict"]
    return f"{head}\n{_table(columns, map(_trial_row, verdict.lines))}"


def listing_table(listing: Listing) -> str:
    """A model's versions, then what is wrong."""
    columns = [field.name for field in fields(Row)]
    lines = [listing.name, _table(columns, (list(asdict(row).values()) for row in listing.rows))]
    lines += [f"warning: {warning}" for warning in listing.warnings]
    return "\n".join(lines)


def _trial_row(line: Line) -> list[str]:
    interval = "" if line.low is None or line.high is None else f"{line.low:+.3f} to {line.high:+.3f}"
    return [
        line.class_name,
        _number(line.champion),
        _number(line.challenger),
        "" if line.difference is None or line.champion is None else f"{line.difference:+.3f}",
        interval,
        "" if line.margin is None else f"-{line.margin:g}",
        "holds" if line.objection is None else "does not hold",
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns of any width: where it goes, to a log or a page, no terminal's edge may cut it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        # Text and not markup: a reason in brackets is to be read.
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    console = Console(width=1000, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
