"""``sss fetch`` and ``sss checkpoint``: downloads of scans and of SAM-2's weights."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_model.errors import InputError
from sss_ops.command_line import new_app
from sss_ops.storage.fetch import fetch_objects
from sss_ops.storage.published import find_published, refuse_other

if TYPE_CHECKING:
    from sss_ops.storage.published import Published


app = new_app(help="SAM-2's pretrained weights: download and check them.")


def fetch_command(
    source: Annotated[str, typer.Argument(metavar="s3://BUCKET/PREFIX", help="Objects under a prefix, or one object.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write to.")],
    threads: Annotated[int, typer.Option(min=1, max=64, help="How many objects at once.")] = 8,
) -> None:
    """Download scans from an object store and check them by their ETags; run again, it goes on where it was cut off.

    Credentials and AWS_ENDPOINT_URL come from the environment or from boto's own files.

    Example: sss fetch s3://hospital/exports/2026 downloads/2026
    """
    from sss_model.progress import ProgressBar

    with ProgressBar(source, unit="bytes", log_lines=10) as progress:
        fetched = fetch_objects(
            source, destination, threads=threads, progress=lambda here, total: progress.show(here, total=total)
        )
    typer.echo(f"{destination}: {fetched.new} files fetched ({fetched.bytes / 1e6:.1f} MB), {fetched.kept} were there")
    if fetched.by_size_alone:
        typer.secho(
            f"warning: {fetched.by_size_alone} files were compared by size alone; their ETags are no checksums",
            fg="yellow",
            err=True,
        )


Folder = Annotated[Path, typer.Option("--to", help="Folder of the weights.")]


class Version(StrEnum):
    v2_0 = "2.0"
    v2_1 = "2.1"


@app.command("get")
def get_command(
    name: Annotated[str, typer.Argument(help="tiny, small, base_plus, large, a full name, or s3://BUCKET/KEY.")],
    version: Annotated[Version, typer.Option(help="SAM-2's version, where the name is a size.")] = Version.v2_1,
    folder: Folder = Path("checkpoints"),
    mirror: Annotated[
        str | None,
        typer.Option(help="Address to use in place of Meta's, with the same folders.", envvar="SSS_CHECKPOINT_MIRROR"),
    ] = None,
) -> None:
    """Download pretrained weights and check their SHA-256; run again, it goes on where it was cut off.

    Example: sss checkpoint get small --version 2.1
    """
    from sss_ops.storage.pretrained import fetch_pretrained

    path = fetch_pretrained(name, version=version.value, folder=folder, mirror=mirror)
    known = find_published(path.name)
    typer.echo(f"{path}: {_megabytes(path)}, {'SHA-256 as expected' if known else 'none of the published ones'}")


@app.command("list")
def list_command(folder: Folder = Path("checkpoints")) -> None:
    """List the weights that Meta has published, and whether a folder holds them, whole and unchanged.

    Example: sss checkpoint list --to checkpoints
    """
    from rich.console import Console
    from rich.table import Table

    from sss_ops.storage.published import PUBLISHED

    table = Table("encoder", "version", "file", "MB", "here", box=None)
    for known in PUBLISHED:
        size = f"{known.size / 1e6:.0f}"
        table.add_row(known.encoder, known.version, known.file, size, _state(folder / known.file, known))
    Console().print(table)


def _state(path: Path, known: Published) -> str:
    from sss_ops.storage.download import part_of

    part = part_of(path)
    if not path.exists():
        return f"{_megabytes(part)} of it" if part.exists() else "–"
    try:
        refuse_other(path, known, where=str(path))
    except InputError:
        return "another file"
    return "yes"


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.0f} MB"
