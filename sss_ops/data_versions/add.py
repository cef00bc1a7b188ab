"""Add a version of the scans: check headers for personal data, add to DVC, push."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sss_model.data import staging
from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_ops.data_versions.contents import Contents, Read, read_contents
from sss_ops.data_versions.difference import Difference, compare_contents
from sss_ops.data_versions.dvc_log import dvc_sentences
from sss_ops.data_versions.personal_data import Finding, find_personal_data
from sss_ops.data_versions.store import DvcStore, MissingObjectError, open_dvc_store
from sss_ops.data_versions.versions import data_version_at, in_git, present_version, to_commit

_MOST_FINDINGS = 5


@dataclass(frozen=True)
class Added:
    """The result of `add_version`.

    Attributes:
        old: the version before, the committed one where git has any; None for the first.
        difference: None where the old version's listing is not available.
        to_commit: files of the record's folder to commit to git.
        pushed_to: address of the remote; None where nothing was pushed.
    """

    record: Path
    old: str | None
    new: str
    contents: Contents
    difference: Difference | None
    to_commit: list[str]
    pushed_to: str | None


def add_version(
    folder: Path,
    *,
    push: bool = True,
    remote: str | None = None,
    allow_identifiable: bool = False,
    on_finding: Callable[[Finding], None] = lambda _: None,
) -> Added:
    """Make a folder's present content a version, and push it to the remote.

    DVC's record of the folder (``data.dvc`` beside ``data``) changes only if everything succeeds. A repeated push skips
    what the remote has.

    Args:
        push: without, the version stays in this machine's cache, and personal data in headers are only reported to
            `on_finding`.
        remote: name of DVC's remote; None means the default one.
        allow_identifiable: push also scans whose headers hold names or birth dates.

    Raises:
        InputError: no such folder, an empty one, no DVC repository, scans with names or birth dates in them, or the
            remote refuses.
        OSError: the disk is full.
    """
    _check_folder(folder)
    record = folder.resolve().parent / f"{folder.resolve().name}.dvc"
    with open_dvc_store(record.parent, remote) as store:
        if push:
            store.check_remote()
        _check_headers(folder, refuse=push and not allow_identifiable, tell=on_finding)
        old = _old_version(record)
        with _restored_on_failure(record):
            new = _dvc_add(store, folder)
            if push:
                store.push(record)
        contents = read_contents(new, store.read)
        difference = _difference(old, contents, store.read if push else store.read_cached)
        to_add = to_commit(record) if in_git(record) else []
        return Added(record, old, new, contents, difference, to_add, store.address if push else None)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir() or not any(path.is_file() for path in folder.rglob("*")):
        what = "no files in it" if folder.is_dir() else "no such folder"
        raise InputError(f"{folder}: {what}; expected scans, run `sss import`")
    begun = [path for path in folder.iterdir() if path.name.endswith(staging.ENDING)]
    if begun:
        raise InputError(
            f"{begun[0]}: work of an import that was cut off or is going on; expected it finished, run `sss import` "
            "again, or that folder gone"
        )


def _check_headers(folder: Path, *, refuse: bool, tell: Callable[[Finding], None]) -> None:
    findings = find_personal_data(folder)
    if not refuse:
        for finding in findings:
            tell(finding)
    elif findings:
        files = len({finding.path for finding in findings})
        more = len(findings) - _MOST_FINDINGS
        shown = "; ".join(map(str, findings[:_MOST_FINDINGS])) + (
            f"; and {more} more, see `sss data check`" if more > 0 else ""
        )
        raise InputError(
            f"{folder}: {files} file{'s' * (files > 1)} would tell who the scans are of, nothing was pushed ({shown}); "
            "expected headers without names and birth dates, or --allow-identifiable"
        )


@contextmanager
def _restored_on_failure(record: Path) -> Iterator[None]:
    before = record.read_bytes() if record.exists() else None
    try:
        yield
    except BaseException:
        if before is None:
            record.unlink(missing_ok=True)
        else:
            write_atomically(record, before)
        raise


def _dvc_add(store: DvcStore, folder: Path) -> str:
    with dvc_sentences(str(folder), "expected a folder that DVC can track"):
        (stage,) = store.repo.add(str(folder))
    return str(stage.outs[0].hash_info.value)


def _old_version(record: Path) -> str | None:
    # The committed version first: a killed attempt may have written the file.
    committed = data_version_at(record, "HEAD")
    return committed or present_version(record)


def _difference(old: str | None, new: Contents, read: Read) -> Difference | None:
    if old is None:
        return compare_contents(Contents(), new)
    try:
        return compare_contents(read_contents(old, read), new)
    except MissingObjectError:
        # The new version is safe; the caller says that the old one is not available.
        return None
