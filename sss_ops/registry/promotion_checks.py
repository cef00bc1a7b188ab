"""The promotion checks: whether a version's scores are good enough to become the champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_model.evaluation.comparison import OVERALL, compare, refuse_prompted
from sss_model.evaluation.summary import aggregate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sss_model.config import Promotion
    from sss_model.evaluation.comparison import DiceDifference
    from sss_model.evaluation.metrics import Score


@dataclass(frozen=True)
class ClassCheck:
    """The check of one class, or of the mean over classes.

    Attributes:
        class_name: the class, or ``mean``.
        champion, challenger: mean Dice; None where there is no champion, or no case shows the class.
        low, high: confidence interval of the difference in Dice, see `sss_model.evaluation.comparison`.
        margin: how far the interval may reach below zero; None for the mean, which has no margin.
        objection: why the check fails; None where it holds.

    >>> check = ClassCheck("wall", 0.70, 0.75, -0.01, 0.11, margin=0.05, objection=None)
    >>> round(check.difference, 3)
    0.05
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
    """The checks of all classes, then of their mean, on so many patients and cases.

    >>> fails = ClassCheck("wall", 0.7, 0.6, -0.2, 0.0, margin=0.05, objection="wall: may lose up to 0.200 Dice")
    >>> Verdict((fails,), patients=4, cases=8).objections
    ['wall: may lose up to 0.200 Dice']
    """

    checks: tuple[ClassCheck, ...]
    patients: int
    cases: int

    @property
    def objections(self) -> list[str]:
        return [check.objection for check in self.checks if check.objection]

    def numbers(self) -> dict[str, Any]:
        """For the decision's record, short enough for a tag."""
        rows = {
            check.class_name: {
                "champion": _rounded(check.champion),
                "challenger": _rounded(check.challenger),
                "interval": [_rounded(check.low), _rounded(check.high)],
                "margin": check.margin,
            }
            for check in self.checks
        }
        return {"patients": self.patients, "cases": self.cases, "dice": rows}


def check_promotion(
    champion: Sequence[Score] | None, challenger: Sequence[Score], promotion: Promotion, *, seed: int
) -> Verdict:
    """Check a challenger's scores, against the champion's where there is one.

    Each class must be non-inferior: the whole confidence interval of its difference lies above minus its margin. The
    mean must reach ``promotion.min_dice``; without a champion, that is all.

    Args:
        champion: scores on the same cases, or None where there is no champion.
        challenger: at least one row.
        promotion: section ``promotion`` of the recipe.
        seed: of the bootstrap.

    Raises:
        InputError: the rows do not pair or were prompted, or ``promotion.class_margins`` names an unknown class.
    """
    refuse_prompted(challenger)
    _refuse_unknown_classes(challenger, promotion)
    if champion is None:
        checks = _without_champion(challenger, promotion)
    else:
        found = compare(champion, challenger, confidence=promotion.confidence, resamples=promotion.resamples, seed=seed)
        checks = [_check(difference, promotion) for difference in found]
    patients, cases = {row.patient for row in challenger}, {row.case for row in challenger}
    return Verdict(tuple(checks), len(patients), len(cases))


def _check(difference: DiceDifference, promotion: Promotion) -> ClassCheck:
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
    return ClassCheck(name, difference.champion, difference.challenger, low, difference.high, margin, objection)


def _without_champion(challenger: Sequence[Score], promotion: Promotion) -> list[ClassCheck]:
    summary = aggregate(challenger)
    means = {name: means["dice"] for name, means in summary["per_class"].items()}
    checks = [
        ClassCheck(name, None, dice, None, None, None, f"{name}: no test case shows it" if dice is None else None)
        for name, dice in means.items()
    ]
    dice = summary["dice"]
    return [*checks, ClassCheck(OVERALL, None, dice, None, None, None, _too_low(dice, promotion))]


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


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 4)
