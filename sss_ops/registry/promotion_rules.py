"""The gate: whether what was measured is enough to become the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_model.evaluation.comparison import OVERALL, compare, refuse_prompted
from sss_model.evaluation.summary import aggregate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sss_model.config import Promotion
    from sss_model.evaluation.comparison import Difference
    from sss_model.evaluation.metrics import Score


@dataclass(frozen=True)
class Line:
    """One class, or the mean over classes, with what was asked of it.

    Attributes:
        class_name: the class, or ``mean``.
        champion, challenger, low, high: Dice, and the interval of its difference, by `sss_model.evaluation.comparison`.
        margin: how far the interval may reach below zero; None for the mean, which no margin is set for.
        objection: why it does not hold; None where it does.
    """

    class_name: str
    champion: float | None
    challenger: float | None
    low: float | None
    high: float | None
    margin: float | None
    objection: str | None

    @property
    def difference(self) -> float | None:
        """Challenger minus champion."""
        if self.champion is None or self.challenger is None:
            return None
        return self.challenger - self.champion


@dataclass(frozen=True)
class Verdict:
    """What the gate says, line by line."""

    lines: tuple[Line, ...]
    patients: int
    cases: int

    @property
    def objections(self) -> list[str]:
        return [line.objection for line in self.lines if line.objection]

    def numbers(self) -> dict[str, Any]:
        """For the record, short enough for a tag."""
        rows = {
            line.class_name: {
                "champion": _short(line.champion),
                "challenger": _short(line.challenger),
                "interval": [_short(line.low), _short(line.high)],
                "margin": line.margin,
            }
            for line in self.lines
        }
        return {"patients": self.patients, "cases": self.cases, "dice": rows}


def judge(champion: Sequence[Score] | None, challenger: Sequence[Score], promotion: Promotion, *, seed: int) -> Verdict:
    """Judge a challenger by the rows of its evaluation.

    Each class must be non-inferior: the whole interval of its difference lies above minus its margin. The mean must
    reach ``promotion.min_dice``; where there is no champion, that is all.

    Args:
        champion: rows of the same cases, or None where there is no champion.
        challenger: at least one row.
        promotion: section ``promotion`` of the recipe.
        seed: of the bootstrap.

    Raises:
        InputError: the rows do not pair or were prompted, or ``promotion.class_margins`` names an unknown class.
    """
    refuse_prompted(challenger)
    _refuse_unknown_classes(challenger, promotion)
    if champion is None:
        lines = _alone(challenger, promotion)
    else:
        found = compare(champion, challenger, confidence=promotion.confidence, resamples=promotion.resamples, seed=seed)
        lines = [_compared(difference, promotion) for difference in found]
    patients, cases = {row.patient for row in challenger}, {row.case for row in challenger}
    return Verdict(tuple(lines), len(patients), len(cases))


def _compared(difference: Difference, promotion: Promotion) -> Line:
    name, low = difference.class_name, difference.low
    margin = None if name == OVERALL else promotion.class_margins.get(name, promotion.margin)
    if margin is None:
        objection = _too_low(difference.challenger, promotion)
    elif difference.challenger is None:
        objection = f"{name}: no test case shows it; expected at least two patients who do"
    elif low is None:
        objection = f"{name}: one test patient alone shows it; expected at least two"
    elif low <= -margin:
        objection = f"{name}: may lose up to {abs(low):.3f} Dice against the champion; expected less than {margin:g}"
    else:
        objection = None
    return Line(name, difference.champion, difference.challenger, low, difference.high, margin, objection)


def _alone(challenger: Sequence[Score], promotion: Promotion) -> list[Line]:
    summary = aggregate(challenger)
    means = {name: means["dice"] for name, means in summary["per_class"].items()}
    lines = [
        Line(name, None, dice, None, None, None, f"{name}: no test case shows it" if dice is None else None)
        for name, dice in means.items()
    ]
    dice = summary["dice"]
    return [*lines, Line(OVERALL, None, dice, None, None, None, _too_low(dice, promotion))]


def _too_low(dice: float | None, promotion: Promotion) -> str | None:
    if dice is not None and dice >= promotion.min_dice:
        return None
    found = "not applicable" if dice is None else f"{dice:.3f}"
    return f"mean Dice {found}; expected at least {promotion.min_dice:g} (promotion.min_dice)"


def _refuse_unknown_classes(scores: Sequence[Score], promotion: Promotion) -> None:
    known = dict.fromkeys(score.class_name for score in scores)
    unknown = [name for name in promotion.class_margins if name not in known]
    if unknown:
        raise InputError(
            f"promotion.class_margins: found {unknown[0]}; expected classes of the data, {', '.join(known)}"
        )


def _short(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
