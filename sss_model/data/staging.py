"""Where a data set is made before it takes its place; what is whole there outlives a killed process.

``.NAME.importing`` beside the destination holds::

    key         what is being made of what
    unpacked/   the content of zip files
    new/        the data set, as far as it is made
    records/    CASE.json: the facts, with hashes, of a case whose files in new/ are whole
    old/        the data set that is being replaced
    lock
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sss_model.data.canonical import CaseFiles, open_dataset
from sss_model.data.manifest import Facts
from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically

ENDING = ".importing"
_FACTS = TypeAdapter(Facts)


class Staging:
    """One import's work.

    Attributes:
        folder: all of it; goes away at the end.
        new: the data set that is being made.
    """

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self.folder = folder_of(destination)
        self.new = self.folder / "new"
        self._old, self._records, self._key = (self.folder / name for name in ("old", "records", "key"))

    def begin(self, key: str) -> None:
        """Keep what an import of the same key has left, and nothing else."""
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

    def placed(self) -> list[Facts] | None:
        """Facts of all cases where the data set has taken its place, and is there as it was made; else None."""
        if self.new.exists() or not self._records.exists():
            return None
        facts = [self.recorded(files) for files in open_dataset(self._destination).cases]
        return [known for known in facts if known] if all(facts) else None

    def is_spent(self) -> bool:
        """Whether nothing of value is left here: neither work nor a data set that was to be replaced."""
        return not any((self.folder / name).exists() for name in ("unpacked", "new", "old", "records"))

    def recorded(self, files: CaseFiles) -> Facts | None:
        """Facts of a case whose files are there, byte for byte as they were when they were recorded; else None."""
        try:
            facts = _FACTS.validate_json(self._record(files.case).read_bytes())
            found = sha256(files.image), sha256(files.label) if files.label else None
        except (FileNotFoundError, ValidationError):
            return None
        return facts if found == (facts.image_sha256, facts.label_sha256) else None

    def record(self, files: CaseFiles, facts: Facts) -> None:
        """Remember that a case's files are whole."""
        write_atomically(self._record(files.case), _FACTS.dump_json(facts))

    def put_into_place(self) -> None:
        """Rename the new data set to its destination, in the place of what is there."""
        try:
            if self._destination.exists():
                self._destination.rename(self._old)
            self.new.rename(self._destination)
        except BaseException:
            self._put_back()
            raise

    def discard(self) -> None:
        """Remove all of it; what tells that the data set is in its place goes last."""
        for name in ("unpacked", "old", "new"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self.folder)

    def _put_back(self) -> None:
        """Settle what a kill between two renames has left."""
        if self._old.exists() and not self._destination.exists():
            self._old.rename(self._destination)
        shutil.rmtree(self._old, ignore_errors=True)

    def _record(self, case: str) -> Path:
        return self._records / f"{case}.json"


@contextmanager
def staging_for(destination: Path, key: str) -> Iterator[Staging]:
    """The place to make a data set in.

    It is gone afterwards, also after an error. Where the process is killed or interrupted it stays for the next one.

    Args:
        key: names source and choices; only work of the same key is gone on with.

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


def finished(destination: Path, key: str) -> list[Facts] | None:
    """Facts of a data set that had just taken its place when its process was killed; else None.

    What has no use any more is removed. Errors as of `staging_for`.
    """
    staging = Staging(destination)
    if not (destination.is_dir() and staging.folder.is_dir()):
        return None
    with _locked(staging.folder, destination):
        facts = staging.placed() if staging.is_of(key) else None
        if facts or staging.is_spent():
            staging.discard()
        return facts


def folder_of(destination: Path) -> Path:
    """Where an import into that folder does its work."""
    return destination.with_name(f".{destination.name}{ENDING}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.name != "lock":
        path.unlink()


@contextmanager
def _locked(folder: Path, destination: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{destination}: another import into it is at work; expected one at a time") from None
        yield
