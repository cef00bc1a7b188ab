"""A raw data set, wherever it lies, as the canonical copy that everything reads; the raw one is never written to."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
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

    if not source.exists():
        raise InputError(f"-data_path: {source} is not there; expected a folder or zip file of {layout}")
    if (source / "dataset.json").is_file() and (source / "splits.csv").is_file():
        return source
    refuse_inside(source, cache)
    copy = cache / _state_of(source, layout) / layout
    if not copy.is_dir():
        print(f"reading {source}, once, into {copy}", flush=True)
        try:
            print(import_dataset(layout, source, copy), flush=True)
        finally:
            # Of a source that can't be used not even a folder stays.
            if not copy.is_dir():
                shutil.rmtree(copy.parent, ignore_errors=True)
    return copy


def refuse_inside(source: Path, folder: Path) -> None:
    """Refuse a folder that lies below the raw data, with an `InputError`."""
    if folder.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"-data_path: {source} holds {folder}, which would be written to; expected to be started from elsewhere"
        )


def _state_of(source: Path, layout: str) -> str:
    """A name for what lies there: other files, or the same ones changed, are another state."""
    digest = hashlib.sha256(f"{layout}\n{source.resolve()}".encode())
    for path in _files(source):
        facts = path.stat()
        digest.update(f"\n{path.relative_to(source)} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    else:
        yield from sorted(path for path in source.rglob("*") if path.is_file())
