"""An export's files: ``export.json`` (origin of the masks) and ``corrections.csv`` (a row per case, with its state)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io.tables import Line, cells_of, columns_of, parse_row, read_table, table_bytes

TABLE, ORIGIN, PREDICTED = "corrections.csv", "export.json", "predicted"
_DONE = {
    "": None,
    **dict.fromkeys(("yes", "y", "true", "1", "x"), True),
    **dict.fromkeys(("no", "n", "false", "0"), False),
}


class Origin(BaseModel):
    """``export.json``: the model and data set of the masks, and when they were written."""

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
        done: ``yes`` takes a mask as it is, ``no`` leaves out an unfinished one; empty takes it if it was saved since.
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
        """`done` as a truth value; None where it is empty."""
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
    write_atomically(export.folder / TABLE, table_bytes(_COLUMNS, map(cells_of, export.rows)))


def read_export(folder: Path) -> Export:
    """Read an export that was corrected; raises `InputError` where it is no export, or its table can't be read."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one that sss export corrections wrote")
    try:
        origin = Origin.model_validate_json((folder / ORIGIN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: no {ORIGIN}; expected a folder that sss export corrections wrote") from None
    except (ValidationError, UnicodeDecodeError):
        raise InputError(f"{folder / ORIGIN}: can't be read; expected it as sss export corrections wrote it") from None
    rows = tuple(_exported(line, folder / TABLE) for line in read_cases(folder / TABLE, _COLUMNS))
    return Export(folder, origin, rows)


def read_cases(path: Path, columns: Sequence[str]) -> list[Line]:
    """Read a table with a row per case; raises `InputError` as `read_table` does, or for a case that is there twice."""
    lines = read_table(path, columns, expected=f"a table with {', '.join(columns)}").lines
    twice = [case for case, count in Counter(line.cells["case"] for line in lines).items() if count > 1]
    if twice:
        raise InputError(f"{path}: case {min(twice)} has several rows; expected one")
    return lines


_COLUMNS = columns_of(Exported)


def _exported(line: Line, path: Path) -> Exported:
    row = parse_row(Exported, line, expected="a row of an export")
    if row.done.strip().lower() not in _DONE:
        raise InputError(f"{path}: case {row.case} has {row.done!r} under done; expected yes, no or nothing")
    if Path(row.mask).name != row.mask:
        raise InputError(f"{path}: case {row.case} has the mask {row.mask}; expected a file of this folder")
    return row
