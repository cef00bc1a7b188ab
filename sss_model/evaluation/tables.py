"""The files of an evaluation: ``cases.csv``, ``per_class.csv``, ``ejection.csv`` and the JSON records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sss_model.errors import InputError
from sss_model.evaluation.metrics import Score
from sss_model.evaluation.summary import round_all
from sss_model.evaluation.volumetry import Ejection
from sss_model.files import write_atomically
from sss_model.io.tables import cells_of, columns_of, parse_row, read_table, table_bytes


def write_scores(scores: Sequence[Score], path: Path) -> None:
    """Write ``cases.csv``: one row per case and class; what is not applicable is blank."""
    _write_rows([cells_of(score) for score in scores], path)


def read_scores(path: Path) -> list[Score]:
    """Read what `write_scores` wrote.

    Raises:
        InputError: the file is missing, has other columns, or holds a value that no evaluation writes.
    """
    expected = columns_of(Score)
    columns, lines = read_table(path, (), expected="the scores of an evaluation")
    if columns != expected or not lines:
        raise InputError(f"{path}: {len(lines)} rows of {', '.join(columns)}; expected rows of {', '.join(expected)}")
    return [parse_row(Score, line, expected="a row of cases.csv") for line in lines]


def write_per_class(summary: dict[str, Any], path: Path) -> None:
    """Write ``per_class.csv``, the means of each class as a table that can be plotted."""
    _write_rows([{"class": name, **means} for name, means in summary["per_class"].items()], path)


def write_ejection(fractions: Sequence[Ejection], path: Path) -> None:
    """Write ``ejection.csv``, a row a patient; nothing where there is none."""
    if fractions:
        _write_rows([cells_of(one) for one in fractions], path)


def summary_bytes(summary: dict[str, Any]) -> bytes:
    """The content of ``summary.json`` or ``metrics.json``, the same bytes for the same numbers."""
    return (json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _write_rows(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    write_atomically(path, table_bytes(list(rows[0]), [round_all(row) for row in rows]))
