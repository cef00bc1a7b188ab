"""Sources that come as a folder or as a zip file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sss_model.errors import InputError


@contextmanager
def opened(source: Path, workspace: Path) -> Iterator[Path]:
    """Give the folder that `source` is, or that it unpacks to inside `workspace`.

    While it is open, an `InputError` about an unpacked file speaks of the zip file.

    Raises:
        InputError: neither a folder nor a zip file, or one that is damaged, encrypted or reaches outside itself.
    """
    if source.is_dir():
        yield source
        return
    if not source.is_file():
        raise InputError(f"{source}: no such folder or zip file; expected a source to import")
    folder = workspace / "unpacked"
    try:
        _unpack(source, folder)
        yield folder
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(source))) from None


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                _check_inside(member.filename, folder, archive)
                if not _is_clutter(member.filename):
                    file.extract(member, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise InputError(f"{archive}: a damaged zip file or none at all; expected a folder or an intact zip") from None
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(f"{archive}: can't be unpacked ({error}); expected a plain zip file") from None


def _check_inside(name: str, folder: Path, archive: Path) -> None:
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{archive}: its member {name} would land outside; expected names inside the archive")


def _is_clutter(name: str) -> bool:
    """What macOS adds to its zip files."""
    return name.startswith("__MACOSX/") or Path(name).name.startswith("._")
