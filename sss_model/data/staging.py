"""Change data sets as a whole: built or copied beside their folder, then renamed into place.

An import works in ``.NAME.importing`` beside its destination; a killed one resumes there::

    key         what is imported, from what and how
    unpacked/   the content of zip files
    new/        the data set so far
    records/    CASE.json: the facts, with hashes, of a case whose files in new/ are whole
    old/        the data set that is being replaced
    lock
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from sss_model.data.canonical import CaseFiles, open_dataset
from sss_model.data.manifest import CaseFacts
from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically

ENDING = ".importing"
_FACTS = TypeAdapter(CaseFacts)


class Staging:
    """One import's working folder.

    Attributes:
        folder: removed at the end.
        new: the data set being made.
    """

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self.folder = folder_of(destination)
        self.new = self.folder / "new"
        self._old, self._records, self._key = (self.folder / name for name in ("old", "records", "key"))

    def begin(self, key: str) -> None:
        """Keep the work of an earlier import of the same key, and remove everything else."""
        self._put_back()
        if not self.is_of(key):
            self._key.unlink(missing_ok=True)
            for path in self.folder.iterdir():
                _remove(path)
            write_atomically(self._key, key.encode())
        for path in self.new.rglob(".*"):
            path.unlink()  # a file that was being written

    def is_of(self, key: str) -> bool:
        """Whether an import of that key has left work here."""
        return self._key.is_file() and self._key.read_text() == key

    def placed(self) -> list[CaseFacts] | None:
        """Facts of all cases if the data set has taken its place and is unchanged there; else None."""
        if self.new.exists() or not self._records.exists():
            return None
        facts = [self.recorded(files) for files in open_dataset(self._destination).cases]
        return [known for known in facts if known] if all(facts) else None

    def is_empty(self) -> bool:
        """Whether neither work nor a data set to be replaced is left here."""
        return not any((self.folder / name).exists() for name in ("unpacked", "new", "old", "records"))

    def recorded(self, files: CaseFiles) -> CaseFacts | None:
        """Facts of a case whose files are byte for byte as recorded; else None."""
        try:
            facts = _FACTS.validate_json(self._record(files.case).read_bytes())
            found = sha256(files.image), sha256(files.label) if files.label else None
        except (FileNotFoundError, ValidationError):
            return None
        return facts if found == (facts.image_sha256, facts.label_sha256) else None

    def record(self, files: CaseFiles, facts: CaseFacts) -> None:
        """Record that a case's files are complete."""
        write_atomically(self._record(files.case), _FACTS.dump_json(facts))

    def put_into_place(self) -> None:
        """Rename the new data set to its destination, replacing what is there."""
        try:
            if self._destination.exists():
                self._destination.rename(self._old)
            self.new.rename(self._destination)
        except BaseException:
            self._put_back()
            raise

    def discard(self) -> None:
        """Remove the folder; the records, which say that the data set is in its place, go last."""
        for name in ("unpacked", "old", "new"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self.folder)

    def _put_back(self) -> None:
        """Recover from a kill between two renames."""
        if self._old.exists() and not self._destination.exists():
            self._old.rename(self._destination)
        shutil.rmtree(self._old, ignore_errors=True)

    def _record(self, case: str) -> Path:
        return self._records / f"{case}.json"


@contextmanager
def staging_for(destination: Path, key: str) -> Iterator[Staging]:
    """Lock and yield the folder to make a data set in.

    It is removed at the end, also after an error; a killed or interrupted process leaves it for the next one.

    Args:
        key: hash of source and options; only work of the same key is resumed.

    Raises:
        InputError: another process is making that data set.
    """
    folder = folder_of(destination)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, destination):
        staging = Staging(destination)
        try:
            staging.begin(key)
            yield staging
        except Exception:
            staging.discard()
            raise
        staging.discard()


def finished(destination: Path, key: str) -> list[CaseFacts] | None:
    """Facts of a data set that was complete when its import was killed; else None.

    Leftovers without use are removed. Raises as `staging_for` does.
    """
    staging = Staging(destination)
    if not (destination.is_dir() and staging.folder.is_dir()):
        return None
    with _locked(staging.folder, destination):
        facts = staging.placed() if staging.is_of(key) else None
        if facts or staging.is_empty():
            staging.discard()
        return facts


def folder_of(destination: Path) -> Path:
    """The working folder of an import into `destination`."""
    return destination.with_name(f".{destination.name}{ENDING}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.name != "lock":
        path.unlink()


@contextmanager
def _locked(folder: Path, destination: Path) -> Iterator[None]:
    lock = FileLock(folder / "lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{destination}: another import into it is at work; expected one at a time") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a copy of a folder, which takes the folder's place when the block ends; an exception leaves it unchanged.

    The copy's files are hard links where the disk allows, so nothing large is written: the block must replace files,
    as `write_atomically` does, and never write into one.
    """
    folder = folder.resolve()
    new, old = _beside(folder)
    try:
        shutil.copytree(folder, new, symlinks=True, copy_function=_link)
        yield new
        folder.rename(old)
        new.rename(folder)
    finally:
        restore_replaced(folder)


def restore_replaced(folder: Path) -> None:
    """Undo what a process that was killed inside `replacing` has left."""
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
