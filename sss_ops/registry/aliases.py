"""The aliases of a registered model, moved by decisions that two processes or a kill can't leave half done.

MLflow moves one alias a call and never compares it with what it was. A decision moves up to three and leaves its
records, so it is made under a lock (`sss_ops.registry.lock`) and first written down whole, in one tag of the model: its
intent. From then on the next command can complete it, since every write may be repeated without harm. The intent is
also how a decision is told from an edit by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sss_model.errors import InputError
from sss_ops.registry.decisions import RECORD_TAG, new_decision_id, user_name
from sss_ops.registry.lock import hold_lock
from sss_ops.registry.versions import CHAMPION, find_version, read_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sss_ops.registry.lock import Lease

INTENT_TAG = "sss.intent"

Aliases = dict[str, str | None]


@dataclass(frozen=True)
class Intent:
    """A decision about a model's aliases, as it is written down before anything moves.

    Attributes:
        id: of the decision; names its record.
        before, after: the aliases that change, alias to version; None for an alias that is absent.
        audited: the champion that the decision before this one made.
        record: kept on the versions that it concerns, see `sss_ops.registry.decisions`.
        state: pending, done or undone.
    """

    id: str
    before: Aliases
    after: Aliases
    audited: str | None
    record: dict[str, Any] = field(default_factory=dict)
    state: str = "pending"

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, *, model: str) -> Intent:
        """Read a model's tag; raises `InputError` where it was changed by hand."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            raise InputError(
                f"{model}: its tag {INTENT_TAG} was changed by hand; expected what sss wrote, delete the tag in MLflow"
            ) from None


@dataclass(frozen=True)
class ModelState:
    """The aliases of a model as read at one moment, and its last decision.

    Attributes:
        name: the registered model.
        aliases: alias to version.
        intent: the last decision, or None before the first.

    >>> decided = Intent("20260101T080000.0", {"champion": "1"}, {"champion": "2"}, "1", state="done")
    >>> ModelState("heart", {"champion": "2"}, decided).moved_by_hand
    False
    >>> ModelState("heart", {"champion": "3"}, decided).moved_by_hand
    True
    """

    name: str
    aliases: dict[str, str]
    intent: Intent | None

    @property
    def champion(self) -> str | None:
        return self.aliases.get(CHAMPION)

    @property
    def audited(self) -> str | None:
        """The version that the last completed decision made champion."""
        if self.intent is None:
            return None
        return self.intent.after.get(CHAMPION) if self.intent.state == "done" else self.intent.audited

    @property
    def pending(self) -> bool:
        """Whether a decision was cut off, or is being carried out just now."""
        return self.intent is not None and self.intent.state == "pending"

    @property
    def moved_by_hand(self) -> bool:
        """Whether no decision made the champion what it is."""
        expected = {self.audited}
        if self.intent is not None and self.pending:
            expected = {self.intent.before.get(CHAMPION), self.intent.after.get(CHAMPION)}
        return self.champion not in expected

    def hand_edit(self) -> str | None:
        """A sentence about a champion that was moved by hand; None where it was not."""
        if not self.moved_by_hand:
            return None
        found = f"version {self.champion}" if self.champion else "gone"
        decided = f"version {self.audited}" if self.audited else "none yet"
        back = f"; `sss rollback {self.name}` puts it back" if self.audited else ""
        return f"the champion is {found}, but the one that passed the promotion checks is {decided}: set by hand{back}"


def read_state(client: MlflowClient, name: str) -> ModelState:
    """Read a model's aliases and last decision; raises `InputError` where there is no model of that name."""
    model = read_model(client, name)
    text = model.tags.get(INTENT_TAG)
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    return ModelState(name, aliases, Intent.from_json(text, model=name) if text else None)


class Move(NamedTuple):
    """The aliases as a decision wants them, and its record."""

    after: Aliases
    record: dict[str, Any]


def move_aliases(
    client: MlflowClient, name: str, plan: Callable[[ModelState], Move], *, id: str | None = None
) -> Intent:
    """Decide under the model's lock, and carry the decision out.

    Args:
        name: the registered model.
        plan: decides, given the model's state once nothing is left open and nobody else can change it; raises
            `InputError` to leave everything as it is.
        id: of the decision, `new_decision_id()` if not given.

    Raises:
        InputError: no such model, another process holds the lock, or `plan` refuses.
    """
    read_state(client, name)  # a model that does not exist gets no lock
    with hold_lock(client, name, who=user_name(), notify=print_note) as lease:
        state = read_state(client, name)
        settled = _settle(client, lease, state)
        if settled:
            print_note(settled)
            state = read_state(client, name)
        after, record = plan(state)
        before = {alias: state.aliases.get(alias) for alias in after}
        intent = Intent(id or new_decision_id(), before, after, state.audited, record)
        _carry_out(client, lease, name, intent)
    return intent


def finish_decision(client: MlflowClient, name: str) -> str | None:
    """Complete or undo a decision that was cut off.

    Returns:
        A sentence about it; None where none was cut off, or the one that was is being carried out.
    """
    if not read_state(client, name).pending:
        return None
    with hold_lock(client, name, who=user_name(), notify=print_note) as lease:
        return _settle(client, lease, read_state(client, name))


def print_note(sentence: str) -> None:
    """Print a note on stderr, beside the command's answer."""
    print(f"note: {sentence}", file=sys.stderr, flush=True)


def _settle(client: MlflowClient, lease: Lease, state: ModelState) -> str | None:
    """Complete a pending decision, or undo it where the version that was to become champion is gone."""
    name, intent = state.name, state.intent
    if intent is None or not state.pending:
        return None
    what = f"{name}: {intent.record.get('action', 'a decision')} of {intent.record.get('when', intent.id)} was cut off"
    champion = intent.after.get(CHAMPION)
    if champion is not None and find_version(client, name, champion):
        _carry_out(client, lease, name, intent)
        return f"{what}; it has been completed"
    _undo(client, lease, name, intent)
    return f"{what} and its version {champion} is gone; it has been undone"


def _carry_out(client: MlflowClient, lease: Lease, name: str, intent: Intent) -> None:
    _write_intent(client, lease, name, intent)
    _set_aliases(client, lease, name, intent.before, intent.after)
    record = json.dumps(intent.record, separators=(",", ":"))
    for version in _concerned(client, name, intent):
        lease.write(client.set_model_version_tag, name, version, RECORD_TAG + intent.id, record)
    _write_intent(client, lease, name, replace(intent, state="done"))


def _undo(client: MlflowClient, lease: Lease, name: str, intent: Intent) -> None:
    _set_aliases(client, lease, name, intent.after, intent.before)
    for version in _concerned(client, name, intent):
        if RECORD_TAG + intent.id in client.get_model_version(name, version).tags:
            lease.write(client.delete_model_version_tag, name, version, RECORD_TAG + intent.id)
    _write_intent(client, lease, name, replace(intent, state="undone"))


def _write_intent(client: MlflowClient, lease: Lease, name: str, intent: Intent) -> None:
    lease.write(client.set_registered_model_tag, name, INTENT_TAG, intent.to_json())


def _set_aliases(client: MlflowClient, lease: Lease, name: str, before: Aliases, after: Aliases) -> None:
    """Set each alias to its version; delete an alias whose version is gone."""
    for alias, version in after.items():
        if version is not None and find_version(client, name, version):
            lease.write(client.set_registered_model_alias, name, alias, version)
        # A registration needs no lock: it may have given the alias to a newer version meanwhile.
        elif str(client.get_registered_model(name).aliases.get(alias)) in map(str, (before[alias], version)):
            lease.write(client.delete_registered_model_alias, name, alias)


def _concerned(client: MlflowClient, name: str, intent: Intent) -> list[str]:
    """The champions after and before the decision, those that still exist."""
    both = dict.fromkeys([intent.after.get(CHAMPION), intent.before.get(CHAMPION)])
    return [version for version in both if version is not None and find_version(client, name, version)]
