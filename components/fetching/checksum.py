"""Whether a file's bytes are those of an object, by its ETag."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from components.fetching.objects import RemoteObject

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
