"""Hashes of what an evaluation was made from and of what it left, so that it can be audited later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sss_model.config import Evaluation
from sss_model.errors import InputError
from sss_model.files import sha256, write_atomically

FILE = "provenance.json"
CHECKPOINT = ("weights.pt", "meta.json", "history.csv")


class Provenance(BaseModel):
    """The content of ``evaluation/provenance.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    split: str
    patients: list[str]
    """Who was scored."""
    leak_check: str
    """How they were compared with the patients that the checkpoint saw."""
    manifest_sha256: str
    data_version: str
    """Of the training, as the checkpoint knows it."""
    settings: Evaluation
    """The recipe's section ``evaluation`` that counted."""
    files: dict[str, str]
    """SHA-256 of every file of checkpoint, predictions and evaluation, and of metrics.json, by place and name."""


def hash_files(places: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of every file in some folders, of a checkpoint only of the files that make it one.

    Args:
        places: what each folder is called, and where it is.

    Returns:
        ``place/name`` to hash, sorted.
    """
    found = {}
    for place, folder in places.items():
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name != FILE and (place != "checkpoint" or name in CHECKPOINT):
                found[f"{place}/{name}"] = sha256(path)
    return found


def digest_of(files: Mapping[str, str], place: str) -> str:
    """One hash of all files of a place: of lines ``hash  place/name``, sorted by name, as ``sha256sum`` prints them."""
    lines = [f"{value}  {name}\n" for name, value in sorted(files.items()) if name.startswith(f"{place}/")]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def short_form(files: Mapping[str, str]) -> dict[str, str | None]:
    """The hashes that ``summary.json`` carries itself; equal weights and predictions give equal ones."""
    return {
        "weights_sha256": files.get("checkpoint/weights.pt"),
        "predictions_sha256": digest_of(files, "predictions"),
        "cases_sha256": files.get("evaluation/cases.csv"),
    }


def write_provenance(provenance: Provenance, folder: Path) -> None:
    """Write the record into an evaluation's folder."""
    write_atomically(folder / FILE, (json.dumps(provenance.model_dump(), indent=2) + "\n").encode())


def read_provenance(folder: Path) -> Provenance:
    """Read the record of an evaluation's folder; raises `InputError` where it is missing or can't be read."""
    path = folder / FILE
    try:
        return Provenance.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected what sss evaluate leaves") from None
    except (ValidationError, UnicodeDecodeError):
        raise InputError(f"{path}: can't be read; expected the record that sss evaluate leaves") from None
