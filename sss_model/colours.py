"""Colours of the classes, the same in pictures, in the report and in viewers."""

from __future__ import annotations

# Cool and of different lightness: errors are drawn warm and strong over them.
CLASS_COLOURS = ("#6CB4EE", "#3CC8A0", "#B79CF0", "#9FD356", "#5E81F4", "#C7D3DD", "#2F9E8F", "#D6B3F5")


def class_colour(value: int) -> str:
    """The colour of a class, as ``#RRGGBB``; they repeat after the eighth."""
    return CLASS_COLOURS[(value - 1) % len(CLASS_COLOURS)]
