"""Rows of words as aligned columns, for a terminal, a log or a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def aligned(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of any width, since no terminal's edge may cut them.

    >>> aligned(["scan", "Dice"], [["a.nii", "0.91"], ["ward/b.nii", "0.87"]])
    ['scan        Dice', 'a.nii       0.91', 'ward/b.nii  0.87']
    """
    from rich.console import Console
    from rich.table import Table

    drawn = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        # Text and not markup: a name in brackets is to be read.
        drawn.add_row(*(cell.replace("[", r"\[") for cell in row))
    console = Console(width=1000, color_system=None)
    with console.capture() as captured:
        console.print(drawn)
    return [line.rstrip() for line in captured.get().splitlines()]
