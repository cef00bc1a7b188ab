"""The download engine: a file from a web server or an object store ends up here whole or not at all.

A download that is cut off is tried again, with waits that grow, and goes on where it was, in this process or the next.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sss_model.errors import InputError

if TYPE_CHECKING:
    from requests import Response


PIECE_BYTES = 1 << 16  # as much as a cut connection loses
_ATTEMPTS = 5  # in a row that bring nothing
_WAIT_SECONDS = 1.0  # doubled after each of them
_CONNECT_AND_READ_SECONDS = (10, 60)
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}


class DownloadInterruptedError(Exception):
    """The bytes stopped coming, or did not begin to; another attempt may succeed."""

    @classmethod
    def because(cls, error: BaseException) -> DownloadInterruptedError:
        """With what the innermost library says; the outer ones wrap it in the names of their classes."""
        for inner in (getattr(error, "reason", None), *error.args[:1]):
            if isinstance(inner, BaseException):
                return cls.because(inner)
        text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
        return cls(" ".join(text.split()).rstrip("."))


class Source(Protocol):
    """A file elsewhere, of `size` bytes; another `version` has other bytes."""

    @property
    def address(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def version(self) -> str: ...

    def read_from(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Its bytes from `offset` on, or from 0 where the other side can't do that: positions and pieces.

        Raises:
            DownloadInterruptedError: the connection failed.
            InputError: the other side refuses, or has another file.
        """
        ...


@dataclass(frozen=True)
class WebFile:
    """A file on a web server; proxies and certificates are set in the environment, as `requests` reads it."""

    address: str
    size: int
    version: str = ""

    def read_from(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """See `Source`."""
        import requests

        # A compressed answer would count other bytes than the file has.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with requests.get(self.address, headers=headers, stream=True, timeout=_CONNECT_AND_READ_SECONDS) as answer:
                position = self._start(answer)
                for piece in answer.iter_content(PIECE_BYTES):
                    yield position, piece
                    position += len(piece)
        except requests.RequestException as error:
            if isinstance(error, ValueError):  # an address of another kind than http or https
                raise InputError(f"{self.address}: not an address of the web; expected http:// or https://") from None
            raise DownloadInterruptedError.because(error) from None

    def _start(self, answer: Response) -> int:
        """The position of the answer's first byte, once it is clear that it is of the right file."""
        if answer.status_code in _WORTH_ANOTHER_TRY:
            raise DownloadInterruptedError(f"the server answers {answer.status_code}")
        if answer.status_code not in (200, 206):
            raise InputError(f"{self.address}: the server answers {answer.status_code}; expected a file to be there")
        part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        start = int(part[1]) if part and answer.status_code == 206 else 0
        length = answer.headers.get("Content-Length")
        if length and start + int(length) != self.size:
            raise InputError(
                f"{self.address}: a file of {start + int(length)} bytes is there; expected one of {self.size}"
            )
        return start


class Downloaded(NamedTuple):
    """The result of a download.

    Attributes:
        kept: whether the file was here already.
        bytes: how many came.
        checked: False where no checksum could be computed, so that only the size was compared.
    """

    kept: bool
    bytes: int
    checked: bool


def download(
    source: Source,
    target: Path,
    *,
    check: Callable[[Path, str], bool],
    replace: bool = False,
    on_bytes: Callable[[int], None] = lambda here: None,
    stop: Event | None = None,
) -> Downloaded:
    """Bring a file here, or check the one that is here already.

    What has arrived lies beside it, see `part_of`, and takes its name once it is whole and right. Processes that want
    the same file take turns: one downloads, the others find it.

    Args:
        check: called with a file and what to call it in an error; raises an `InputError` where it isn't the right one,
            returns False where only its size could be compared. Wrong bytes that came are deleted.
        replace: whether to replace a wrong file that is here, rather than to refuse it.
        on_bytes: called with how many bytes of the file are here.
        stop: ends the download with an `InputError` once it is set; the next attempt goes on from there.

    Raises:
        InputError: as `check` does, or there is no room, the source refuses, or its bytes stopped coming.
        OSError: the disk is full after all.
    """
    found = _find(target, check, replace)
    if found is not None:
        return found
    with _writable(target.parent), _turn(target):
        found = _find(target, check, replace)  # while this process waited
        if found is not None:
            return found
        part = part_of(target, source.version)
        before = size_of(part)
        check_room(source.size - before, target.parent)
        _complete(part, source, on_bytes, stop or Event())
        try:
            checked = check(part, source.address)
        except InputError:
            part.unlink()
            raise
        part.replace(target)
        return Downloaded(kept=False, bytes=max(0, source.size - before), checked=checked)


def part_of(target: Path, version: str = "") -> Path:
    """The file beside `target` that holds what has arrived; another version of the source has another one.

    >>> str(part_of(Path("downloads/a.nii"), "9b2cf535f27731c974343645a3985328"))
    'downloads/.a.nii.9b2cf535f277.part'
    """
    return target.with_name(f".{target.name}.{version[:12]}{'.' if version else ''}part")


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def check_room(needed: int, folder: Path) -> None:
    """Raise `InputError` unless so many bytes fit into a folder, which need not be there yet."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise InputError(
            f"{folder}: {needed / 1e6:.1f} MB are to come and {free / 1e6:.1f} MB are free; expected room for them"
        )


def _find(target: Path, check: Callable[[Path, str], bool], replace: bool) -> Downloaded | None:
    """The file that is here, if it is the right one."""
    if not target.is_file():
        return None
    try:
        return Downloaded(kept=True, bytes=0, checked=check(target, str(target)))
    except InputError:
        if not replace:
            raise
        return None


def _complete(part: Path, source: Source, on_bytes: Callable[[int], None], stop: Event) -> None:
    """Append to a partial file until it has the source's size."""
    part.touch()
    on_bytes(size_of(part))
    in_vain = 0
    while (before := size_of(part)) != source.size:
        try:
            _read_on(part, source, on_bytes, stop)
            reason = f"it ended after {size_of(part)} of {source.size} bytes"
        except DownloadInterruptedError as error:
            reason = str(error)
        in_vain = 0 if size_of(part) > before else in_vain + 1
        if in_vain == _ATTEMPTS:
            raise InputError(f"{source.address}: {reason}; expected a file, {_what_is_kept(part)}")
        if size_of(part) != source.size:
            stop.wait(_WAIT_SECONDS * 2 ** max(0, in_vain - 1))


def _read_on(part: Path, source: Source, on_bytes: Callable[[int], None], stop: Event) -> None:
    here = size_of(part)
    with part.open("ab") as file:
        # More than the source has can't be the beginning of it.
        for position, piece in source.read_from(here if here < source.size else 0):
            if stop.is_set():
                raise InputError(f"{source.address}: stopped; expected to be run again")
            file.truncate(position)
            file.write(piece)
            if position + len(piece) > source.size:
                raise InputError(f"{source.address}: more than {source.size} bytes come; expected a file of that size")
            on_bytes(position + len(piece))


def _what_is_kept(part: Path) -> str:
    size = size_of(part)
    return f"{size} bytes of it are kept, the next attempt goes on from there" if size else "nothing came"


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (FileExistsError, NotADirectoryError, PermissionError):
        raise InputError(f"{folder}: can't be written; expected a folder for downloads") from None


@contextmanager
def _turn(target: Path) -> Iterator[None]:
    from filelock import FileLock

    lock = target.with_name(f".{target.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # FileLock sees that the file it waited for is gone, and makes a new one
