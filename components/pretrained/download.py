"""Downloads that end whole or not at all, and go on where an earlier one was cut off."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.pretrained.progress import DownloadProgress
from components.pretrained.sources import DownloadInterruptedError, Source
from sss_model.errors import InputError

ATTEMPTS = 5
"""How often in a row nothing may arrive before it is given up."""
_WAIT_SECONDS = 1.0  # doubled each time


def download(source: Source, target: Path, *, check: Callable[[Path, str], None]) -> None:
    """Bring a file here, or check the one that is here already.

    What has arrived lies beside it in ``TARGET.part``, which the next attempt goes on from. Processes that want files
    of the same folder take turns, so that one downloads and the others find.

    Args:
        check: called with a whole file and what to call it; raises an `InputError` where it isn't the right one. What
            was downloaded is deleted then, what was here is left alone.

    Raises:
        InputError: as `check` does, or the source refuses, or its bytes stopped coming.
    """
    if target.exists():
        check(target, str(target))
        return
    part = target.with_name(f"{target.name}.part")
    with _my_turn(target.parent):
        if target.exists():  # while this process waited
            return
        _complete(part, source)
        try:
            check(part, source.address)
        except InputError:
            part.unlink()
            raise
        part.replace(target)


def _complete(part: Path, source: Source) -> None:
    """Append to a partial file until it has the source's size."""
    fruitless = 0
    with DownloadProgress(part.name.removesuffix(".part"), size=source.size) as progress:
        while (before := _size(part)) != source.size:
            try:
                _read_on(part, source, progress)
                reason = f"it ended after {_size(part)} of {source.size} bytes"
            except DownloadInterruptedError as error:
                reason = str(error)
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless == ATTEMPTS:
                raise InputError(f"{source.address}: {reason}; expected a file, {_what_is_kept(part)}")
            if _size(part) != source.size:
                time.sleep(_WAIT_SECONDS * 2 ** max(0, fruitless - 1))


def _read_on(part: Path, source: Source, progress: DownloadProgress) -> None:
    here = _size(part)
    with part.open("ab") as file:
        # More than the source has can't be the beginning of it.
        for position, piece in source.read_from(here if here < source.size else 0):
            file.truncate(position)
            file.write(piece)
            if position + len(piece) > source.size:
                raise InputError(f"{source.address}: more than {source.size} bytes come; expected a file of that size")
            progress.show(position + len(piece))


def _what_is_kept(part: Path) -> str:
    return f"{_size(part)} bytes of it are kept, the next attempt goes on from there" if _size(part) else "nothing came"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _my_turn(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except (PermissionError, FileExistsError, NotADirectoryError):
        raise InputError(f"{folder}: can't be written; expected a folder for checkpoints") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
