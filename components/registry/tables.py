"""The registry's answers as tables in plain text."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from components.registry.listing import Row
from components.text_table import aligned

if TYPE_CHECKING:
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
    return "\n".join([head, *aligned(columns, map(_trial_row, verdict.lines))])


def listing_table(listing: Listing) -> str:
    """A model's versions, then what is wrong."""
    columns = [field.name for field in fields(Row)]
    lines = [listing.name, *aligned(columns, (list(asdict(row).values()) for row in listing.rows))]
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
