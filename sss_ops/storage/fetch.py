"""Many objects of a bucket into a folder, several at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

from sss_model.errors import InputError
from sss_ops.storage.download import Downloaded, check_room, download, part_of, size_of
from sss_ops.storage.objects import StoredObject, list_objects
from sss_ops.storage.s3 import s3_client


@dataclass(frozen=True)
class FetchedObjects:
    """What a fetch did: files brought, files that were there already, bytes brought, files checked by size alone."""

    new: int
    kept: int
    bytes: int
    by_size_alone: int


def fetch_objects(
    uri: str, folder: Path, *, threads: int = 8, progress: Callable[[int, int], None] = lambda here, total: None
) -> FetchedObjects:
    """Bring every object at or under an address into a folder; see `sss_ops.storage.download.download`.

    A file that is there and right is left alone, one that is there and differs is replaced.

    Args:
        uri: ``s3://BUCKET/PREFIX``.
        threads: how many objects at once.
        progress: called, by one thread at a time, with how many bytes are here now, and how many there will be.

    Raises:
        InputError: the store refuses, a key would lead out of the folder, the disk has no room, or bytes came that are
            not the object's. Files that were whole by then stay.
        OSError: the disk is full.
    """
    targets = {folder / name: each for name, each in list_objects(uri, s3_client(connections=threads)).items()}
    for target, each in targets.items():
        _refuse_misplaced(target, each, folder)
    # A file that differs stays until its successor is whole.
    coming = {target: each for target, each in targets.items() if size_of(target) != each.size}
    check_room(sum(max(0, each.size - size_of(part_of(path, each.version))) for path, each in coming.items()), folder)
    arrived, stop = _Arrived(sum(each.size for each in targets.values()), progress), Event()

    def bring(target: Path, source: StoredObject) -> Downloaded:
        brought = download(
            source, target, check=source.check, replace=True, on_bytes=arrived.counter(target), stop=stop
        )
        arrived.counter(target)(source.size)
        return brought

    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(bring, target, each) for target, each in targets.items()]
        try:
            files = [job.result() for job in as_completed(jobs)]
        finally:
            # After an error or Ctrl-C the others end where they are; the next attempt goes on from there.
            stop.set()
            pool.shutdown(cancel_futures=True)
    kept = sum(file.kept for file in files)
    unchecked = sum(not file.checked for file in files)
    return FetchedObjects(len(files) - kept, kept, sum(file.bytes for file in files), unchecked)


def _refuse_misplaced(target: Path, source: StoredObject, folder: Path) -> None:
    # A link in the folder may lead elsewhere.
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{target.parent}: leads out of {folder}; expected a folder in it for the object {source.key}")
    if target.is_dir():
        raise InputError(f"{source.address}: {target} would have to be a file and a folder at once; expected either")


class _Arrived:
    """How many bytes of all files are here."""

    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self._total, self._progress = total, progress
        self._here: dict[Path, int] = {}
        self._sum, self._lock = 0, Lock()

    def counter(self, target: Path) -> Callable[[int], None]:
        def count(here: int) -> None:
            with self._lock:
                self._sum += here - self._here.get(target, 0)
                self._here[target] = here
                self._progress(self._sum, self._total)

        return count
