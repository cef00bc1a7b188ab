"""The record of a decision: who, when, why, by which numbers; a tag on every version that it concerns."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sss_ops.registry.intent import AUDIT

if TYPE_CHECKING:
    from collections.abc import Mapping


def new_record(action: str, *, old: str | None, new: str, reason: str, **numbers: Any) -> dict[str, Any]:
    """A record of a decision made now, by whoever runs this process.

    Args:
        action: promote, rollback or restore.
        old, new: champion before and after.
        reason: in a person's words.
        numbers: what it rests on, as JSON types.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"action": action, "when": when, "who": whoami(), "why": reason, "from": old, "to": new, **numbers}


def new_id() -> str:
    """The name of a decision made now; later ones sort last."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")


def records_of(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """The records among a version's tags, the oldest first; what is not JSON was not written here."""
    records = []
    for key in sorted(tags):
        if key.startswith(AUDIT):
            try:
                records.append(json.loads(tags[key]))
            except ValueError:
                continue
    return [record for record in records if isinstance(record, dict)]


def whoami() -> str:
    """The name that MLflow knows this person by, or this machine does."""
    try:
        return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
