"""How the text after a flag is read; what can't be read ends in one sentence."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence

SIDE = 32  # what SAM-2's encoder halves a picture's side by, in all


def whole(text: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"\d+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number above 0")
    return int(text)


def index(text: str) -> int:
    """A whole number from 0."""
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number from 0")
    return int(text)


def side(text: str) -> int:
    """The side of a picture in pixels, which the encoder can halve."""
    if whole(text) % SIDE:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected pixels, a multiple of {SIDE}")
    return int(text)


def above_zero(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    # A number that is not one is not above zero either.
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a number above 0")
    return number


def truth(text: str) -> bool:
    """1 or True, 0 or False. In Medical-SAM2 any text is true, False among them."""
    words = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in words:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected 1 or 0")
    return words[text.lower()]


def run_name(text: str) -> str:
    """A name that can be a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", text):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a name of letters, digits, and any of . _ + -")
    return text


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """One of some names, in any case; gives it as it is spelled in `names`."""
    spelled = {name.lower(): name for name in names}

    def read(text: str) -> str:
        if text.lower() not in spelled:
            raise argparse.ArgumentTypeError(f"found {text!r}; expected one of {', '.join(names)}")
        return spelled[text.lower()]

    return read
