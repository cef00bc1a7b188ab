"""Files that are either whole or absent, JSON records, and hashes."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sss_model.errors import InputError


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name beside `path`, then rename it into place.

    Raises:
        OSError: the disk is full or can't be written; `path` is then as it was, and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Read a JSON object that has these keys, such as one step leaves for another.

    Raises:
        InputError: the file is missing, is not JSON, or lacks a key.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected what an earlier step writes") from None
    except ValueError:
        raise InputError(f"{path}: not a JSON file; expected what an earlier step writes") from None
    if not isinstance(record, dict) or not record.keys() >= set(keys):
        raise InputError(f"{path}: expected a JSON object with {', '.join(keys)}, as an earlier step writes it")
    return record


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_sha256() -> str:
    """The content of this package's sources."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
