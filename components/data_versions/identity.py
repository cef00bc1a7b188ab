"""Whether a piece of text looks like a person's name or date of birth."""

from __future__ import annotations

import re

NAME = "a name"
BIRTH_DATE = "a date that may be of birth"

_DICOM_NAME = re.compile(r"[^\W\d_]{2,}\^[^\W\d_]*")  # DOE^JANE, as DICOM writes it
_COMMA_NAME = re.compile(r"[A-Z][\w'-]+, ?[A-Z][\w'-]+\.?")
_TWO_WORDS = re.compile(r"[A-Z][a-z'-]+(?: [A-Z]\.?)? [A-Z][a-z'-]+")
_VALUE = r"""\W{0,4}[=:]\s*["'\[]?\s*"""
_KEYED_NAME = re.compile(rf"(?:patient|subject|person)(?:'?s)?[_ ]?name{_VALUE}\w|0010[,|] ?0010\b", re.I)
_KEYED_BIRTH = re.compile(
    rf"(?:birth[_ ]?date|date[_ ]of[_ ]birth|\bdob\b){_VALUE}\d|\bborn\W{{1,4}}\d|0010[,|] ?0030\b", re.I
)
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_DATE = re.compile(
    rf"(?<![\d.])(?:{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|{_YEAR}([-/.]){_MONTH}\1{_DAY}|"
    rf"{_DAY}([-/.]){_MONTH}\2{_YEAR})(?![\d.])"
)


def look(text: str, *, for_a_name: bool) -> str | None:
    """What of a person a text holds: `NAME`, `BIRTH_DATE` or nothing.

    A rule of thumb, made to ask once too often: a date of the scan is taken for one of birth, too.

    Args:
        for_a_name: the field usually holds a name or nothing, so two capitalised words are taken for one.
    """
    text = text.strip()
    if _DICOM_NAME.search(text) or _COMMA_NAME.fullmatch(text) or _KEYED_NAME.search(text):
        return NAME
    if for_a_name and _TWO_WORDS.fullmatch(text):
        return NAME
    return BIRTH_DATE if _KEYED_BIRTH.search(text) or _DATE.search(text) else None


def masked(text: str) -> str:
    """Enough of a text to find it by, and not what it says: its first character and its length."""
    text = text.strip()
    return f"{text[:1]}…, {len(text)} characters"
