"""An evaluation's numbers as files: the rows of every case, what was made of them, and the rows read back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from sss_model.errors import InputError
from sss_model.evaluation.metrics import Score, Status
from sss_model.evaluation.summary import round_all
from sss_model.evaluation.volumetry import Ejection
from sss_model.files import write_atomically


def write_scores(scores: Sequence[Score], path: Path) -> None:
    """Write ``cases.csv``: one row per case and class; what is not applicable is blank."""
    _write_rows([score.row() for score in scores], path)


def read_scores(path: Path) -> list[Score]:
    """Read what `write_scores` wrote.

    Raises:
        InputError: the file is missing, has other columns, or holds a value that no evaluation writes.
    """
    expected = [_column(field.name) for field in fields(Score)]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the scores of an evaluation") from None
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a CSV file; expected the scores of an evaluation") from None
    if columns != expected or not rows:
        raise InputError(f"{path}: {len(rows)} rows of {', '.join(columns)}; expected rows of {', '.join(expected)}")
    return [_score(row, f"{path}, line {number}") for number, row in enumerate(rows, start=2)]


def write_per_class(summary: dict[str, Any], path: Path) -> None:
    """Write ``per_class.csv``, the means of each class as a table that can be plotted."""
    _write_rows([{"class": name, **means} for name, means in summary["per_class"].items()], path)


def write_ejection(fractions: Sequence[Ejection], path: Path) -> None:
    """Write ``ejection.csv``, a row a patient; nothing where there is none."""
    if fractions:
        _write_rows([one.row() for one in fractions], path)


def summary_bytes(summary: dict[str, Any]) -> bytes:
    """The content of ``summary.json`` or ``metrics.json``, the same bytes for the same numbers."""
    return (json.dumps(summary, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(round_all(row) for row in rows)
    write_atomically(path, text.getvalue().encode())


def _column(name: str) -> str:
    return "class" if name == "class_name" else name


def _score(row: dict[str, str], where: str) -> Score:
    try:
        return Score(**{field.name: _parser(str(field.type))(row[_column(field.name)]) for field in fields(Score)})
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: a value that can't be read ({error}); expected a row of cases.csv") from None


def _parser(kind: str) -> Callable[[str], Any]:
    parsers: dict[str, Callable[[str], Any]] = {
        "str": str,
        "float": float,
        "float | None": lambda text: float(text) if text else None,
        "Status": _status,
    }
    return parsers[kind]


def _status(text: str) -> str:
    if text not in get_args(Status):
        raise ValueError(f"status {text!r}")
    return text
