"""The approval of a version: who made it the champion, when, why and by which numbers; or that nobody did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.registry.intent import AUDIT
from components.registry.state import CHAMPION

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from components.registry.state import State

APPROVED = "approved"
NOT_APPROVED = "not approved"
REPLACED = "replaced"
WITHDRAWN = "withdrawn"


def approval(version: ModelVersion, state: State) -> dict[str, Any]:
    """The record of a version's approval, as JSON types.

    Args:
        version: with its tags.
        state: of its model.

    Returns:
        ``status``: approved (a decision made it the champion, and it is), replaced (a later promotion, which passed the
        gate, took its place), withdrawn (a rollback did), or not approved (no decision ever made it the champion);
        ``decision``: the one that approved it, the last of several, None where there is none; ``decisions``: all that
        concern it, oldest first; ``warning``: a sentence where the champion was moved by hand, None where it was not.
    """
    number = str(version.version)
    decisions = decisions_of(version)
    made = [decision for decision in decisions if str(decision.get("to")) == number]
    return {
        "model": version.name,
        "version": number,
        "status": _status(number, decisions),
        "decision": made[-1] if made else None,
        "decisions": decisions,
        "champion": state.aliases.get(CHAMPION),
        "warning": state.hand_edit(),
    }


def decisions_of(version: ModelVersion) -> list[dict[str, Any]]:
    """The decisions that concern a version, the oldest first, each with its ``id``, under which its rows are kept."""
    from components.registry.audit import records_of

    found = []
    for key in sorted(version.tags):
        if key.startswith(AUDIT):
            found += [{"id": key.removeprefix(AUDIT), **record} for record in records_of({key: version.tags[key]})]
    return found


def _status(version: str, decisions: list[dict[str, Any]]) -> str:
    if not any(str(decision.get("to")) == version for decision in decisions):
        return NOT_APPROVED
    last = decisions[-1]
    if str(last.get("to")) == version:
        return APPROVED
    return REPLACED if last.get("action") == "promote" else WITHDRAWN
