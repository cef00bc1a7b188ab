"""``sss checkpoint``: Meta's SAM-2 weights, fetched and checked."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sss_ops.command_line import new_app

if TYPE_CHECKING:
    from sss_ops.pretrained.published import Published


app = new_app(help="SAM-2's pretrained weights: fetch and check them.")

Folder = Annotated[Path, typer.Option("--to", help="Folder to keep them in.")]


class Version(StrEnum):
    v2_0 = "2.0"
    v2_1 = "2.1"


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="tiny, small, base_plus, large, a full name, or s3://BUCKET/KEY.")],
    version: Annotated[Version, typer.Option(help="SAM-2's version, where the name is a size.")] = Version.v2_1,
    folder: Folder = Path("checkpoints"),
    mirror: Annotated[
        str | None,
        typer.Option(help="Address to use in place of Meta's, with the same folders.", envvar="SSS_CHECKPOINT_MIRROR"),
    ] = None,
) -> None:
    """Fetch a checkpoint, going on where an earlier attempt was cut off, and check its SHA-256.

    Example: sss checkpoint get small --version 2.1
    """
    from sss_ops.pretrained import published
    from sss_ops.pretrained.resolve import fetch

    path = fetch(name, version=version.value, folder=folder, mirror=mirror)
    known = published.find(path.name, version="")
    typer.echo(f"{path}: {_megabytes(path)}, {'SHA-256 as expected' if known else 'none of the published ones'}")


@app.command("list")
def list_all(folder: Folder = Path("checkpoints")) -> None:
    """Show what Meta has published, and what of it is in a folder and is right.

    Example: sss checkpoint list --to checkpoints
    """
    from rich.console import Console
    from rich.table import Table

    from sss_ops.pretrained.published import PUBLISHED

    table = Table("encoder", "version", "file", "MB", "here", box=None)
    for known in PUBLISHED:
        size = f"{known.size / 1e6:.0f}"
        table.add_row(known.encoder, known.version, known.file, size, _state(folder / known.file, known))
    Console().print(table)


def _state(path: Path, known: Published) -> str:
    from sss_model.errors import InputError
    from sss_ops.pretrained.published import refuse_other

    part = path.with_name(f"{path.name}.part")
    if not path.exists():
        return f"{_megabytes(part)} of it" if part.exists() else "–"
    try:
        refuse_other(path, known, where=str(path))
    except InputError:
        return "another file"
    return "yes"


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.0f} MB"
