"""``sss fetch``: a bucket's objects into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fetch(
    source: Annotated[str, typer.Argument(metavar="s3://BUCKET/PREFIX", help="Objects under a prefix, or one object.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder to bring them to.")],
    threads: Annotated[int, typer.Option(min=1, max=64, help="How many objects at once.")] = 8,
) -> None:
    """Bring scans from an object store, checked by their ETags; run again, it goes on where it was cut off.

    Credentials and AWS_ENDPOINT_URL come from the environment or from boto's own files.

    Example: sss fetch s3://hospital/exports/2026 downloads/2026
    """
    from sss_model.progress import ProgressBar
    from sss_ops.storage.fetch import fetch as fetch_objects

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
