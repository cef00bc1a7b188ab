"""Sources that come as a folder, as a zip file, or as a folder of zip files."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sss_model.errors import InputError
from sss_model.parallel import for_each

_CHUNK = 1 << 20


@contextmanager
def opened(source: Path, workspace: Path) -> Iterator[Path]:
    """Give the folder that `source` is, or that it unpacks to inside `workspace`.

    Zip files that lie in a folder or in another zip file, as downloads do, are unpacked too. What an earlier call has
    unpacked there is checked and kept. While it is open, an `InputError` about an unpacked file speaks of the zip file.

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
    folder.mkdir(parents=True, exist_ok=True)
    archives = _archives(source)
    for path in source.iterdir():
        if path not in archives and not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(path.resolve())
    for archive in archives:
        if (source / archive.stem).exists():
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
            members = [member for member in file.infolist() if not _is_clutter(member.filename)]
            for member in file.infolist():
                _check_inside(member.filename, folder, archive)
            for_each(lambda member: _extract(file, member, folder), members, description=f"Unpacking {archive.name}")
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise InputError(f"{archive}: a damaged zip file or none at all; expected a folder or an intact zip") from None
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(f"{archive}: can't be unpacked ({error}); expected a plain zip file") from None


def _extract(file: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / member.filename
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if target.is_file() and _checksum(target) == (member.file_size, member.CRC):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, and no name of a scan: what is cut off is never taken for one.
    partial = target.with_name(f".{target.name}.part")
    with file.open(member) as packed, partial.open("wb") as whole:
        shutil.copyfileobj(packed, whole, _CHUNK)
    partial.replace(target)


def _checksum(path: Path) -> tuple[int, int]:
    """Size and CRC-32, as zip files record them."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
        return os.fstat(file.fileno()).st_size, crc


def _check_inside(name: str, folder: Path, archive: Path) -> None:
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{archive}: its member {name} would land outside; expected names inside the archive")


def _is_clutter(name: str) -> bool:
    """What macOS adds to its zip files."""
    return name.startswith("__MACOSX/") or Path(name).name.startswith("._")
