"""Where a model failed: the worst of its evaluation, in sentences a person can follow up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sss_model.metrics import Score

MOST_CASES = 5
MOST_STRUCTURES = 2
"""Of a case."""


def failure_cases(scores: Sequence[Score], *, most: int = MOST_CASES) -> list[str]:
    """The worst cases of an evaluation and what went wrong in each, the worst first.

    A case is as bad as its worst structure. What was missed or invented comes first, the larger the earlier, then the
    rest by Dice.

    Args:
        scores: rows of one evaluation.
        most: how many cases to name.
    """
    cases: dict[str, list[Score]] = {}
    for score in sorted((score for score in scores if score.dice is not None), key=_how_bad):
        cases.setdefault(score.case, []).append(score)
    return [_sentence(rows[:MOST_STRUCTURES]) for rows in list(cases.values())[:most]]


def _how_bad(score: Score) -> tuple[bool, float, float]:
    if score.status == "scored":
        return True, score.dice or 0.0, -abs(score.volume_error_ml)
    return False, 0.0, -abs(score.volume_error_ml)


def _sentence(rows: Sequence[Score]) -> str:
    group = f" ({rows[0].group})" if rows[0].group else ""
    return f"{rows[0].case}{group}: {'; '.join(map(_what, rows))}"


def _what(score: Score) -> str:
    if score.status == "missed":
        return f"{score.class_name} missed, {_millilitres(score.truth_ml)} in the label"
    if score.status == "invented":
        return f"{score.class_name} invented, {_millilitres(score.predicted_ml)} that the label does not show"
    return (
        f"{score.class_name} Dice {score.dice:.3f}, HD95 {score.hd95_mm:.1f} mm, "
        f"{_millilitres(score.predicted_ml)} instead of {_millilitres(score.truth_ml)}"
    )


def _millilitres(volume: float) -> str:
    return f"{volume:.1f} ml" if volume >= 1 else f"{volume:.2g} ml"
