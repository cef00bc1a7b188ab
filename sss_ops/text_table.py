"""Tables as plain aligned text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def aligned(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out rows as lines, however wide: in a log or a page no edge of a terminal cuts them.

    >>> aligned(["case", "Dice"], [["patient001", "0.91"]])
    ['case        Dice', 'patient001  0.91']
    """
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        # Text, not markup: names may have brackets.
        drawn.add_row(*(cell.replace("[", r"\[") for cell in row))
    console = Console(width=1000, color_system=None)
    with console.capture() as captured:
        console.print(drawn)
    return [line.rstrip() for line in captured.get().splitlines()]
