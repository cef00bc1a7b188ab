"""A data set changed as a whole: a copy is changed, then takes its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A copy of a folder that takes the folder's place when the block ends; after an exception all is as it was.

    Files of the copy are the folder's own ones (hard links) where the disk can do that, so nothing large is written:
    the block must replace files, as `sss_model.files.write_atomically` does, and never write into one.
    """
    folder = folder.resolve()
    new, old = _beside(folder)
    try:
        shutil.copytree(folder, new, symlinks=True, copy_function=_link)
        yield new
        folder.rename(old)
        new.rename(folder)
    finally:
        put_right(folder)


def put_right(folder: Path) -> None:
    """Undo what a process that was killed inside `replaced` has left."""
    folder = folder.resolve()
    new, old = _beside(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
