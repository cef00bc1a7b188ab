"""What an export holds: where its masks came from, a row a case, and what a person says of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sss_model.errors import InputError
from sss_model.files import write_atomically

TABLE, ORIGIN, PREDICTED = "corrections.csv", "export.json", "predicted"
_DONE = {
    "": None,
    **dict.fromkeys(("yes", "y", "true", "1", "x"), True),
    **dict.fromkeys(("no", "n", "false", "0"), False),
}


class Origin(BaseModel):
    """``export.json``: whose predictions the masks are, of which data set, and when they were written."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    dataset: str
    labels: dict[str, int]
    model_weights_sha256: str
    model_method: str
    model_data_version: str
    model_git_revision: str | None
    exported: str
    """UTC, as ISO 8601 writes it."""


@dataclass(frozen=True)
class Exported:
    """One row of ``corrections.csv``.

    Attributes:
        image, mask: files of the folder; the model's own mask also lies, under the same name, in ``predicted``.
        image_sha256, mask_sha256: of their bytes when they were exported.
        done: ``yes`` takes a mask that is right as it is, ``no`` leaves out one that is not finished; nothing takes
            what was saved since.
    """

    case: str
    patient: str
    image: str
    mask: str
    image_sha256: str
    mask_sha256: str
    done: str = ""

    @property
    def verdict(self) -> bool | None:
        """What `done` says; None where it says nothing."""
        return _DONE[self.done.strip().lower()]


@dataclass(frozen=True)
class Export:
    """A folder of scans and masks, as `sss_model.corrections.export` writes it."""

    folder: Path
    origin: Origin
    rows: tuple[Exported, ...]


def write_export(export: Export) -> None:
    """Write ``export.json`` and ``corrections.csv``."""
    content = json.dumps(export.origin.model_dump(), indent=2) + "\n"
    write_atomically(export.folder / ORIGIN, content.encode())
    write_rows([asdict(row) for row in export.rows], _COLUMNS, export.folder / TABLE)


def read_export(folder: Path) -> Export:
    """Read a folder that came back; raises `InputError` where it is no export, or its table can't be read."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one that sss export corrections wrote")
    try:
        origin = Origin.model_validate_json((folder / ORIGIN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: no {ORIGIN}; expected a folder that sss export corrections wrote") from None
    except (ValidationError, UnicodeDecodeError):
        raise InputError(f"{folder / ORIGIN}: can't be read; expected it as sss export corrections wrote it") from None
    rows = tuple(_row(cells, folder) for cells in read_rows(folder / TABLE, _COLUMNS))
    return Export(folder, origin, rows)


def write_rows(rows: Sequence[dict[str, object]], columns: Sequence[str], path: Path) -> None:
    """Write a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, which a spreadsheet may have saved with semicolons or tabs.

    Raises:
        InputError: no such file, not CSV, a column missing, or a case that is there twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a table with {', '.join(columns)}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a CSV file in UTF-8; expected a table with {', '.join(columns)}") from None
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    missing = [column for column in columns if column not in (reader.fieldnames or [])]
    if missing:
        raise InputError(f"{path}: no column {missing[0]}; expected {', '.join(columns)}")
    rows = list(reader)
    cases = [row["case"] for row in rows]
    twice = sorted({case for case in cases if cases.count(case) > 1})
    if twice:
        raise InputError(f"{path}: case {twice[0]} has several rows; expected one")
    return rows


_COLUMNS = [field.name for field in fields(Exported)]


def _row(cells: dict[str, str], folder: Path) -> Exported:
    row = Exported(**{name: cells[name] for name in _COLUMNS})
    if row.done.strip().lower() not in _DONE:
        raise InputError(f"{folder / TABLE}: case {row.case} has {row.done!r} under done; expected yes, no or nothing")
    if Path(row.mask).name != row.mask:
        raise InputError(f"{folder / TABLE}: case {row.case} has the mask {row.mask}; expected a file of this folder")
    return row
