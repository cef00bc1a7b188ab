"""Objects to files, several at once, going on where an earlier attempt was cut off."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any

from sss_model.errors import InputError
from sss_ops.errors import OBJECT_STORE, as_sentences
from sss_ops.storage import s3
from sss_ops.storage.objects import RemoteObject, list_objects, same_bytes

_PIECE = 1 << 18
_ATTEMPTS = 3
_EXPECTED = "expected to read the object"


@dataclass(frozen=True)
class Fetched:
    """What a fetch did: files brought, files that were there already, bytes brought, files checked by size alone."""

    new: int
    kept: int
    bytes: int
    by_size_alone: int


@dataclass(frozen=True)
class _File:
    kept: bool
    bytes: int
    checked: bool


def fetch(uri: str, folder: Path, *, threads: int = 8, progress: Callable[[int, int], None]) -> Fetched:
    """Bring every object at or under an address into a folder.

    A file is written as ``.NAME.ETAG.part`` beside its place, compared with the object's ETag, and renamed. One that is
    there and right is left alone, one that is there and differs is replaced.

    Args:
        uri: ``s3://BUCKET/PREFIX``.
        threads: how many objects at once.
        progress: called, by one thread at a time, with how many bytes are here now, and how many there will be.

    Raises:
        InputError: the store refuses, a key would lead out of the folder, the disk has no room, or bytes came that are
            not the object's. Files that were whole by then stay.
        OSError: the disk is full.
    """
    client = s3.client(connections=threads)
    objects = list_objects(client, uri, folder)
    _check_room(objects, folder)
    work = _Work(client, progress, sum(each.size for each in objects))
    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(_bring, each, work) for each in objects]
        try:
            files = [job.result() for job in as_completed(jobs)]
        finally:
            # After an error or Ctrl-C the others end where they are; the next attempt goes on from there.
            work.stop.set()
            pool.shutdown(cancel_futures=True)
    new = [file for file in files if not file.kept]
    unchecked = sum(not file.checked for file in files)
    return Fetched(len(new), len(files) - len(new), sum(file.bytes for file in new), unchecked)


class _Work:
    """What the threads share."""

    def __init__(self, client: Any, progress: Callable[[int, int], None], total: int) -> None:
        self.client, self.stop = client, Event()
        self._progress, self._here, self._total, self._lock = progress, 0, total, Lock()

    def arrived(self, size: int) -> None:
        with self._lock:
            self._here += size
            self._progress(self._here, self._total)


def _check_room(objects: list[RemoteObject], folder: Path) -> None:
    # A file that differs stays until its successor is whole.
    coming = [each for each in objects if _size(each.target) != each.size]
    needed = sum(max(0, each.size - _size(_part(each))) for each in coming)
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise InputError(
            f"{folder}: {needed / 1e6:.1f} MB are to come and {free / 1e6:.1f} MB are free; expected room for them"
        )


def _bring(remote: RemoteObject, work: _Work) -> _File:
    with as_sentences(OBJECT_STORE, remote.uri, otherwise=_EXPECTED), _place_refused(remote):
        if remote.target.is_file() and (same := same_bytes(remote.target, remote, work.client)) is not False:
            work.arrived(remote.size)
            return _File(kept=True, bytes=0, checked=same is not None)
        part = _part(remote)
        part.parent.mkdir(parents=True, exist_ok=True)
        brought = _complete(part, remote, work)
        same = same_bytes(part, remote, work.client)
        if same is False:
            part.unlink()
            raise InputError(
                f"{remote.uri}: what came is not the object; expected bytes of ETag {remote.etag}, run again"
            )
        part.replace(remote.target)
    return _File(kept=False, bytes=brought, checked=bool(same))


@contextmanager
def _place_refused(remote: RemoteObject) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(f"{remote.target}: {error.strerror}; expected a place where a file may be written") from None


def _complete(part: Path, remote: RemoteObject, work: _Work) -> int:
    """Append what is missing, however often the connection is cut, and return how much came."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    start = _size(part)
    work.arrived(start)
    part.touch()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _read_on(part, remote, work)
            break
        except (HTTPClientError, IncompleteReadError):
            if attempt == _ATTEMPTS:
                raise
    return _size(part) - start


def _read_on(part: Path, remote: RemoteObject, work: _Work) -> None:
    start = _size(part)
    if start >= remote.size:
        return
    wanted = {"Range": f"bytes={start}-"} if start else {}
    # Never pieces of two objects, should it be replaced meanwhile.
    answer = work.client.get_object(Bucket=remote.bucket, Key=remote.key, IfMatch=remote.etag, **wanted)
    with part.open("ab" if "ContentRange" in answer else "wb") as file:
        for piece in answer["Body"].iter_chunks(_PIECE):
            if work.stop.is_set():
                raise InputError(f"{remote.uri}: stopped; expected to be run again")
            file.write(piece)
            work.arrived(len(piece))


def _part(remote: RemoteObject) -> Path:
    """The temporary file; another object of that name has another ETag, and so another file."""
    return remote.target.with_name(f".{remote.target.name}.{remote.etag[:12]}.part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
