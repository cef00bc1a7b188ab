"""A text that is too long ends where a reader would stop."""

from __future__ import annotations

import pytest

from sss_ops.serving.package import shortened

REST = "The rest is elsewhere."
TABLE = "| a | b |\n|---|---|\n" + "\n".join(f"| {number} | {number} |" for number in range(20))
ITEMS = "\n".join(f"- Item {number} is one. It has two sentences." for number in range(20))
PROSE = "One sentence here. Another\nover two lines. A third one."
CARD = f"# Name\n\n{PROSE}\n\n## A table\n\n{TABLE}\n\n## A list\n\n{ITEMS}\n\n## The end\n\n{PROSE}\n"


def test_what_fits_is_left_as_it_is() -> None:
    assert shortened(CARD, most=len(CARD), rest=REST) == CARD


@pytest.mark.parametrize("most", range(110, len(CARD), 7))
def test_what_does_not_fit_ends_at_a_paragraph_an_item_or_a_row(most: int) -> None:
    text = shortened(CARD, most=most, rest=REST)
    assert len(text) <= most
    assert text.endswith(f"\n\n{REST}\n")
    kept = text.removesuffix(f"\n\n{REST}\n")
    assert CARD.startswith(kept)
    last = kept.split("\n")[-1]
    assert kept.endswith(PROSE) or last in TABLE.split("\n")[2:] or last in ITEMS.split("\n")


def test_as_much_as_there_is_room_for_is_kept() -> None:
    most = len(CARD) - len(PROSE) + len(REST)
    assert shortened(CARD, most=most, rest=REST).count("- Item") == 20
