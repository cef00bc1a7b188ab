"""Whether a file's bytes are those of an object, by its ETag."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sss_model.errors import InputError
from sss_ops.errors import OBJECT_STORE, as_sentences
from sss_ops.storage import s3

# Which objects lie under an address, and where in a folder each belongs.


_EXPECTED = "expected to list the bucket"


@dataclass(frozen=True)
class RemoteObject:
    """An object to fetch: where it lies, how big it is, its ETag, and the file that it becomes."""

    bucket: str
    key: str
    size: int
    etag: str
    target: Path

    @property
    def uri(self) -> str:
        return f"{s3.SCHEME}{self.bucket}/{self.key}"


def list_objects(client: Any, uri: str, folder: Path) -> list[RemoteObject]:
    """The objects at or under an address, as the files they become in a folder.

    Args:
        uri: ``s3://BUCKET/PREFIX``, the prefix being whole names between slashes, or one object's address.
        folder: where to; need not be there.

    Raises:
        InputError: not such an address, the store refuses, nothing is there, or a key would lead out of the folder.
    """
    bucket, prefix = s3.bucket_and_key(uri)
    if not bucket:
        raise InputError(f"{uri}: not an address of objects; expected s3://BUCKET/PREFIX")
    with as_sentences(OBJECT_STORE, uri, otherwise=_EXPECTED):
        found = list(_under(client, bucket, prefix))
    objects = [
        RemoteObject(bucket, entry["Key"], entry["Size"], entry["ETag"].strip('"'), target)
        for entry in found
        if (target := _target(entry["Key"], prefix, folder, uri))
    ]
    if not objects:
        raise InputError(f"{uri}: no objects are there; expected some, or one of that name")
    _refuse_clashes(objects, uri)
    return objects


def _under(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            # heart must not bring hearts-old/…
            if not prefix or entry["Key"] == prefix or entry["Key"].startswith(f"{prefix}/"):
                yield entry


def _target(key: str, prefix: str, folder: Path, uri: str) -> Path | None:
    """The file of an object; None for the empty ones that some tools write to stand for folders."""
    if key.endswith("/"):
        return None
    name = PurePosixPath(key).name if key == prefix else key.removeprefix(f"{prefix}/" if prefix else "")
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise InputError(f"{uri}: the key {key!r} would not stay in {folder}; expected keys that are plain paths")
    target = folder.joinpath(*parts)
    # A link in the folder may lead elsewhere, too.
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{target.parent}: leads out of {folder}; expected a folder in it for the object {key}")
    return target


def _refuse_clashes(objects: list[RemoteObject], uri: str) -> None:
    files = {each.target for each in objects}
    for each in objects:
        if each.target.is_dir() or not files.isdisjoint(each.target.parents):
            raise InputError(f"{uri}: {each.key} would have to be a file and a folder at once; expected either")


_MD5 = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"[0-9a-f]{32}-(\d+)")


def same_bytes(path: Path, remote: RemoteObject, client: Any) -> bool | None:
    """Whether a file is the object.

    Returns:
        None where sizes agree but the ETag is no checksum that can be computed here: the store encrypts with keys of
        its own, or the object was sent in parts of sizes that it doesn't tell.
    """
    if path.stat().st_size != remote.size:
        return False
    if _MD5.fullmatch(remote.etag):
        return _md5(path).hexdigest() == remote.etag or _unless_encrypted(remote, client)
    if _PARTS.fullmatch(remote.etag):
        return _composite(path, _size_of_parts(remote, client)) == remote.etag or None
    return None


def _unless_encrypted(remote: RemoteObject, client: Any) -> bool | None:
    """False where the ETag is the MD5 of the content, as it is unless KMS or a customer's key encrypts it."""
    head = client.head_object(Bucket=remote.bucket, Key=remote.key)
    return None if "SSEKMSKeyId" in head or "SSECustomerAlgorithm" in head else False


def _size_of_parts(remote: RemoteObject, client: Any) -> int:
    return int(client.head_object(Bucket=remote.bucket, Key=remote.key, PartNumber=1)["ContentLength"])


def _composite(path: Path, part: int) -> str:
    """The ETag of an object sent in parts of `part` bytes: the MD5 of their MD5s, and how many there are."""
    digests = []
    with path.open("rb") as file:
        while data := file.read(part):
            digests.append(hashlib.md5(data, usedforsecurity=False).digest())
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def _md5(path: Path) -> Any:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
