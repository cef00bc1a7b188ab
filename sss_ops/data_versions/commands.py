"""``sss data``: versions of the scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_model.errors import InputError
from sss_ops.command_line import new_app
from sss_ops.data_versions.store import open_dvc_store
from sss_ops.text_table import aligned

if TYPE_CHECKING:
    from sss_ops.data_versions.add import Added
    from sss_ops.data_versions.difference import Changes, Difference
    from sss_ops.data_versions.personal_data import Finding
    from sss_ops.data_versions.versions import DataVersionRow

_SHORT = 10

app = new_app(help="Versions of the scans: add one, list them, compare two.")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of data sets that DVC tracks.")]
Tracked = Annotated[Path, typer.Option("--folder", help="Folder of data sets that DVC tracks.")]
Remote = Annotated[str | None, typer.Option(help="Name of DVC's remote; its default one if not given.")]
_DATA = Path("data")


@app.command("add")
def add(
    folder: Folder = _DATA,
    no_push: Annotated[bool, typer.Option("--no-push", help="Keep the version on this machine.")] = False,
    remote: Remote = None,
    allow_identifiable: Annotated[
        bool, typer.Option("--allow-identifiable", help="Push also scans whose headers hold names or birth dates.")
    ] = False,
) -> None:
    """Make what the folder holds now the version, push it to DVC's remote, and say what changed.

    Scans whose headers tell who they are of are not pushed. A push that was cut off goes on when run again.

    Example: sss data add
    """
    from sss_ops.data_versions.add import add_version

    added = add_version(
        folder, push=not no_push, remote=remote, allow_identifiable=allow_identifiable, on_finding=_warn_of
    )
    typer.echo(added_text(added))


@app.command("check")
def check(folder: Folder = _DATA) -> None:
    """List the fields of scans' headers that hold names, birth dates or DICOM's identifiers; exit code 2 if any does.

    Example: sss data check
    """
    from sss_ops.data_versions.personal_data import find_personal_data

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected scans")
    findings = find_personal_data(folder)
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise InputError(f"{folder}: {len(findings)} fields tell who the scans are of; expected none")
    typer.echo(f"{folder}: no names or birth dates in the headers")


@app.command("versions")
def versions(
    folder: Folder = _DATA,
    ask_remote: Annotated[
        bool, typer.Option("--ask-remote", help="Count cases also of versions that are not on this machine.")
    ] = False,
    remote: Remote = None,
) -> None:
    """List the versions in git's history, newest first; * marks the present one.

    Example: sss data versions
    """
    from sss_ops.data_versions.versions import list_data_versions

    record = _record(folder)
    with open_dvc_store(record.parent, remote) as store:
        typer.echo(versions_table(list_data_versions(record, store, ask_remote=ask_remote)))


@app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="Revision of git, or a version's md5 or its beginning.")],
    new: Annotated[str | None, typer.Argument(metavar="B", help="The same; the present version if not given.")] = None,
    folder: Tracked = _DATA,
    remote: Remote = None,
) -> None:
    """Say which cases and patients differ between two versions; listings are read, scans are not fetched.

    Example: sss data diff HEAD~1 HEAD
    """
    from sss_ops.data_versions.contents import read_contents
    from sss_ops.data_versions.difference import compare_contents
    from sss_ops.data_versions.versions import resolve_version

    record = _record(folder)
    before, after = resolve_version(old, record), resolve_version(new, record)
    with open_dvc_store(record.parent, remote) as store:
        difference = compare_contents(read_contents(before, store.read), read_contents(after, store.read))
    typer.echo(difference_text(before, after, difference))


def _record(folder: Path) -> Path:
    """DVC's file beside the folder, which need not be there itself."""
    return folder.resolve().parent / f"{folder.resolve().name}.dvc"


def _warn_of(finding: Finding) -> None:
    typer.secho(f"warning: {finding}", fg="yellow", err=True)


def added_text(added: Added) -> str:
    """Describe an addition, and what to commit."""
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


def versions_table(rows: Sequence[DataVersionRow]) -> str:
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
