"""Decision records: who made which version champion, when, why and by which numbers.

A record is a tag, JSON, on both versions that a decision concerns.
"""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD_TAG = "sss.audit."
"""Opens the name of a record's tag; the decision's id follows."""

APPROVED = "approved"
NOT_APPROVED = "not approved"
REPLACED = "replaced"
WITHDRAWN = "withdrawn"


def new_record(action: str, *, old: str | None, new: str, reason: str, **numbers: Any) -> dict[str, Any]:
    """A record of a decision made now by the user of this process.

    Args:
        action: promote, rollback or restore.
        old, new: champion before and after.
        reason: in the user's words.
        numbers: the evidence for it, as JSON types.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"action": action, "when": when, "who": user_name(), "why": reason, "from": old, "to": new, **numbers}


def new_decision_id() -> str:
    """The id of a decision made now; ids sort by time."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")


def decisions_of(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """The decisions recorded in a version's tags, the oldest first, each with its ``id``; other tags are skipped.

    >>> decisions_of({"sss.audit.20260101T080000.0": '{"action": "promote", "to": "2"}', "dice": "0.8"})
    [{'id': '20260101T080000.0', 'action': 'promote', 'to': '2'}]
    """
    found = []
    for key in sorted(tags):
        if key.startswith(RECORD_TAG):
            record = _read_json(tags[key])
            if isinstance(record, dict):
                found.append({"id": key.removeprefix(RECORD_TAG), **record})
    return found


def approval_status(version: str, decisions: list[dict[str, Any]]) -> str:
    """Whether a version may be used, by the decisions that concern it, the oldest first.

    Returns:
        ``approved``: a decision made it the champion and none since has replaced it; ``replaced``: a version that
        passed the promotion checks against it took its place; ``withdrawn``: a rollback did; ``not approved``: no
        decision ever made it the champion.

    >>> promoted = {"action": "promote", "from": "1", "to": "2"}
    >>> approval_status("2", [promoted]), approval_status("1", [promoted])
    ('approved', 'not approved')
    >>> approval_status("2", [promoted, {"action": "rollback", "from": "2", "to": "1"}])
    'withdrawn'
    """
    if not any(str(decision.get("to")) == version for decision in decisions):
        return NOT_APPROVED
    last = decisions[-1]
    if str(last.get("to")) == version:
        return APPROVED
    return REPLACED if last.get("action") == "promote" else WITHDRAWN


def user_name() -> str:
    """The user as MLflow knows him, else as this machine does."""
    try:
        return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
