"""``sss data``: versions of the scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.command_line import new_app

if TYPE_CHECKING:
    from components.data_versions.headers import Finding

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
    from components.data_versions.add import add as add_version
    from components.data_versions.tables import added_text

    added = add_version(
        folder, push=not no_push, remote=remote, allow_identifiable=allow_identifiable, on_finding=_warn_of
    )
    typer.echo(added_text(added))


@app.command("check")
def check(folder: Folder = _DATA) -> None:
    """List the fields of scans' headers that hold names, birth dates or DICOM's identifiers; exit code 2 if any does.

    Example: sss data check
    """
    from components.data_versions.headers import look_through
    from sss_model.errors import InputError

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected scans")
    findings = look_through(folder)
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
    from components.data_versions.listing import list_versions
    from components.data_versions.store import open_store
    from components.data_versions.tables import versions_table

    record = _record(folder)
    with open_store(record.parent, remote) as store:
        typer.echo(versions_table(list_versions(record, store, ask_remote=ask_remote)))


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
    from components.data_versions.cases import read_contents
    from components.data_versions.difference import compare
    from components.data_versions.listing import resolve
    from components.data_versions.store import open_store
    from components.data_versions.tables import difference_text

    record = _record(folder)
    before, after = resolve(old, record), resolve(new, record)
    with open_store(record.parent, remote) as store:
        difference = compare(read_contents(before, store.read), read_contents(after, store.read))
    typer.echo(difference_text(before, after, difference))


def _record(folder: Path) -> Path:
    """DVC's file beside the folder, which need not be there itself."""
    return folder.resolve().parent / f"{folder.resolve().name}.dvc"


def _warn_of(finding: Finding) -> None:
    typer.secho(f"warning: {finding}", fg="yellow", err=True)
