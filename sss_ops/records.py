"""The small JSON files that one step leaves for another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sss_model.errors import InputError
from sss_model.files import write_atomically


def read_record(path: Path, *keys: str) -> dict[str, Any]:
    """Read a JSON object that has these keys.

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


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())
