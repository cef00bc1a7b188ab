"""A model's versions, as a person wants to see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sss_ops.registry.decisions import records_of
from sss_ops.registry.lock import is_lock
from sss_ops.registry.state import CHAMPION, State, read_state

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Row:
    """A version: when it was registered, how good its evaluation found it, and the last that was decided about it."""

    version: str
    dice: str
    aliases: str
    registered: str
    decision: str
    when: str
    who: str
    why: str


@dataclass(frozen=True)
class Listing:
    """A model's versions, the newest first, and what is wrong with its aliases."""

    name: str
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def models_of(client: MlflowClient) -> list[str]:
    """Names of the registered models, without the locks among them."""
    names: list[str] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(page_token=token)
        names += [model.name for model in page if not is_lock(model.name)]
        token = page.token
        if not token:
            return sorted(names)


def list_versions(client: MlflowClient, name: str) -> Listing:
    """What the registry knows of a model; raises `InputError` where there is none of that name."""
    state = read_state(client, name)
    versions = _versions(client, name)
    rows = tuple(_row(version, state) for version in versions)
    return Listing(name, rows, tuple(_warnings(state)))


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    quote = '"' if "'" in name else "'"
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = {quote}{name}{quote}", page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def _row(version: ModelVersion, state: State) -> Row:
    number = str(version.version)
    aliases = sorted(alias for alias, target in state.aliases.items() if target == number)
    marked = [f"{alias} (!)" if alias == CHAMPION and state.moved_by_hand else alias for alias in aliases]
    registered = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    last: dict[str, Any] = (records_of(version.tags) or [{}])[-1]
    when = str(last.get("when", "")).replace("T", " ")[:16]
    said = _decision(number, last) if last else ""
    return Row(number, _dice(version), ", ".join(marked), registered, said, when, last.get("who", ""), _why(last))


def _dice(version: ModelVersion) -> str:
    try:
        return f"{float(version.tags.get('dice', '')):.3f}"
    except ValueError:
        return "–"


def _decision(version: str, record: dict[str, Any]) -> str:
    """What a record says of one of the two versions that it concerns."""
    new, old = record.get("to"), record.get("from")
    up = {"promote": "promoted", "rollback": "rolled back to", "restore": "put back"}
    down = {"promote": f"replaced by {new}", "rollback": f"rolled back to {new}", "restore": f"replaced by {new}"}
    words = up if version == new else down
    over = f" over {old}" if record.get("action") == "promote" and version == new and old else ""
    return words.get(str(record.get("action")), "") + over


def _why(record: dict[str, Any]) -> str:
    return str(record.get("why", "")) if record else ""


def _warnings(state: State) -> list[str]:
    found = []
    if state.pending and state.intent is not None:
        what = state.intent.record
        found.append(
            f"{what.get('action')} of version {what.get('to')} by {what.get('who')} at {what.get('when')} is not "
            "finished: it is under way, or the next sss promote or rollback will finish it"
        )
    edit = state.hand_edit()
    return [*found, edit] if edit else found
