"""CSV tables whose rows are dataclasses: each field is a column, read back by its type.

A cell holds a text, a number, ``true`` or ``false``, numbers joined by ``x`` (a tuple), or nothing (None). Files are
UTF-8 with one ``\\n`` a line; the same rows give the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from sss_model.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = TypeVar("Row", bound=DataclassInstance)


class Line(NamedTuple):
    """One row as text: its cells by column (empty where the row is short), and ``file, line n`` for error messages."""

    where: str
    cells: dict[str, str]


class Table(NamedTuple):
    """A CSV file's columns, in its order, and its lines."""

    columns: list[str]
    lines: list[Line]


def columns_of(kind: type[DataclassInstance]) -> list[str]:
    """Names of a dataclass's columns: its fields, except mappings; ``metadata={"column": …}`` renames one.

    >>> from dataclasses import dataclass, field
    >>> @dataclass
    ... class Score:
    ...     case: str
    ...     class_name: str = field(metadata={"column": "class"})
    >>> columns_of(Score)
    ['case', 'class']
    """
    return list(_parsers(kind))


def cells_of(row: DataclassInstance) -> dict[str, object]:
    """A row's values by column."""
    return {column: getattr(row, name) for column, (name, _) in _parsers(type(row)).items()}


def table_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """The content of a CSV file; other keys of the rows are left out, missing ones are empty cells.

    >>> table_bytes(["case", "shape", "labelled"], [{"case": "a", "shape": (8, 6, 4), "labelled": True}])
    b'case,shape,labelled\\na,8x6x4,true\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue().encode()


def read_table(path: Path, columns: Sequence[str], *, expected: str) -> Table:
    """Read a CSV file, which a spreadsheet may have saved with a byte-order mark, semicolons or tabs.

    Args:
        columns: those that must be there; there may be more.
        expected: ends the error message.

    Raises:
        InputError: no such file, not CSV, or a column is missing.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {expected}") from None
    return parse_table(data, columns, where=path, expected=expected)


def parse_table(data: bytes, columns: Sequence[str], *, where: Path | str, expected: str) -> Table:
    """Read the bytes of a CSV file as `read_table` does; `where` opens the error message.

    >>> parse_table(b"case;group\\nb;NOR\\n", ["case"], where="splits.csv", expected="a column case").lines
    [Line(where='splits.csv, line 2', cells={'case': 'b', 'group': 'NOR'})]
    """
    try:
        text = data.decode("utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
        rows, found = list(reader), list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"{where}: not a CSV file in UTF-8; expected {expected}") from None
    missing = [column for column in columns if column not in found]
    if missing:
        raise InputError(f"{where}: no column {missing[0]}; expected {expected}")
    return Table(found, [Line(f"{where}, line {number}", cells) for number, cells in enumerate(rows, start=2)])


def parse_row(kind: type[Row], line: Line, *, expected: str, **given: Any) -> Row:
    """Make a dataclass of a line's cells.

    Args:
        expected: ends the error message.
        given: fields that no column holds.

    Raises:
        InputError: a cell doesn't hold a value of its field's type.
    """
    values = dict(given)
    for column, (name, parse) in _parsers(kind).items():
        text = line.cells[column]
        try:
            values[name] = parse(text)
        except (ValueError, KeyError):
            problem = f"a value that can't be read ({column} {text!r})"
            raise InputError(f"{line.where}: {problem}; expected {expected}") from None
    return kind(**values)


@cache
def _parsers(kind: type[DataclassInstance]) -> dict[str, tuple[str, Callable[[str], Any]]]:
    """By column, the field's name and how a cell becomes its value."""
    hints = get_type_hints(kind)
    return {
        _column(field): (field.name, _parser(hints[field.name])) for field in fields(kind) if _is_cell(hints, field)
    }


def _is_cell(hints: Mapping[str, Any], field: Field[Any]) -> bool:
    return get_origin(hints[field.name]) not in (dict, Mapping)


def _column(field: Field[Any]) -> str:
    return str(field.metadata.get("column", field.name))


def _parser(hint: Any) -> Callable[[str], Any]:
    if hint is bool:
        return {"true": True, "false": False}.__getitem__
    kinds = get_args(hint)
    if get_origin(hint) is Literal:
        return {kind: kind for kind in kinds}.__getitem__
    if get_origin(hint) is tuple:
        number = _parser(kinds[0])
        return lambda text: tuple(number(part) for part in text.split("x"))
    if isinstance(hint, UnionType):
        [kind] = (kind for kind in kinds if kind is not NoneType)
        value = _parser(kind)
        return lambda text: value(text) if text else None
    return hint


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return "x".join(f"{number:.9g}" for number in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value
