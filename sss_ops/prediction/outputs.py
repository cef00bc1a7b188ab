"""The place that masks and their summary go to: a folder, one file, or a prefix of a bucket."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.errors import OBJECT_STORE, as_sentences
from sss_ops.prediction.scans import ENDINGS
from sss_ops.storage import s3

if TYPE_CHECKING:
    from sss_model.io.volumes import Volume


SUMMARY = "summary.csv"
_EXPECTED = "expected to write there"


class Masks(ABC):
    """Where masks go, each under its scan's name."""

    @abstractmethod
    def where(self, name: str) -> str:
        """The path or the address of a scan's mask."""

    @abstractmethod
    def names(self) -> set[str]:
        """The masks that are there."""

    @abstractmethod
    def put(self, name: str, mask: Volume) -> None:
        """Write a mask, whole or not at all; raises `InputError` where it can't be written."""

    @abstractmethod
    def name_labels(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        """Say beside the masks what their numbers mean; see `sss_model.io.label_names`."""

    @abstractmethod
    def read_summary(self) -> bytes | None:
        """The content of the summary, None where there is none."""

    @abstractmethod
    def write_summary(self, content: bytes) -> None:
        """Replace the summary."""


def masks_at(place: str, *, single: bool) -> Masks:
    """The masks' place.

    Args:
        place: a folder, which is made if need be, or ``s3://BUCKET/PREFIX``; for a single scan a name that ends like
            one is the mask's own.
        single: whether there is one scan, given as such.

    Raises:
        InputError: nothing can be written there.
    """
    own = single and place.endswith(ENDINGS) and not Path(place).is_dir()
    if place.startswith(s3.SCHEME):
        bucket, _ = s3.bucket_and_key(place)
        if not bucket:
            raise InputError(f"{place}: not an address of objects; expected s3://BUCKET/PREFIX")
        return Bucket(place.rstrip("/"), own=own)
    return OneFile(Path(place)) if own else Folder(Path(place))


class Folder(Masks):
    """Masks in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}; expected a folder for the masks") from None

    def where(self, name: str) -> str:
        return str(self._folder / name)

    def names(self) -> set[str]:
        return {path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()}

    def put(self, name: str, mask: Volume) -> None:
        _write(mask, self._folder / name)

    def name_labels(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        from sss_model.io.label_names import write_label_names

        write_label_names(self._folder, labels, file_ending=file_ending)

    def read_summary(self) -> bytes | None:
        path = self._folder / SUMMARY
        return path.read_bytes() if path.is_file() else None

    def write_summary(self, content: bytes) -> None:
        from sss_model.files import write_atomically

        write_atomically(self._folder / SUMMARY, content)


class OneFile(Masks):
    """One mask under a name of its own, always written anew and with nothing beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def where(self, name: str) -> str:
        return str(self._path)

    def names(self) -> set[str]:
        return set()

    def put(self, name: str, mask: Volume) -> None:
        _write(mask, self._path)

    def name_labels(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        pass

    def read_summary(self) -> bytes | None:
        return None

    def write_summary(self, content: bytes) -> None:
        pass


class Bucket(Masks):
    """Masks under a prefix, or, for one scan, one object and no summary."""

    def __init__(self, uri: str, *, own: bool) -> None:
        self._uri, self._own, self._client = uri, own, s3.s3_client()

    def where(self, name: str) -> str:
        return self._uri if self._own else f"{self._uri}/{name}"

    def names(self) -> set[str]:
        bucket, prefix = s3.bucket_and_key(self._uri)
        start = f"{prefix}/" if prefix else ""
        with as_sentences(OBJECT_STORE, self._uri, otherwise=_EXPECTED):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return set() if self._own else {key.removeprefix(start) for key in keys}

    def put(self, name: str, mask: Volume) -> None:
        with tempfile.TemporaryDirectory(prefix="sss-") as folder:
            ending = next(ending for ending in ENDINGS if self.where(name).endswith(ending))
            path = Path(folder, f"mask{ending}")
            _write(mask, path)
            self._upload(self.where(name), path.read_bytes())

    def name_labels(self, labels: Mapping[str, int], *, file_ending: str) -> None:
        from sss_model.io.label_names import write_label_names

        if self._own:
            return
        with tempfile.TemporaryDirectory(prefix="sss-") as folder:
            write_label_names(Path(folder), labels, file_ending=file_ending)
            for path in sorted(Path(folder).iterdir()):
                self._upload(self.where(path.name), path.read_bytes())

    def read_summary(self) -> bytes | None:
        if self._own or SUMMARY not in self.names():
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


def _write(mask: Volume, path: Path) -> None:
    from sss_model.io.volumes import write_volume

    try:
        write_volume(mask, path)
    except (FileExistsError, NotADirectoryError, PermissionError, IsADirectoryError) as error:
        raise InputError(f"{path}: {error.strerror}; expected a place where a mask may be written") from None
