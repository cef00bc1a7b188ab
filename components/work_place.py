"""Where the state of an unfinished training lies: in a folder, or on an object store with a copy here."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sss_model.errors import InputError


@dataclass(frozen=True)
class WorkPlace:
    """The work place of one training.

    Attributes:
        folder: its folder on this machine.
        on_save: to be called with it when the state has been saved there.
        forget: to be called when the training has ended well.
    """

    folder: Path
    on_save: Callable[[Path], None]
    forget: Callable[[], None]


@contextmanager
def work_place(work: str, identity: str) -> Iterator[WorkPlace]:
    """Open the work place of a training, with what an earlier process left in it.

    Args:
        work: a folder, or ``s3://bucket/prefix``, which outlives the machine.
        identity: the training's name, see `sss_model.identity`.

    Raises:
        InputError: the object store can't be used, or the folder can't be written.
    """
    from components.s3 import SCHEME
    from components.state_store import StateStore

    if not work.startswith(SCHEME):
        folder = _own_folder(Path(work, identity))
        yield WorkPlace(folder, lambda saved: None, lambda: shutil.rmtree(folder, ignore_errors=True))
        return
    with tempfile.TemporaryDirectory() as name, StateStore(f"{work.rstrip('/')}/{identity}") as store:
        store.restore(Path(name))
        yield WorkPlace(Path(name), store.save, store.forget)


def _own_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        raise InputError(
            f"{folder}: user {os.getuid()} may not write there; expected a folder or volume that belongs to this user"
        ) from None
    return folder
