"""Versions and differences as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from components.text_table import aligned

if TYPE_CHECKING:
    from components.data_versions.add import Added
    from components.data_versions.difference import Changes, Difference
    from components.data_versions.listing import Row

_SHORT = 10


def added_text(added: Added) -> str:
    """What became of an addition, and what to commit."""
    name = added.record.stem
    total = f"{len(added.contents.cases)} cases of {len(added.contents.patients) or 'unknown'} patients"
    if added.old == added.new:
        lines = [f"{name}: version {added.new}, as before: {total}"]
    else:
        lines = [f"{name}: version {added.old or 'none'} → {added.new}: {total}", *_numbers(added)]
    lines.append(f"pushed to {added.pushed_to}" if added.pushed_to else "not pushed: only this machine has it")
    if added.to_commit:
        files = " ".join(added.to_commit)
        lines.append(f"commit it: git add {files} && git commit -m 'Data version {added.new[:_SHORT]}'")
    return "\n".join(lines)


def versions_table(rows: Sequence[Row]) -> str:
    """Aligned columns; a number that isn't known is a dash."""
    columns = ["", "date", "commit", "version", "cases", "patients", "message"]
    cells = []
    for row in rows:
        counts = (_or_dash(row.cases), _or_dash(row.patients))
        cells.append(["*" if row.present else "", row.date, row.commit, row.version, *counts, row.message])
    return "\n".join(aligned(columns, cells))


def difference_text(old: str, new: str, difference: Difference) -> str:
    """Numbers, then every case, patient and other file that differs."""
    lines = [f"{old} → {new}"]
    if old == new:
        return "\n".join([*lines, "the same version"])
    lines += [f"cases: {difference.cases.counts()}", f"patients: {difference.patients.counts()}"]
    for title, changes in (("cases", difference.cases), ("patients", difference.patients)):
        lines += _names(title, changes, difference.what if title == "cases" else {})
    return "\n".join([*lines, *_names("other files", difference.others, {})])


def _numbers(added: Added) -> list[str]:
    if added.difference is None:
        where = "in the cache or the remote" if added.pushed_to else "in the cache"
        return [f"what changed is not known: the old version's listing is not {where}"]
    return [
        f"cases: {added.difference.cases.counts()}",
        f"patients: {added.difference.patients.counts()}",
        f"other files: {added.difference.others.counts()}",
    ]


def _names(title: str, changes: Changes, what: dict[str, str]) -> Iterator[str]:
    if not changes:
        return
    yield f"\n{title}"
    for sign, names in (("+", changes.added), ("~", changes.changed), ("-", changes.removed)):
        yield from (f"{sign} {name}" + (f"  ({what[name]})" if sign == "~" and name in what else "") for name in names)


def _or_dash(number: int | None) -> str:
    return "–" if number is None else str(number)
