"""Where a model failed: the worst of its evaluation, in sentences a person can follow up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sss_model.metrics import Score

MOST = 6


def failure_cases(scores: Sequence[Score], *, most: int = MOST) -> list[str]:
    """The worst structures of an evaluation and what went wrong with each, the worst first.

    What was missed or invented comes first, the larger the earlier, then the rest by Dice.

    Args:
        scores: rows of one evaluation.
        most: how many to name.
    """
    wrong = sorted((score for score in scores if score.dice is not None), key=_how_bad)
    return [_sentence(score) for score in wrong[:most]]


def _how_bad(score: Score) -> tuple[bool, float, float]:
    if score.status == "scored":
        return True, score.dice or 0.0, -abs(score.volume_error_ml)
    return False, 0.0, -abs(score.volume_error_ml)


def _sentence(score: Score) -> str:
    who = f"{score.case} ({score.group})" if score.group else score.case
    if score.status == "missed":
        what = f"missed, {_millilitres(score.truth_ml)} in the label"
    elif score.status == "invented":
        what = f"invented, {_millilitres(score.predicted_ml)} that the label does not show"
    else:
        what = (
            f"Dice {score.dice:.3f}, HD95 {score.hd95_mm:.1f} mm, {_millilitres(score.predicted_ml)} "
            f"instead of {_millilitres(score.truth_ml)}"
        )
    return f"{who}: {score.class_name} {what}"


def _millilitres(volume: float) -> str:
    return f"{volume:.1f} ml" if volume >= 1 else f"{volume:.2g} ml"
