"""Scores of many cases as a few numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, get_args

from sss_model.evaluation.intervals import confidence_intervals
from sss_model.evaluation.metrics import RULES, Score, Status
from sss_model.evaluation.volumetry import ejection_fractions, summarise_ejection, volume_agreement

MEASURES = ("dice", "jaccard", "hd95_mm", "asd_mm", "nsd")
SSL4MIS_MEASURES = ("dice", "jaccard", "hd95_voxel", "asd_voxel")
SUMMARY_FILE = "summary.json"
"""The whole record in an evaluation's folder."""


def aggregate(scores: Sequence[Score], *, ejection_class: str | None = None) -> dict[str, Any]:
    """Average over volumes, then over classes, and say how sure these means are.

    Args:
        scores: rows of one evaluation, at least one.
        ejection_class: the cavity whose ejection fraction counts; None for none.

    Returns:
        The content of ``summary.json`` that follows from ``cases.csv``: a class or a mean without any applicable volume
        is None. It holds no time, path or run id, so that equal predictions give equal files.
    """
    groups = by(scores, "group")
    summary = {
        **means(scores),
        "counts_per_class": {name: count(rows) for name, rows in by(scores, "class_name").items()},
        "intervals": confidence_intervals(scores, MEASURES),
        "groups": {name: means(rows) for name, rows in sorted(groups.items())} if len(groups) > 1 else {},
        "volumes_ml": volume_agreement(scores),
        "prompt_source": ", ".join(sorted({score.prompt_source for score in scores})),
        "rules": RULES,
    }
    if ejection_class is not None:
        summary["ejection"] = summarise_ejection(ejection_fractions(scores, ejection_class), ejection_class)
    rounded: dict[str, Any] = round_all(summary)
    return rounded


def means(scores: Sequence[Score]) -> dict[str, Any]:
    """Means over volumes, then over classes, of ours and of the literature's measures, and what was counted."""
    return {
        **_means(scores, {name: name for name in MEASURES}),
        "counts": count(scores),
        "ssl4mis": _means(scores, {name: f"ssl4mis_{name}" for name in SSL4MIS_MEASURES}),
        "cases": len({score.case for score in scores}),
        "patients": len({score.patient for score in scores}),
    }


def main_figures(summary: Mapping[str, Any]) -> dict[str, float | int | None]:
    """The content of ``metrics.json``: the main figures of a summary, flat and with four decimals.

    >>> figures = {"dice": 0.81234, "hd95_mm": None, "asd_mm": 1.0, "cases": 2, "per_class": {"wall": {"dice": 0.5}}}
    >>> main_figures(figures)
    {'dice': 0.8123, 'dice_wall': 0.5, 'hd95_mm': None, 'asd_mm': 1.0, 'cases': 2}
    """
    figures = {
        "dice": summary["dice"],
        **{f"dice_{name}": of_class["dice"] for name, of_class in summary["per_class"].items()},
        **{name: summary[name] for name in ("hd95_mm", "asd_mm", "cases")},
    }
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def count(scores: Sequence[Score]) -> dict[str, int]:
    """How many structures were scored, missed, invented and not applicable."""
    return {status: sum(score.status == status for score in scores) for status in get_args(Status)}


def by(scores: Sequence[Score], field: str) -> dict[str, list[Score]]:
    """Rows by the value of an attribute, in the order in which values first appear."""
    names = dict.fromkeys(getattr(score, field) for score in scores)
    return {name: [score for score in scores if getattr(score, field) == name] for name in names}


def round_all(value: Any) -> Any:
    """Nested dictionaries with six decimals, which is what files hold."""
    if isinstance(value, dict):
        return {key: round_all(item) for key, item in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def _means(scores: Sequence[Score], fields: dict[str, str]) -> dict[str, Any]:
    per_class = {
        structure: {name: _mean(getattr(score, field) for score in rows) for name, field in fields.items()}
        for structure, rows in by(scores, "class_name").items()
    }
    return {**{name: _mean(of[name] for of in per_class.values()) for name in fields}, "per_class": per_class}


def _mean(values: Iterable[float | None]) -> float | None:
    applicable = [value for value in values if value is not None]
    return fmean(applicable) if applicable else None
