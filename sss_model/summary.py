"""Scores of many cases as a few numbers, and both as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from sss_model.files import write_atomically
from sss_model.metrics import RULES, Score, Status

MEASURES = ("dice", "jaccard", "hd95_mm", "asd_mm")
SSL4MIS_MEASURES = ("dice", "jaccard", "hd95_voxel", "asd_voxel")


def aggregate(scores: Sequence[Score]) -> dict[str, Any]:
    """Average over volumes, then over classes.

    Args:
        scores: rows of one evaluation, at least one.

    Returns:
        The content of ``metrics.json``: a class or a mean without any applicable volume is None. It holds no time, path
        or run id, so that equal predictions give equal files.
    """
    ours = _means(scores, {name: name for name in MEASURES})
    literature = _means(scores, {name: f"ssl4mis_{name}" for name in SSL4MIS_MEASURES})
    return {
        **ours,
        "counts": {status: sum(score.status == status for score in scores) for status in get_args(Status)},
        "ssl4mis": literature,
        "cases": len({score.case for score in scores}),
        "patients": len({score.patient for score in scores}),
        "prompt_source": ", ".join(sorted({score.prompt_source for score in scores})),
        "rules": RULES,
    }


def write_scores(scores: Sequence[Score], path: Path) -> None:
    """Write ``cases.csv``: one row per case and class; what is not applicable is blank."""
    _write_rows([score.row() for score in scores], path)


def write_per_class(summary: dict[str, Any], path: Path) -> None:
    """Write ``per_class.csv``, the means of each class as a table that can be plotted."""
    _write_rows([{"class": name, **means} for name, means in summary["per_class"].items()], path)


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Write ``metrics.json``, the same bytes for the same numbers."""
    write_atomically(path, (json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def _write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rounded(row) for row in rows)
    write_atomically(path, text.getvalue().encode())


def _means(scores: Sequence[Score], fields: dict[str, str]) -> dict[str, Any]:
    per_class = {
        structure: {name: _mean(getattr(score, field) for score in rows) for name, field in fields.items()}
        for structure, rows in _by_class(scores).items()
    }
    overall = {name: _mean(means[name] for means in per_class.values()) for name in fields}
    return {**_rounded(overall), "per_class": _rounded(per_class)}


def _by_class(scores: Sequence[Score]) -> dict[str, list[Score]]:
    structures = dict.fromkeys(score.class_name for score in scores)
    return {name: [score for score in scores if score.class_name == name] for name in structures}


def _mean(values: Iterable[float | None]) -> float | None:
    applicable = [value for value in values if value is not None]
    return fmean(applicable) if applicable else None


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 6) if isinstance(value, float) else value
