"""Objects of a DVC repository by their md5: from the cache, else from the remote."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sss_model.errors import InputError
from sss_ops.data_versions.dvc_log import dvc_sentences


class MissingObjectError(InputError):
    """An object is neither in the cache nor in the remote."""


class DvcStore:
    """The cache and the remote of one repository.

    Attributes:
        root: the repository's folder.
    """

    def __init__(self, repo: Any, remote: str | None) -> None:
        self.repo = repo
        self.root = Path(repo.root_dir)
        self._remote = remote

    @property
    def address(self) -> str:
        """The remote's address, or its name where it has none."""
        settings = self.repo.config
        name = self._remote or settings["core"].get("remote", "")
        return str(settings["remote"].get(name, {}).get("url", name or "no remote"))

    def cached(self, md5: str) -> bytes | None:
        """An object's bytes, if the cache has it whole."""
        path = Path(self.repo.cache.local.oid_to_path(md5))
        data = path.read_bytes() if path.is_file() else None
        return data if data is not None and _is(data, md5) else None

    def read_cached(self, md5: str) -> bytes:
        """An object's bytes from the cache alone; raises `MissingObjectError` where it lacks them."""
        data = self.cached(md5)
        if data is None:
            raise MissingObjectError(f"{self.root}: DVC's cache lacks {md5}; expected it there")
        return data

    def read(self, md5: str) -> bytes:
        """An object's bytes.

        Raises:
            MissingObjectError: neither the cache nor the remote has it.
            InputError: the remote can't be asked, or what it has is damaged.
        """
        data = self.cached(md5)
        return self._fetched(md5) if data is None else data

    def check_remote(self) -> None:
        """Raise `InputError` unless the remote can be reached and its bucket is there, before any work is done."""
        with dvc_sentences(self.address, "expected a remote that DVC can push to"):
            remote = self.repo.cloud.get_remote(self._remote, command="push")
            if remote.fs.protocol == "s3":
                remote.fs.fs.call_s3("head_bucket", Bucket=remote.path.split("/")[0])

    def push(self, record: Path) -> None:
        """Push a version to the remote; objects that are there already are skipped.

        Raises:
            InputError: the remote refuses; the version then does not count as there, DVC sends its listing last.
        """
        with dvc_sentences(self.address, "expected a remote that DVC can push to; run again, it goes on from there"):
            self.repo.push(targets=[str(record)], remote=self._remote)

    def _fetched(self, md5: str) -> bytes:
        with dvc_sentences(self.address, f"expected {md5} in the cache or there"):
            odb = self.repo.cloud.get_remote_odb(self._remote)
            try:
                data: bytes = odb.fs.fs.cat_file(odb.oid_to_path(md5))
            except FileNotFoundError:
                raise MissingObjectError(f"{self.address}: it has no {md5}; expected what was pushed there") from None
        if not _is(data, md5):
            raise InputError(f"{self.address}: object {md5} is damaged; expected bytes of that md5")
        return data


@contextmanager
def open_dvc_store(folder: Path, remote: str | None = None) -> Iterator[DvcStore]:
    """The store of the DVC repository that a folder is in.

    Args:
        remote: name of the remote; None means the default one.

    Raises:
        InputError: there is no DVC repository, or its settings can't be read.
    """
    from dvc.repo import Repo

    with dvc_sentences(str(folder), "expected a DVC repository whose settings are right"):
        repo = Repo(str(folder))
    with repo:
        yield DvcStore(repo, remote)


def _is(data: bytes, md5: str) -> bool:
    return hashlib.md5(data, usedforsecurity=False).hexdigest() == md5.removesuffix(".dir")
