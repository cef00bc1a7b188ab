"""The sections of a recipe that say what becomes of a model: where it is registered, and when it may be promoted."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sss_model.section import Fraction, Section


class Register(Section):
    """Where a model is registered, and from which Dice on."""

    experiment: str
    model: str
    min_dice: float = Fraction
    """Mean test Dice below which a model is not registered; 0 registers any."""


class Gate(Section):
    """What a version must show before it may become the champion; `sss_model.comparison` says how it is measured."""

    min_patients: int = Field(ge=2)
    """Test patients that neither model saw, below which nothing is promoted."""
    min_dice: float = Fraction
    """Mean Dice on them (over cases, then classes) that a version must reach, with or without a champion."""
    margin: float = Fraction
    """How much Dice a class may lose against the champion: the whole interval of its difference must lie above that."""
    class_margins: dict[str, Annotated[float, Fraction]]
    """Other margins for single classes, by name."""
    confidence: float = Field(gt=0.5, lt=1)
    """Of the differences' intervals, two-sided."""
    resamples: int = Field(ge=1000)
    """Times that patients are drawn for them."""
