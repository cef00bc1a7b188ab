"""Objects of a store that speaks S3: listed, read from any byte on, and compared with files by their ETags."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sss_model.errors import InputError
from sss_ops.errors import OBJECT_STORE, as_sentences
from sss_ops.storage.download import PIECE_BYTES, DownloadInterruptedError
from sss_ops.storage.s3 import SCHEME, bucket_and_key, s3_client

_MD5 = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"[0-9a-f]{32}-(\d+)")


@dataclass(frozen=True)
class StoredObject:
    """An object to download, see `sss_ops.storage.download.Source`; its ETag changes with its bytes."""

    bucket: str
    key: str
    size: int
    etag: str
    client: Any = field(repr=False, compare=False)

    @classmethod
    def at(cls, uri: str) -> StoredObject:
        """The object at ``s3://BUCKET/KEY``.

        Raises:
            InputError: it is no such address, no store answers, it refuses, or has no such object.
        """
        bucket, key = bucket_and_key(uri)
        if not (bucket and key):
            raise InputError(f"{uri}: not an object's address; expected s3://BUCKET/KEY")
        with as_sentences(OBJECT_STORE, uri, otherwise="expected to read an object there"):
            client = s3_client()
            head = client.head_object(Bucket=bucket, Key=key)
        return cls(bucket, key, head["ContentLength"], head["ETag"].strip('"'), client)

    @property
    def address(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    @property
    def version(self) -> str:
        return self.etag

    def read_from(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """See `sss_ops.storage.download.Source`."""
        from botocore import exceptions

        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        cut = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)
        with as_sentences(OBJECT_STORE, self.address, otherwise="expected to read the object"):
            try:
                # Never pieces of two objects, should it be replaced meanwhile.
                answer = self.client.get_object(Bucket=self.bucket, Key=self.key, IfMatch=self.etag, **wanted)
                position = offset if "ContentRange" in answer else 0
                for piece in answer["Body"].iter_chunks(PIECE_BYTES):
                    yield position, piece
                    position += len(piece)
            except cut as error:
                raise DownloadInterruptedError.because(error) from None

    def check(self, path: Path, where: str) -> bool:
        """Refuse a file that is not the object.

        Args:
            where: what to call the file, in the error.

        Returns:
            False where sizes agree but the ETag is no checksum that can be computed here: the store encrypts with keys
            of its own, or the object was sent in parts of sizes that it doesn't tell.

        Raises:
            InputError: its bytes are others.
        """
        with as_sentences(OBJECT_STORE, self.address, otherwise="expected to read the object"):
            same = path.stat().st_size == self.size and self._same_content(path)
        if same is False:
            raise InputError(f"{where}: what came is not the object; expected bytes of ETag {self.etag}, run again")
        return same is True

    def _same_content(self, path: Path) -> bool | None:
        if _MD5.fullmatch(self.etag):
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            return found == self.etag or (None if self._is_encrypted() else False)
        if _PARTS.fullmatch(self.etag):
            first = self.client.head_object(Bucket=self.bucket, Key=self.key, PartNumber=1)
            return _etag_of_parts(path, int(first["ContentLength"])) == self.etag or None
        return None

    def _is_encrypted(self) -> bool:
        """Whether the ETag is not the MD5 of the content, since KMS or a customer's key encrypts it."""
        head = self.client.head_object(Bucket=self.bucket, Key=self.key)
        return "SSEKMSKeyId" in head or "SSECustomerAlgorithm" in head


def list_objects(uri: str, client: Any) -> dict[str, StoredObject]:
    """The objects at or under an address, by the names of the files that they become in a folder.

    Args:
        uri: ``s3://BUCKET/PREFIX``, the prefix being whole names between slashes, or one object's address.
        client: of `s3_client`.

    Raises:
        InputError: not such an address, the store refuses, nothing is there, or a key would lead out of the folder.
    """
    bucket, prefix = bucket_and_key(uri)
    if not bucket:
        raise InputError(f"{uri}: not an address of objects; expected s3://BUCKET/PREFIX")
    with as_sentences(OBJECT_STORE, uri, otherwise="expected to list the bucket"):
        entries = [entry for entry in _under(client, bucket, prefix) if not _stands_for_a_folder(entry)]
    objects = {
        _file_name(entry["Key"], prefix, uri): StoredObject(
            bucket, entry["Key"], entry["Size"], entry["ETag"].strip('"'), client
        )
        for entry in entries
    }
    if not objects:
        raise InputError(f"{uri}: no objects are there; expected some, or one of that name")
    for name, each in objects.items():
        if not objects.keys().isdisjoint(map(str, PurePosixPath(name).parents)):
            raise InputError(f"{uri}: {each.key} would have to be a file and a folder at once; expected either")
    return objects


def _under(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            # heart must not bring hearts-old/…
            if not prefix or entry["Key"] == prefix or entry["Key"].startswith(f"{prefix}/"):
                yield entry


def _stands_for_a_folder(entry: dict[str, Any]) -> bool:
    """Some tools write an empty object for a folder."""
    return str(entry["Key"]).endswith("/")


def _file_name(key: str, prefix: str, uri: str) -> str:
    name = PurePosixPath(key).name if key == prefix else key.removeprefix(f"{prefix}/" if prefix else "")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise InputError(f"{uri}: the key {key!r} would not stay in a folder; expected keys that are plain paths")
    return name


def _etag_of_parts(path: Path, part_bytes: int) -> str:
    """The ETag of an object sent in parts of that size: the MD5 of their MD5s, and how many there are."""
    digests = []
    with path.open("rb") as file:
        while data := file.read(part_bytes):
            digests.append(hashlib.md5(data, usedforsecurity=False).digest())
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
