"""Downloads that end whole or not at all, and go on where an earlier one was cut off."""

from __future__ import annotations

import fcntl
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sss_model.errors import InputError
from sss_model.progress import ProgressBar
from sss_ops.errors import OBJECT_STORE, as_sentences

if TYPE_CHECKING:
    from requests import Response


# Where a checkpoint's bytes come from: a web server or an object store, from any byte on.


_PIECE = 1 << 16  # as much as a cut connection loses
_CONNECT_AND_READ_SECONDS = (10, 60)
_EXPECTED = "expected to read an object there"
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class DownloadInterruptedError(Exception):
    """The bytes stopped coming, or did not begin to; another attempt may have more luck."""


class Source(Protocol):
    """A file elsewhere, of `size` bytes."""

    @property
    def address(self) -> str: ...

    @property
    def size(self) -> int: ...

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

    def read_from(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """See `Source`."""
        import requests

        # A compressed answer would count other bytes than the file has.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with requests.get(self.address, headers=headers, stream=True, timeout=_CONNECT_AND_READ_SECONDS) as answer:
                position = self._start(answer)
                for piece in answer.iter_content(_PIECE):
                    yield position, piece
                    position += len(piece)
        except requests.RequestException as error:
            if isinstance(error, ValueError):  # an address of another kind than http or https
                raise InputError(f"{self.address}: not an address of the web; expected http:// or https://") from None
            raise DownloadInterruptedError(_reason(error)) from None

    def _start(self, answer: Response) -> int:
        """The position of the answer's first byte, once it is clear that it is of the right file."""
        if answer.status_code in _PASSING:
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


class StoredObject:
    """An object of a store that speaks S3.

    Attributes:
        etag: changes with the object's bytes.
    """

    def __init__(self, uri: str) -> None:
        """
        Raises:
            InputError: `uri` is not of the form ``s3://BUCKET/KEY``, no store answers, it refuses, or has no such
                object.
        """
        from sss_ops.storage import s3

        self.address = uri
        self._bucket, self._key = s3.bucket_and_key(uri)
        if not (self._bucket and self._key):
            raise InputError(f"{uri}: not an object's address; expected s3://BUCKET/KEY")
        with as_sentences(OBJECT_STORE, uri, otherwise=_EXPECTED):
            head = s3.client().head_object(Bucket=self._bucket, Key=self._key)
        self.size: int = head["ContentLength"]
        self.etag: str = head["ETag"].strip('"')

    def read_from(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """See `Source`."""
        from botocore import exceptions

        from sss_ops.storage import s3

        passing = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)
        with as_sentences(OBJECT_STORE, self.address, otherwise=_EXPECTED), _interruption(passing):
            # Never pieces of two objects, should it be replaced meanwhile.
            answer = s3.client().get_object(
                Bucket=self._bucket, Key=self._key, Range=f"bytes={offset}-", IfMatch=self.etag
            )
            for piece in answer["Body"].iter_chunks(_PIECE):
                yield offset, piece
                offset += len(piece)


@contextmanager
def _interruption(kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        raise DownloadInterruptedError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    """What the innermost library says; the outer ones wrap it in the names of their classes."""
    for inner in (getattr(error, "reason", None), *error.args[:1]):
        if isinstance(inner, BaseException):
            return _reason(inner)
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return " ".join(text.split()).rstrip(".")


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
    with ProgressBar(part.name.removesuffix(".part"), unit="bytes", log_lines=10) as progress:
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


def _read_on(part: Path, source: Source, progress: ProgressBar) -> None:
    here = _size(part)
    with part.open("ab") as file:
        # More than the source has can't be the beginning of it.
        for position, piece in source.read_from(here if here < source.size else 0):
            file.truncate(position)
            file.write(piece)
            if position + len(piece) > source.size:
                raise InputError(f"{source.address}: more than {source.size} bytes come; expected a file of that size")
            progress.show(position + len(piece), total=source.size)


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
