"""Where masks and their summary are written: a folder, one file, or a prefix of a bucket."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_model.files import write_atomically
from sss_model.io import FILE_ENDINGS
from sss_model.io.label_names import write_label_names
from sss_ops.errors import OBJECT_STORE, as_sentences
from sss_ops.storage import s3

if TYPE_CHECKING:
    from sss_model.io.volumes import Volume


SUMMARY = "summary.csv"
_EXPECTED = "expected to write there"


class Masks(ABC):
    """Where masks and their summary are written, each mask under the name of its scan."""

    @abstractmethod
    def address(self, name: str) -> str:
        """The path or the address of the mask of a scan."""

    @abstractmethod
    def existing(self) -> set[str]:
        """Names of the masks, and other files, that are there."""

    def write(self, name: str, mask: Volume) -> None:
        """Write a mask atomically, here to the file at its address; raises `InputError` where it can't be written."""
        from sss_model.io.volumes import write_volume

        path = Path(self.address(name))
        try:
            write_volume(mask, path)
        except (FileExistsError, NotADirectoryError, PermissionError, IsADirectoryError) as error:
            raise InputError(f"{path}: {error.strerror}; expected a place where a mask may be written") from None

    @abstractmethod
    def write_label_names(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        """Write the names of the classes beside the masks; see `sss_model.io.label_names`."""

    @abstractmethod
    def read_summary(self) -> bytes | None:
        """The content of the summary; None where there is none."""

    @abstractmethod
    def write_summary(self, content: bytes) -> None:
        """Replace the summary."""


def masks_at(place: str, *, single: bool) -> Masks:
    """Where to write the masks.

    Args:
        place: a folder, which is made if need be, or ``s3://BUCKET/PREFIX``; for a single scan also the file or the
            object of the mask.
        single: whether the one scan was named itself, not its folder.

    Raises:
        InputError: nothing can be written there.
    """
    own = single and place.endswith(FILE_ENDINGS) and not Path(place).is_dir()
    if place.startswith(s3.SCHEME):
        bucket, _ = s3.bucket_and_key(place)
        if not bucket:
            raise InputError(f"{place}: not an address of objects; expected s3://BUCKET/PREFIX")
        return MaskBucket(place.rstrip("/"), own=own)
    return MaskFile(Path(place)) if own else MaskFolder(Path(place))


class MaskFolder(Masks):
    """Masks in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}; expected a folder for the masks") from None

    def address(self, name: str) -> str:
        return str(self._folder / name)

    def existing(self) -> set[str]:
        return {path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()}

    def write_label_names(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        write_label_names(self._folder, labels, file_ending=file_ending)

    def read_summary(self) -> bytes | None:
        path = self._folder / SUMMARY
        return path.read_bytes() if path.is_file() else None

    def write_summary(self, content: bytes) -> None:
        write_atomically(self._folder / SUMMARY, content)


class MaskFile(Masks):
    """One mask under a name of its own, always written anew, with nothing beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def address(self, name: str) -> str:
        return str(self._path)

    def existing(self) -> set[str]:
        return set()

    def write_label_names(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        pass

    def read_summary(self) -> bytes | None:
        return None

    def write_summary(self, content: bytes) -> None:
        pass


class MaskBucket(Masks):
    """Masks under a prefix, or, for one scan, one object and no summary."""

    def __init__(self, uri: str, *, own: bool) -> None:
        self._uri, self._own, self._client = uri, own, s3.s3_client()

    def address(self, name: str) -> str:
        return self._uri if self._own else f"{self._uri}/{name}"

    def existing(self) -> set[str]:
        bucket, prefix = s3.bucket_and_key(self._uri)
        start = f"{prefix}/" if prefix else ""
        with as_sentences(OBJECT_STORE, self._uri, otherwise=_EXPECTED):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return set() if self._own else {key.removeprefix(start) for key in keys}

    def write(self, name: str, mask: Volume) -> None:
        from sss_model.io.volumes import write_volume

        with tempfile.TemporaryDirectory(prefix="sss-") as folder:
            ending = next(ending for ending in FILE_ENDINGS if self.address(name).endswith(ending))
            path = Path(folder, f"mask{ending}")
            write_volume(mask, path)
            self._upload(self.address(name), path.read_bytes())

    def write_label_names(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        if self._own:
            return
        with tempfile.TemporaryDirectory(prefix="sss-") as folder:
            write_label_names(Path(folder), labels, file_ending=file_ending)
            for path in sorted(Path(folder).iterdir()):
                self._upload(self.address(path.name), path.read_bytes())

    def read_summary(self) -> bytes | None:
        if self._own or SUMMARY not in self.existing():
            return None
        bucket, key = s3.bucket_and_key(f"{self._uri}/{SUMMARY}")
        with as_sentences(OBJECT_STORE, self._uri, otherwise="expected to read the summary"):
            content: Any = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return bytes(content)

    def write_summary(self, content: bytes) -> None:
        if not self._own:
            self._upload(f"{self._uri}/{SUMMARY}", content)

    def _upload(self, uri: str, content: bytes) -> None:
        bucket, key = s3.bucket_and_key(uri)
        with as_sentences(OBJECT_STORE, uri, otherwise=_EXPECTED):
            self._client.put_object(Bucket=bucket, Key=key, Body=content)
