"""``sss fetch``: a bucket's objects into a folder."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer

from sss_ops.pretrained.download import DownloadProgress

# Progress of a transfer: a bar on a terminal, plain lines in a log.


class TransferProgress:
    """Begins when it is known how much is to come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: DownloadProgress | None = None

    def __enter__(self) -> TransferProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.__exit__(kind, error, trace)

    def show(self, here: int, total: int) -> None:
        """Report that so many bytes of so many are here."""
        if self._bar is None:
            self._bar = DownloadProgress(self._name, size=total).__enter__()
        self._bar.show(here)


def fetch(
    source: Annotated[str, typer.Argument(metavar="s3://BUCKET/PREFIX", help="Objects under a prefix, or one object.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="Folder to bring them to.")],
    threads: Annotated[int, typer.Option(min=1, max=64, help="How many objects at once.")] = 8,
) -> None:
    """Bring scans from an object store, checked by their ETags; run again, it goes on where it was cut off.

    Credentials and AWS_ENDPOINT_URL come from the environment or from boto's own files.

    Example: sss fetch s3://hospital/exports/2026 downloads/2026
    """
    from sss_ops.storage.fetch import fetch as fetch_objects

    with TransferProgress(source) as progress:
        fetched = fetch_objects(source, destination, threads=threads, progress=progress.show)
    typer.echo(f"{destination}: {fetched.new} files fetched ({fetched.bytes / 1e6:.1f} MB), {fetched.kept} were there")
    if fetched.by_size_alone:
        typer.secho(
            f"warning: {fetched.by_size_alone} files were compared by size alone; their ETags are no checksums",
            fg="yellow",
            err=True,
        )
