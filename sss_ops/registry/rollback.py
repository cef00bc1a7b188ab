"""Back to the champion before this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sss_model.errors import InputError
from sss_ops.registry.decisions import new_record, records_of
from sss_ops.registry.move import Move, move
from sss_ops.registry.state import CHAMPION, PREVIOUS, State
from sss_ops.registry.versions import find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from sss_ops.registry.intent import Intent


def rollback(client: MlflowClient, name: str, *, reason: str = "") -> Intent:
    """Swap ``champion`` and ``previous``; where the champion was moved by hand, put back the one that passed the gate.

    Raises:
        InputError: there is no model of that name, nothing to go back to, or what there is never was a champion.
    """

    def plan(state: State) -> Move:
        if state.moved_by_hand and state.audited:
            return _restore(client, state, reason)
        return _swap(client, state, reason)

    return move(client, name, plan)


def _restore(client: MlflowClient, state: State, reason: str) -> Move:
    target = state.audited
    if target is None or find_version(client, state.name, target) is None:
        raise InputError(f"{state.name}: version {target}, the champion that passed the gate, was deleted; promote one")
    return Move({CHAMPION: target}, new_record("restore", old=state.champion, new=target, reason=reason))


def _swap(client: MlflowClient, state: State, reason: str) -> Move:
    target, current = state.aliases.get(PREVIOUS), state.champion
    if target is None or current is None:
        missing = PREVIOUS if target is None else CHAMPION
        raise InputError(f"{state.name}: no version has the alias {missing}; expected an earlier champion")
    version = find_version(client, state.name, target)
    if version is None or not records_of(version.tags):
        raise InputError(
            f"{state.name}: version {target} has the alias {PREVIOUS} but never was champion through the gate; "
            "expected one that was, promote it"
        )
    record = new_record("rollback", old=current, new=target, reason=reason)
    return Move({CHAMPION: target, PREVIOUS: current}, record)
