"""Sources that come as a folder, as a zip file, or as a folder of zip files."""

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

    Zip files that lie in a folder or in another zip file, as downloads do, are unpacked too. While it is open, an
    `InputError` about an unpacked file speaks of the zip file.

    Raises:
        InputError: neither a folder nor a zip file, or one that is damaged, encrypted or reaches outside itself.
    """
    if not source.exists():
        raise InputError(f"{source}: no such folder or zip file; expected a source to import")
    if source.is_dir() and not _archives(source):
        yield source
        return
    folder = workspace / "unpacked"
    try:
        if source.is_dir():
            _unpack_beside(source, folder)
        else:
            _unpack(source, folder)
            _unpack_inner(folder)
        yield folder
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(source))) from None


def _archives(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.zip") if path.is_file() and path.name[0] != ".")


def _unpack_beside(source: Path, folder: Path) -> None:
    """Fill `folder` with links to what `source` holds, and with the content of its zip files."""
    folder.mkdir(parents=True)
    archives = _archives(source)
    for path in source.iterdir():
        if path not in archives:
            (folder / path.name).symlink_to(path.resolve())
    for archive in archives:
        if (folder / archive.stem).exists():
            continue  # its owner unpacked it already
        _unpack(archive, folder / archive.stem)
        _unpack_inner(folder / archive.stem)


def _unpack_inner(folder: Path) -> None:
    for archive in [path for depth in ("*.zip", "*/*.zip") for path in folder.glob(depth)]:
        _unpack(archive, archive.with_suffix(""))
        archive.unlink()


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
