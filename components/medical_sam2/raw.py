"""A raw data set, wherever it lies, as the canonical copy that everything reads; the raw one is never written to."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sss_model.errors import InputError


def canonical_copy(layout: str, source: Path, cache: Path) -> Path:
    """The canonical data set of a raw one, made once.

    Args:
        layout: one of `sss_model.datasets.LAYOUTS`.
        source: the raw data set, a folder or zip file; one that is canonical already is given back.
        cache: keeps the copies, one folder for each state of each source.

    Raises:
        InputError: nothing is there, it is not of that layout, or the copy would lie inside of it.
    """
    from sss_model.datasets import import_dataset
    from sss_model.datasets.source_state import state_of

    if not source.exists():
        raise InputError(f"-data_path: {source} is not there; expected a folder or zip file of {layout}")
    if (source / "dataset.json").is_file() and (source / "splits.csv").is_file():
        return source
    refuse_inside(source, cache)
    copy = cache / state_of(source)[:16] / layout
    if not copy.is_dir():
        print(f"reading {source}, once, into {copy}", flush=True)
        try:
            print(import_dataset(layout, source, copy), flush=True)
        finally:
            # Of a source that can't be used not even a folder stays; where an import is cut off, its work does.
            with suppress(OSError):
                copy.parent.rmdir()
    return copy


def refuse_inside(source: Path, folder: Path) -> None:
    """Refuse a folder that lies below the raw data, with an `InputError`."""
    if folder.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"-data_path: {source} holds {folder}, which would be written to; expected to be started from elsewhere"
        )
